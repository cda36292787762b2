# SPDX-License-Identifier: GPL-3.0-or-later
"""Charging profiles: which limit holds at a moment (OCPP 1.6, paragraph 3.13).

The limit is the smaller of the ChargePointMaxProfile's and of the first that is valid among
TxProfile, TxDefaultProfile of the connector, TxDefaultProfile of connector 0. Of one purpose
the highest stack level that is valid at the moment counts. Limits are in amperes: the output
is direct current, so no unit is converted and there are no phases.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from evtool.protocol import ocpp16

MAX_PROFILES = 10
MAX_STACK_LEVEL = 7
MAX_PERIODS = 24
_NO_CURRENT_BEYOND_MA = 2_000_000_000
_RECURRENCE_MS = {"Daily": 86_400_000, "Weekly": 7 * 86_400_000}


@dataclass(frozen=True, slots=True)
class Profile:
    """A charging profile with times in Unix milliseconds and limits in mA."""

    profile_id: int
    connector_id: int
    stack_level: int
    purpose: str
    kind: str
    periods: tuple[tuple[int, int], ...]  # (start in ms, limit in mA), ascending
    transaction_id: int | None = None
    recurrence_ms: int | None = None
    start_unix_ms: int | None = None
    duration_ms: int | None = None
    valid_from_unix_ms: int | None = None
    valid_to_unix_ms: int | None = None

    def limit_ma(self, unix_ms: int, transaction_start_ms: int | None) -> int | None:
        """The limit at a moment; None where the profile says nothing about it."""
        if self.valid_from_unix_ms is not None and unix_ms < self.valid_from_unix_ms:
            return None
        if self.valid_to_unix_ms is not None and unix_ms >= self.valid_to_unix_ms:
            return None
        start = self._start(transaction_start_ms)
        if start is None or unix_ms < start:
            return None
        elapsed = unix_ms - start
        if self.recurrence_ms is not None:
            elapsed %= self.recurrence_ms
        if self.duration_ms is not None and elapsed >= self.duration_ms:
            return None
        limit = None
        for begin, period_limit in self.periods:
            if begin <= elapsed:
                limit = period_limit
        return limit

    def changes(self, begin: int, end: int, transaction_start_ms: int | None) -> Iterable[int]:
        """The moments in [begin, end) at which the profile's limit may change."""
        start = self._start(transaction_start_ms)
        if start is None:
            return
        offsets = [offset for offset, _ in self.periods]
        offsets += [self.duration_ms] if self.duration_ms is not None else []
        cycle = self.recurrence_ms
        first = 0 if cycle is None else max(0, (begin - start) // cycle)
        last = 0 if cycle is None else max(0, (end - start) // cycle)
        for number in range(first, last + 1):
            for offset in offsets:
                yield start + number * (cycle or 0) + offset
        yield from filter(None, (self.valid_from_unix_ms, self.valid_to_unix_ms))

    def _start(self, transaction_start_ms: int | None) -> int | None:
        if self.kind == "Relative":
            return transaction_start_ms
        return self.start_unix_ms if self.start_unix_ms is not None else transaction_start_ms


def read_profile(
    connector_id: int, payload: ocpp16.Payload, unix_ms: int
) -> Profile | ocpp16.Violation:
    """A profile from csChargingProfiles, which conforms to its schema already.

    A maximum for the whole charge point without a start holds from now (`unix_ms`) on: it
    must not wait for a transaction.
    """
    schedule = payload["chargingSchedule"]
    periods = tuple(
        (period["startPeriod"] * 1000, _milliamperes(period["limit"]))
        for period in schedule["chargingSchedulePeriod"]
    )
    purpose, kind = payload["chargingProfilePurpose"], payload["chargingProfileKind"]
    starts = [start for start, _ in periods]
    times = {
        name: ocpp16.parse_timestamp(source[name])
        for source, name in (
            (payload, "validFrom"),
            (payload, "validTo"),
            (schedule, "startSchedule"),
        )
        if name in source
    }
    faults = (
        (not 0 <= payload["stackLevel"] <= MAX_STACK_LEVEL, f"stackLevel 0 to {MAX_STACK_LEVEL}"),
        (
            not starts or starts != sorted(set(starts)) or starts[0] != 0,
            "periods from 0, ascending",
        ),
        (len(starts) > MAX_PERIODS, f"at most {MAX_PERIODS} periods"),
        (any(limit < 0 for _, limit in periods), "a limit is not negative"),
        (purpose == "ChargePointMaxProfile" and connector_id != 0, "connector 0 for this purpose"),
        (purpose == "TxProfile" and connector_id == 0, "connector 1 for a TxProfile"),
        (None in times.values(), "timestamps are ISO 8601"),
        (kind == "Recurring" and "recurrencyKind" not in payload, "recurrencyKind"),
        (kind == "Recurring" and "startSchedule" not in times, "startSchedule"),
    )
    for broken, rule in faults:
        if broken:
            return ocpp16.Violation("PropertyConstraintViolation", rule)
    duration = schedule.get("duration")
    from_now = purpose == "ChargePointMaxProfile" and kind == "Absolute"
    return Profile(
        profile_id=payload["chargingProfileId"],
        connector_id=connector_id,
        stack_level=payload["stackLevel"],
        purpose=purpose,
        kind=kind,
        periods=periods,
        transaction_id=payload.get("transactionId"),
        recurrence_ms=_RECURRENCE_MS[payload["recurrencyKind"]] if kind == "Recurring" else None,
        start_unix_ms=times.get("startSchedule", unix_ms if from_now else None),
        duration_ms=duration * 1000 if duration is not None else None,
        valid_from_unix_ms=times.get("validFrom"),
        valid_to_unix_ms=times.get("validTo"),
    )


class ProfileStore:
    """The installed profiles."""

    def __init__(self) -> None:
        self._profiles: list[Profile] = []

    def __len__(self) -> int:
        return len(self._profiles)

    def install(self, profile: Profile) -> bool:
        """Add or replace a profile; False when the store is full."""
        kept = [
            other
            for other in self._profiles
            if other.profile_id != profile.profile_id
            and (other.connector_id, other.purpose, other.stack_level)
            != (profile.connector_id, profile.purpose, profile.stack_level)
        ]
        if len(kept) >= MAX_PROFILES:
            return False
        self._profiles = [*kept, profile]
        return True

    def clear(
        self,
        profile_id: int | None = None,
        connector_id: int | None = None,
        purpose: str | None = None,
        stack_level: int | None = None,
    ) -> bool:
        """Remove what fits every filter that is given; False when nothing did."""
        kept = [
            profile
            for profile in self._profiles
            if (profile_id is not None and profile.profile_id != profile_id)
            or (connector_id is not None and profile.connector_id != connector_id)
            or (purpose is not None and profile.purpose != purpose)
            or (stack_level is not None and profile.stack_level != stack_level)
        ]
        removed = len(kept) < len(self._profiles)
        self._profiles = kept
        return removed

    def limit_ma(
        self, unix_ms: int, transaction_start_ms: int | None, connector_id: int = 1
    ) -> int | None:
        """The limit at a moment, None for none; without a transaction only the maximum counts."""
        groups: list[list[Profile]] = [self._of("ChargePointMaxProfile", 0)]
        if connector_id != 0 and transaction_start_ms is not None:
            own = (
                self._of("TxProfile", connector_id),
                self._of("TxDefaultProfile", connector_id),
                self._of("TxDefaultProfile", 0),
            )
            valid = (
                group for group in own if _highest(group, unix_ms, transaction_start_ms) is not None
            )
            groups.append(next(valid, []))
        limits = [_highest(group, unix_ms, transaction_start_ms) for group in groups]
        return min((limit for limit in limits if limit is not None), default=None)

    def composite(
        self,
        connector_id: int,
        unix_ms: int,
        duration_ms: int,
        transaction_start_ms: int | None,
        unlimited_ma: int,
    ) -> list[tuple[int, int]]:
        """(offset in s, limit in mA) from now on, with `unlimited_ma` where no profile limits."""
        end = unix_ms + duration_ms
        moments = {unix_ms} | {
            moment
            for profile in self._profiles
            for moment in profile.changes(unix_ms, end, transaction_start_ms)
            if unix_ms < moment < end
        }
        periods: list[tuple[int, int]] = []
        for moment in sorted(moments):
            limit = self.limit_ma(moment, transaction_start_ms, connector_id)
            limit = unlimited_ma if limit is None else min(limit, unlimited_ma)
            if not periods or periods[-1][1] != limit:
                periods.append(((moment - unix_ms) // 1000, limit))
        return periods

    def _of(self, purpose: str, connector_id: int) -> list[Profile]:
        return [
            profile
            for profile in self._profiles
            if (profile.purpose, profile.connector_id) == (purpose, connector_id)
        ]


def _highest(profiles: list[Profile], unix_ms: int, start_ms: int | None) -> int | None:
    """The limit of the highest stack level that is valid at the moment."""
    for profile in sorted(profiles, key=lambda profile: -profile.stack_level):
        limit = profile.limit_ma(unix_ms, start_ms)
        if limit is not None:
            return limit
    return None


def _milliamperes(limit: float) -> int:
    """Amperes of the wire, exact to the thousandth; what no wire can carry is no limit."""
    exact = Decimal(str(limit)) * 1000
    return int(max(min(exact, Decimal(_NO_CURRENT_BEYOND_MA)), Decimal(-1)))
