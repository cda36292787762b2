# SPDX-License-Identifier: GPL-3.0-or-later
"""One charging profile: read from the wire, checked, asked for its limit at a moment.

OCPP 1.6, 3.13 (purposes, kinds, stacking), 7.8 and 7.13 (fields).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType

from evtool.protocol import ocpp16
from evtool.reference_impl.charge_point.smart_charging.limit import Limit
from evtool.reference_impl.charge_point.smart_charging.rules import STRICT_RULES, Rules

MAXIMUM, TX_DEFAULT, TX = "ChargePointMaxProfile", "TxDefaultProfile", "TxProfile"

RECURS_UNSAID = "Recurring: recurrencyKind and startSchedule"

_NOTHING_BEYOND = 2_000_000_000  # thousandths of A or W that no wire carries: no limit
RECURRENCE_MS: Mapping[str, int] = MappingProxyType({"Daily": 86_400_000, "Weekly": 7 * 86_400_000})
_DECADE_MS = 10 * 366 * 86_400_000


@dataclass(frozen=True, slots=True)
class Profile:
    """A charging profile with times in Unix milliseconds and limits in mA or mW.

    Attributes:
        periods: (start in ms, limit, numberPhases or None), ascending, the first at 0.
        unit: "A" or "W", of the limits and of the minimum.
        minimum: minChargingRate.
    """

    profile_id: int
    connector_id: int
    stack_level: int
    purpose: str
    kind: str
    unit: str
    periods: tuple[tuple[int, int, int | None], ...]
    transaction_id: int | None = None
    recurrence_ms: int | None = None
    start_unix_ms: int | None = None
    duration_ms: int | None = None
    valid_from_unix_ms: int | None = None
    valid_to_unix_ms: int | None = None
    minimum: int = 0

    @property
    def slot(self) -> tuple[int, str, int]:
        """What only one installed profile has: connector, purpose, stack level."""
        return self.connector_id, self.purpose, self.stack_level

    def limit(
        self, unix_ms: int, transaction_start_ms: int | None, rules: Rules = STRICT_RULES
    ) -> Limit | None:
        """What the profile allows at a moment; None where it says nothing about it.

        Args:
            unix_ms: the moment.
            transaction_start_ms: when the transaction started, None for none.
            rules: of the charge point.
        """
        if self.valid_from_unix_ms is not None and unix_ms < self.valid_from_unix_ms:
            return None
        valid_to_unix_ms = self.valid_to_unix_ms
        if valid_to_unix_ms is not None and (
            unix_ms > valid_to_unix_ms or (unix_ms == valid_to_unix_ms and not rules.includes_end)
        ):
            return None
        start = self._start(transaction_start_ms)
        if start is None or unix_ms < start:
            return None
        elapsed = unix_ms - start
        if self.recurrence_ms is not None:
            elapsed %= self.recurrence_ms
        if self.duration_ms is not None and elapsed >= self.duration_ms:
            return None
        place = bisect_right(self.periods, elapsed, key=lambda period: period[0]) - 1
        _, value, phases = self.periods[place]
        if rules.raises_to_minimum:
            value = max(value, self.minimum)
        if self.unit == "W":
            return Limit(power_mw=value, phases=phases)
        return Limit(current_ma=value, phases=phases, minimum_ma=self.minimum)

    def changes(self, begin: int, end: int, transaction_start_ms: int | None) -> Iterator[int]:
        """The moments after `begin` and before `end` at which its limit may change."""
        yield from (
            moment
            for moment in (self.valid_from_unix_ms, self.valid_to_unix_ms)
            if moment is not None and begin < moment < end
        )
        start = self._start(transaction_start_ms)
        if start is None:
            return
        offsets = [offset for offset, _, _ in self.periods]
        offsets += [self.duration_ms] if self.duration_ms is not None else []
        cycle = self.recurrence_ms
        first = 0 if cycle is None else max(0, (begin - start) // cycle)
        last = 0 if cycle is None else max(-1, (end - start) // cycle)
        for number in range(first, last + 1):
            for offset in offsets:
                moment = start + number * (cycle or 0) + offset
                if begin < moment < end and (cycle is None or offset < cycle):
                    yield moment

    def next_change(
        self, unix_ms: int, transaction_start_ms: int | None, known: int | None
    ) -> int | None:
        """When MicroOcpp believes that its limit changes next, given that another one's does at
        `known`; None for never (D43).

        A limit that ceases to be valid is overlooked, and so is `known` where a period follows.
        """
        if self.valid_to_unix_ms is not None and unix_ms > self.valid_to_unix_ms:
            return known
        if self.valid_from_unix_ms is not None and unix_ms < self.valid_from_unix_ms:
            return _sooner(known, self.valid_from_unix_ms)
        start = self._start(transaction_start_ms)
        if start is None:
            return known
        if unix_ms < start:
            return known if self.kind == "Relative" else _sooner(known, start)
        if self.recurrence_ms is not None:
            start = unix_ms - (unix_ms - start) % self.recurrence_ms
            known = _sooner(known, start + self.recurrence_ms)
        if self.duration_ms is not None:
            if unix_ms - start >= self.duration_ms:
                return known
            known = _sooner(known, start + self.duration_ms)
        later = (start + offset for offset, _, _ in self.periods if start + offset > unix_ms)
        return next(later, known)

    def _start(self, transaction_start_ms: int | None) -> int | None:
        if self.kind == "Relative" or self.start_unix_ms is None:
            return transaction_start_ms
        return self.start_unix_ms


def read_profile(
    connector_id: int,
    payload: ocpp16.Payload,
    unix_ms: int,
    rules: Rules = STRICT_RULES,
    units: tuple[str, ...] = ("A", "W"),
) -> Profile | ocpp16.Violation:
    """A profile from csChargingProfiles, which conforms to its schema already.

    A maximum for the whole charge point without a start holds from now (`unix_ms`) on: it
    must not wait for a transaction.

    Args:
        connector_id: which connector it is for; 0 stands for the charge point.
        payload: csChargingProfiles.
        unix_ms: now.
        rules: of the charge point.
        units: the units that it can carry out (ChargingScheduleAllowedChargingRateUnit).
    """
    schedule = payload["chargingSchedule"]
    times = {
        name: ocpp16.parse_timestamp(source[name])
        for source, name in (
            (payload, "validFrom"),
            (payload, "validTo"),
            (schedule, "startSchedule"),
        )
        if name in source
    }
    broken = _broken_rule(connector_id, payload, times, rules)
    if broken is not None:
        return ocpp16.Violation("PropertyConstraintViolation", broken)
    if schedule["chargingRateUnit"] not in units:
        return ocpp16.Violation("PropertyConstraintViolation", f"limits in {' or '.join(units)}")
    purpose, kind = payload["chargingProfilePurpose"], payload["chargingProfileKind"]
    duration = schedule.get("duration")
    from_now = purpose == MAXIMUM and kind == "Absolute"
    return Profile(
        profile_id=payload["chargingProfileId"],
        connector_id=connector_id,
        stack_level=payload["stackLevel"],
        purpose=purpose,
        kind=kind,
        unit=schedule["chargingRateUnit"],
        periods=tuple(
            (
                min(period["startPeriod"] * 1000, _DECADE_MS),
                _thousandths(period["limit"]),
                period.get("numberPhases"),
            )
            for period in schedule["chargingSchedulePeriod"]
        ),
        transaction_id=payload.get("transactionId"),
        recurrence_ms=RECURRENCE_MS[payload["recurrencyKind"]] if kind == "Recurring" else None,
        start_unix_ms=times.get("startSchedule", unix_ms if from_now else None),
        duration_ms=min(duration * 1000, _DECADE_MS) if duration else None,
        valid_from_unix_ms=times.get("validFrom"),
        valid_to_unix_ms=times.get("validTo"),
        minimum=_thousandths(schedule.get("minChargingRate", 0)),
    )


def _broken_rule(
    connector_id: int, payload: ocpp16.Payload, times: Mapping[str, int | None], rules: Rules
) -> str | None:
    schedule = payload["chargingSchedule"]
    periods = schedule["chargingSchedulePeriod"]
    starts = [period["startPeriod"] for period in periods]
    purpose, kind = payload["chargingProfilePurpose"], payload["chargingProfileKind"]
    level = payload["stackLevel"]
    valid_from, valid_to = times.get("validFrom"), times.get("validTo")
    faults = (
        (not 0 <= level <= rules.max_stack_level, f"stackLevel 0 to {rules.max_stack_level}"),
        (
            not starts or starts != sorted(set(starts)) or starts[0] != 0,
            "periods from 0, ascending",
        ),
        (len(starts) > rules.max_periods, f"at most {rules.max_periods} periods"),
        (any(period["limit"] < 0 for period in periods), "a limit is not negative"),
        (
            any(period.get("numberPhases", 3) not in (1, 2, 3) for period in periods),
            "numberPhases 1 to 3",
        ),
        (schedule.get("minChargingRate", 0) < 0, "minChargingRate is not negative"),
        (schedule.get("duration", 0) < 0, "a duration is not negative"),
        (purpose == MAXIMUM and connector_id != 0, "connector 0 for this purpose"),
        (purpose == TX and connector_id == 0, "a connector for a TxProfile"),
        (
            purpose == MAXIMUM and kind == "Relative" and not rules.maximum_may_be_relative,
            "no transaction starts a ChargePointMaxProfile: Absolute or Recurring",
        ),
        (None in times.values(), "timestamps are ISO 8601"),
        (
            valid_from is not None and valid_to is not None and valid_to <= valid_from,
            "validTo is after validFrom",
        ),
        (
            kind == "Recurring"
            and ("recurrencyKind" not in payload or "startSchedule" not in times),
            RECURS_UNSAID,
        ),
    )
    return next((rule for broken, rule in faults if broken), None)


def _sooner(one: int | None, other: int) -> int:
    return other if one is None else min(one, other)


def _thousandths(limit: float) -> int:
    """Amperes or watts of the wire, exact to the thousandth; beyond all sense is no limit."""
    return int(min(Decimal(str(limit)) * 1000, Decimal(_NOTHING_BEYOND)))
