# SPDX-License-Identifier: GPL-3.0-or-later
"""GetCompositeSchedule: what the profiles together allow from now on (OCPP 1.6, 5.7)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Protocol

from evtool.protocol import ocpp16
from evtool.reference_impl.charge_point.smart_charging.limit import Limit, Supply
from evtool.reference_impl.charge_point.smart_charging.rules import Rules

MAX_DURATION_S = 31 * 86_400
MAX_COMPOSITE_PERIODS = 1_000
NO_LIMIT = -1
_PHASES_UNLESS_SAID = 3  # OCPP 1.6, 7.14
_END_OF_SECOND_MS = 999


class Profiles(Protocol):
    """The installed profiles."""

    @property
    def rules(self) -> Rules: ...

    def limit(
        self, unix_ms: int, transaction_start_ms: int | None, connector_id: int = 1
    ) -> Limit: ...

    def next_change(
        self, unix_ms: int, transaction_start_ms: int | None, connector_id: int
    ) -> int | None: ...

    def changes(
        self, begin: int, end: int, transaction_start_ms: int | None, connector_id: int
    ) -> set[int]: ...


@dataclass(frozen=True, slots=True)
class Composite:
    """A composite schedule.

    Attributes:
        unit: "A" or "W".
        duration_s: shorter than what was asked for, where that would take too many periods.
        periods: (offset from now in s, limit in mA or mW, numberPhases or None). The
            limit of an offset holds at that many whole seconds from the question; a change
            within the last second is told at that second's start. -1 stands for none where the
            rules say so.
        start_unix_ms: told as startSchedule; None leaves it out.
    """

    unit: str
    duration_s: int
    periods: tuple[tuple[int, int, int | None], ...]
    start_unix_ms: int | None = None

    def payload(self) -> ocpp16.Payload:
        """chargingSchedule; tenths rounded down, never above the limit."""
        periods = []
        for offset_s, limit, phases in self.periods:
            period: ocpp16.Payload = {
                "startPeriod": offset_s,
                "limit": limit // 100 / 10 if limit >= 0 else limit,
            }
            if phases is not None:
                period["numberPhases"] = phases
            periods.append(period)
        schedule: ocpp16.Payload = {
            "duration": self.duration_s,
            "chargingRateUnit": self.unit,
            "chargingSchedulePeriod": periods,
        }
        if self.start_unix_ms is not None:
            schedule["startSchedule"] = ocpp16.render_timestamp(self.start_unix_ms)
        return schedule


def composite_schedule(
    profiles: Profiles,
    connector_id: int,
    unix_ms: int,
    duration_s: int,
    transaction_start_ms: int | None,
    supply: Supply,
    unit: str | None = None,
) -> Composite | None:
    """The composite schedule of a connector, or of the whole charge point for connector 0.

    Args:
        profiles: what is installed.
        connector_id: 0 gives the ChargePointMaxProfile's.
        unix_ms: now.
        duration_s: how far to look; bounded.
        transaction_start_ms: None for no transaction. Then the schedule is what a transaction
            that starts now would get, or only the maximum, as the rules say.
        supply: converts units, and limits where no profile does.
        unit: "A" or "W"; None leaves the choice: W where every limit in use is one, else A.

    Returns:
        None where the limits in use cannot be told in the unit asked for.
    """
    duration_s = min(max(duration_s, 0), MAX_DURATION_S)
    if not profiles.rules.converts_units:
        found = _unconverted(
            profiles,
            connector_id,
            unix_ms,
            duration_s,
            transaction_start_ms,
            None if profiles.rules.mends_composites else unit,
        )
        return _mended(found, supply, unit) if profiles.rules.mends_composites else found
    if transaction_start_ms is None and profiles.rules.default_without_transaction:
        transaction_start_ms = unix_ms
    changes = profiles.changes(
        unix_ms, unix_ms + duration_s * 1000, transaction_start_ms, connector_id
    )
    last = max(duration_s - 1, 0)
    offsets = {0} | {min(-((unix_ms - moment) // 1000), last) for moment in changes}
    limits = [
        (
            offset,
            profiles.limit(
                unix_ms + offset * 1000 + (_END_OF_SECOND_MS if offset == last else 0),
                transaction_start_ms,
                connector_id,
            ),
        )
        for offset in sorted(offsets)
    ]
    chosen = unit or _unit_in_use(limit for _, limit in limits)
    if chosen == "W" and "W" not in supply.units:
        if unit is not None or any(limit.current_ma is not None for _, limit in limits):
            return None
        chosen = "A"
    periods: list[tuple[int, int, int | None]] = []
    for offset, limit in limits:
        value, phases = _told(limit, chosen, supply, connector_id)
        if not periods or periods[-1][1:] != (value, phases) or not profiles.rules.merges_equal:
            if len(periods) == MAX_COMPOSITE_PERIODS:
                duration_s = offset
                break
            periods.append((offset, value, phases))
    return Composite(chosen, duration_s, tuple(periods))


def _told(limit: Limit, unit: str, supply: Supply, connector_id: int) -> tuple[int, int | None]:
    """The limit in `unit`, never above what the hardware gives, and the phases."""
    phases = supply.conductors(limit.phases) if supply.phases else limit.phases
    connectors = supply.connectors if connector_id == 0 else 1
    most_ma = supply.max_current_ma * connectors
    if unit == "W":
        most_mw = supply.power_mw(most_ma, limit.phases)
        value = limit.in_watts(supply)
        return (most_mw if value is None else min(value, most_mw)), phases
    value = limit.in_amperes(supply)
    return (most_ma if value is None else min(value, most_ma)), phases


def _unit_in_use(limits: Iterable[Limit]) -> str:
    used = [limit for limit in limits if limit != Limit()]
    return "W" if used and all(limit.current_ma is None for limit in used) else "A"


def _unconverted(
    profiles: Profiles,
    connector_id: int,
    unix_ms: int,
    duration_s: int,
    transaction_start_ms: int | None,
    unit: str | None,
) -> Composite:
    """As MicroOcpp does: each unit by itself, -1 for none, a period at every possible change."""
    periods: list[tuple[int, int, int | None]] = []
    moment: int | None = unix_ms
    end_ms = unix_ms + duration_s * 1000
    while moment is not None and moment < end_ms and len(periods) < profiles.rules.max_periods:
        limit = profiles.limit(moment, transaction_start_ms, connector_id)
        if unit is None:  # it takes the unit of the first limit
            unit = "W" if limit.power_mw is not None and limit.current_ma is None else "A"
        value = limit.power_mw if unit == "W" else limit.current_ma
        phases = NO_LIMIT if limit == Limit() else limit.phases or 3
        periods.append(((moment - unix_ms) // 1000, NO_LIMIT if value is None else value, phases))
        moment = profiles.next_change(moment, transaction_start_ms, connector_id)
    start_unix_ms = unix_ms if profiles.rules.tells_start else None
    return Composite(unit or "A", duration_s, tuple(periods), start_unix_ms)


def _mended(composite: Composite, supply: Supply, unit: str | None) -> Composite:
    """What the device's adapter makes of the library's schedule in A (D27)."""
    periods: list[tuple[int, int, int | None]] = []
    for start_s, value, phases in composite.periods:
        limit_ma = supply.max_current_ma if value < 0 else value
        told = limit_ma, phases if phases is not None and phases > 0 else _PHASES_UNLESS_SAID
        if not periods or periods[-1][1:] != told:
            periods.append((start_s, *told))
    if unit == "W":
        periods = [(start_s, supply.power_mw(ma, n), n) for start_s, ma, n in periods]
    return replace(composite, unit=unit or "A", periods=tuple(periods))
