# SPDX-License-Identifier: GPL-3.0-or-later
"""The faults: what sets each one, and what it takes to clear it.

    over_temperature  above 70 degrees; clears at 60 or below
    over_voltage      measured > setpoint + 2 V for 200 ms, while energised
    over_current      measured > setpoint x 1.1 + 1 A for 500 ms, while energised
    module_disobeys   a sample taken 2000 ms or more after off says on, or shows more than 1 A
    bus_off           the CAN controller says so; clears when every bus runs again

A sample is judged once, when it comes, against the setpoint then in force: a lowered setpoint
does not turn an older sample into a fault. A stale measurement neither sets a fault nor proves
that one is gone. The middle three stay until the vehicle is unplugged and a fresh measurement
shows that the cause is gone.
"""

from __future__ import annotations

from typing import NamedTuple

from evtool.reference_impl.charge_gate import MAX_TEMPERATURE_MDEGC
from evtool.reference_impl.controller_types import Fault

COOL_MDEGC = 60000
VOLTAGE_MARGIN_MV = 2000
VOLTAGE_HOLD_MS = 200
CURRENT_MARGIN_MA = 1000
CURRENT_HOLD_MS = 500
OBEY_MS = 2000
LEAK_MA = 1000

ERROR_CODES = {
    Fault.OVER_TEMPERATURE: "HighTemperature",
    Fault.OVER_VOLTAGE: "OverVoltage",
    Fault.OVER_CURRENT: "OverCurrentFailure",
    Fault.MODULE_DISOBEYS: "PowerSwitchFailure",
    Fault.BUS_OFF: "InternalError",
}

LATCHED = (Fault.OVER_VOLTAGE, Fault.OVER_CURRENT, Fault.MODULE_DISOBEYS)


class FaultFacts(NamedTuple):
    """What is known when faults are evaluated; None is unknown or stale."""

    plugged: bool
    energised: bool
    measured_mv: int | None
    measured_ma: int | None
    temperature_mdegc: int | None
    module_on: bool | None
    any_bus_off: bool
    all_buses_running: bool


class _Excess:
    """Something above its limit since a sample that showed it."""

    def __init__(self, hold_ms: int) -> None:
        self._hold_ms = hold_ms
        self._since_ms: int | None = None
        self.limit = 0

    def judge(self, value: int, limit: int, now_ms: int) -> None:
        if value <= limit:
            self._since_ms = None
            return
        self.limit = limit
        if self._since_ms is None:
            self._since_ms = now_ms

    def stop(self) -> None:
        self._since_ms = None

    def ripe(self, now_ms: int) -> bool:
        return self._since_ms is not None and now_ms - self._since_ms >= self._hold_ms


class FaultMonitor:
    """Which faults are active."""

    def __init__(self) -> None:
        self._active: tuple[Fault, ...] = ()
        self._voltage = _Excess(VOLTAGE_HOLD_MS)
        self._current = _Excess(CURRENT_HOLD_MS)
        self._voltage_limit_mv = 0
        self._current_limit_tenths = 0

    def active(self) -> tuple[Fault, ...]:
        """The active faults, in the order in which they are reported."""
        return self._active

    def judge_voltage(self, millivolts: int, setpoint_mv: int, now_ms: int) -> None:
        """A voltage was measured while energised."""
        self._voltage.judge(millivolts, setpoint_mv + VOLTAGE_MARGIN_MV, now_ms)

    def judge_current(self, milliamperes: int, setpoint_ma: int, now_ms: int) -> None:
        """A current was measured while energised; compared in tenths, to stay with integers."""
        limit = setpoint_ma * 11 + CURRENT_MARGIN_MA * 10
        self._current.judge(milliamperes * 10, limit, now_ms)

    def judge_obedience(self, module_on: bool, milliamperes: int, off_ms: int) -> None:
        """The module was told off `off_ms` ago and now says this; False and 0 for what it did not.

        Current in either direction counts: none may flow.
        """
        if off_ms >= OBEY_MS and (module_on or abs(milliamperes) > LEAK_MA):
            self._set(Fault.MODULE_DISOBEYS)

    def evaluate(self, facts: FaultFacts, now_ms: int) -> None:
        """Let time and facts set and clear faults."""
        if not facts.energised or facts.measured_mv is None:
            self._voltage.stop()
        if not facts.energised or facts.measured_ma is None:
            self._current.stop()
        if self._voltage.ripe(now_ms):
            self._set(Fault.OVER_VOLTAGE)
            self._voltage_limit_mv = self._voltage.limit
        if self._current.ripe(now_ms):
            self._set(Fault.OVER_CURRENT)
            self._current_limit_tenths = self._current.limit
        self._evaluate_levels(facts)
        if not facts.plugged:
            for fault in self._active:
                if fault in LATCHED and self._cause_gone(fault, facts):
                    self._clear(fault)

    def _set(self, fault: Fault) -> None:
        active = (fault, *self._active)
        self._active = tuple(each for each in Fault if each in active)

    def _clear(self, fault: Fault) -> None:
        if fault in self._active:
            self._active = tuple(each for each in self._active if each is not fault)

    def _evaluate_levels(self, facts: FaultFacts) -> None:
        if facts.temperature_mdegc is not None:
            if facts.temperature_mdegc > MAX_TEMPERATURE_MDEGC:
                self._set(Fault.OVER_TEMPERATURE)
            elif facts.temperature_mdegc <= COOL_MDEGC:
                self._clear(Fault.OVER_TEMPERATURE)
        if facts.any_bus_off:
            self._set(Fault.BUS_OFF)
        elif facts.all_buses_running:
            self._clear(Fault.BUS_OFF)

    def _cause_gone(self, fault: Fault, facts: FaultFacts) -> bool:
        if fault is Fault.OVER_VOLTAGE:
            return facts.measured_mv is not None and facts.measured_mv <= self._voltage_limit_mv
        if fault is Fault.OVER_CURRENT:
            measured = facts.measured_ma
            return measured is not None and measured * 10 <= self._current_limit_tenths
        obeys = facts.module_on is False
        return obeys and facts.measured_ma is not None and abs(facts.measured_ma) <= LEAK_MA


def error_code(
    active: tuple[Fault, ...], *, module_silent: bool, bms_silent_in_transaction: bool
) -> str:
    """The OCPP 1.6 ChargePointErrorCode of the first thing that is wrong."""
    if active:
        return ERROR_CODES[active[0]]
    if module_silent:
        return "PowerSwitchFailure"
    if bms_silent_in_transaction:
        return "EVCommunicationError"
    return "NoError"
