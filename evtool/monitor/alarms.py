# SPDX-License-Identifier: GPL-3.0-or-later
"""Which values deserve a colour: beyond a limit of docs/controller.md, or part of a fault.

The board decides; this only points at what it decides by. Red is what sets a fault, and what a
fault that is set is about. Yellow is what keeps the gate closed, or comes near a fault.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum

from evtool.monitor.quantities import format_value
from evtool.monitor.unit_state import UnitState
from evtool.protocol.console import Record, Value
from evtool.reference_impl.charge_gate import MAX_TEMPERATURE_MDEGC
from evtool.reference_impl.controller_types import Config
from evtool.reference_impl.faults import (
    COOL_MDEGC,
    CURRENT_MARGIN_MA,
    LEAK_MA,
    VOLTAGE_MARGIN_MV,
)


class Level(IntEnum):
    """How much a value wants to be seen."""

    GOOD = 0
    WARNING = 1
    ALARM = 2


@dataclass(frozen=True, slots=True)
class Alarm:
    """Why a value has a colour, in words short enough for a table."""

    level: Level
    reason: str


@dataclass(frozen=True, slots=True)
class Seen:
    """Everything that is known when a value is judged."""

    latest: Mapping[str, Record]
    state: UnitState
    config: Config

    def number(self, record: str, field: str) -> int | None:
        """A number of the latest record of that name; None where it is unknown."""
        found = self.latest.get(record)
        value = None if found is None else found.fields.get(field)
        return value if isinstance(value, int) else None


# fault: the values that it is about
_OF_FAULT: dict[str, frozenset[tuple[str, str]]] = {
    "over_temperature": frozenset({("output", "temperature_mdegc")}),
    "over_voltage": frozenset({("terminal", "voltage_mv"), ("output", "voltage_mv")}),
    "over_current": frozenset({("terminal", "current_ma"), ("output", "current_ma")}),
    "module_disobeys": frozenset({("power_module", "state")}),
}


def judge_value(record: str, field: str, value: Value, seen: Seen) -> Alarm | None:
    """Why `value` is not as it should be; None where nothing speaks against it."""
    for fault, about in _OF_FAULT.items():
        if fault in seen.state.faults and (record, field) in about:
            return Alarm(Level.ALARM, f"fault {fault}")
    rule = _RULES.get((record, field))
    return None if rule is None or value is None else rule(value, seen)


def _requested_voltage(value: Value, seen: Seen) -> Alarm | None:
    config = seen.config
    if isinstance(value, int) and not config.request_min_mv < value < config.request_max_mv:
        return Alarm(
            Level.WARNING,
            f"not within {_volts(config.request_min_mv)} to {_volts(config.request_max_mv)}",
        )
    return None


def _requested_current(value: Value, seen: Seen) -> Alarm | None:
    if not isinstance(value, int) or 0 < value <= seen.config.request_max_ma:
        return None
    return Alarm(Level.WARNING, f"not within 0 to {_amperes(seen.config.request_max_ma)}")


def _temperature(value: Value, seen: Seen) -> Alarm | None:
    if not isinstance(value, int) or value <= COOL_MDEGC:
        return None
    level = Level.ALARM if value > MAX_TEMPERATURE_MDEGC else Level.WARNING
    limit = MAX_TEMPERATURE_MDEGC if level is Level.ALARM else COOL_MDEGC
    return Alarm(level, f"above {limit // 1000} °C")


def _voltage(value: Value, seen: Seen) -> Alarm | None:
    setpoint_mv = seen.number("power_module", "setpoint_mv")
    if not isinstance(value, int) or setpoint_mv is None or seen.state.gate != "open":
        return None
    most_mv = setpoint_mv + VOLTAGE_MARGIN_MV
    return Alarm(Level.ALARM, f"above {_volts(most_mv)}") if value > most_mv else None


def _current(value: Value, seen: Seen) -> Alarm | None:
    if not isinstance(value, int) or seen.state.gate is None:
        return None
    if seen.state.gate != "open":
        flows = abs(value) > LEAK_MA
        return Alarm(Level.ALARM, "flows with a closed gate") if flows else None
    setpoint_ma = seen.number("power_module", "setpoint_ma")
    if setpoint_ma is None:
        return None
    most_ma = setpoint_ma * 11 // 10 + CURRENT_MARGIN_MA
    return Alarm(Level.ALARM, f"above {_amperes(most_ma)}") if value > most_ma else None


def _module_state(value: Value, seen: Seen) -> Alarm | None:
    gate = seen.state.gate
    if value == "on" and gate not in (None, "open"):
        return Alarm(Level.WARNING, "on with a closed gate")
    return None


def _status(value: Value, seen: Seen) -> Alarm | None:
    return Alarm(Level.WARNING, "a code that nobody knows") if value == "unknown" else None


def _volts(millivolts: int) -> str:
    return f"{format_value('mv', millivolts)[0].rstrip('0').rstrip('.')} V"


def _amperes(milliamperes: int) -> str:
    return f"{format_value('ma', milliamperes)[0].rstrip('0').rstrip('.')} A"


_RULES: dict[tuple[str, str], Callable[[Value, Seen], Alarm | None]] = {
    ("bms", "voltage_mv"): _requested_voltage,
    ("bms", "current_ma"): _requested_current,
    ("output", "temperature_mdegc"): _temperature,
    ("output", "voltage_mv"): _voltage,
    ("terminal", "voltage_mv"): _voltage,
    ("output", "current_ma"): _current,
    ("terminal", "current_ma"): _current,
    ("power_module", "state"): _module_state,
    ("terminal", "status"): _status,
}
