# SPDX-License-Identifier: GPL-3.0-or-later
"""Too much voltage or current: a fault is set within half a second, a view prints once in one.

So an excess that one print alone shows may have been shorter than a fault takes, and a fault may
come of an excess that no print shows. Neither is held against the unit; an excess that lasts is.
"""

from __future__ import annotations

from collections.abc import Iterator

from evtool.reference_impl.faults import (
    CURRENT_HOLD_MS,
    CURRENT_MARGIN_MA,
    VOLTAGE_HOLD_MS,
    VOLTAGE_MARGIN_MV,
)
from evtool.verify.from_log import TOLERANCE_MS
from evtool.verify.from_log.stretches import Entry, Stretch

Sample = tuple[int, int, int]
"""The log's time, mV, mA."""

_SHORT_MS = 100  # shorter than either fault takes
_ABOVE = {
    "over_voltage": (VOLTAGE_HOLD_MS, "voltage_mv"),
    "over_current": (CURRENT_HOLD_MS, "current_ma"),
}


class Excess:
    """What the samples of a stretch are to look like.

    Attributes:
        on_trust: what was taken as the unit said it.
    """

    def __init__(self, stretch: Stretch) -> None:
        self.on_trust: list[str] = []
        self._faults = [
            each
            for each in stretch.events("fault")
            if each.word("state") == "set" and each.word("name") in _ABOVE
        ]
        self._terminal = stretch.records("terminal")
        self._module = stretch.records("power_module")
        self._within = [self._limits(each.at_ms) for each in self._terminal]

    def _limits(self, at_ms: int) -> tuple[int, int] | None:
        """Above which mV and mA a sample sets a fault: by the highest setpoint about that time."""
        near = [each for each in self._module if abs(each.at_ms - at_ms) <= TOLERANCE_MS]
        volts = [value for each in near if (value := each.figure("setpoint_mv")) is not None]
        amperes = [value for each in near if (value := each.figure("setpoint_ma")) is not None]
        if not volts or not amperes or not any(each.word("state") == "on" for each in near):
            return None
        return max(volts) + VOLTAGE_MARGIN_MV, max(amperes) * 11 // 10 + CURRENT_MARGIN_MA

    def _is_above(self, index: int) -> bool:
        if not 0 <= index < len(self._terminal):
            return False
        limits = self._within[index]
        millivolts = self._terminal[index].figure("voltage_mv")
        milliamperes = self._terminal[index].figure("current_ma")
        if limits is None or millivolts is None or milliamperes is None:
            return False
        return millivolts > limits[0] or milliamperes > limits[1]

    def samples(self, at_ms: int, millivolts: int, milliamperes: int) -> Iterator[Sample]:
        """The frames for a sample that a record shows: an excess that stands alone ends soon."""
        yield at_ms, millivolts, milliamperes
        index = min(
            range(len(self._terminal)),
            key=lambda each: abs(self._terminal[each].at_ms - at_ms),
            default=-1,
        )
        if not self._is_above(index) or self._is_above(index + 1) or self._is_above(index - 1):
            return
        if self._fault_near(at_ms) is not None:
            return
        limits = self._within[index]
        if limits is not None:
            self.on_trust.append("that an excess which one print alone shows was a short one")
            yield at_ms + _SHORT_MS, min(millivolts, limits[0]), min(milliamperes, limits[1])

    def unseen(self) -> Iterator[Sample]:
        """Samples for the faults that no record explains."""
        for fault in self._faults:
            near = [
                index
                for index, each in enumerate(self._terminal)
                if abs(each.at_ms - fault.at_ms) <= TOLERANCE_MS
            ]
            if not near or any(self._is_above(index) for index in near):
                continue
            self.on_trust.append(f"the fault {fault.word('name')}, whose cause no print shows")
            yield from self._cause(fault, near[0])

    def _cause(self, fault: Entry, index: int) -> Iterator[Sample]:
        hold_ms, field = _ABOVE[fault.word("name")]
        limits = self._within[index]
        sample = self._terminal[index]
        millivolts, milliamperes = sample.figure("voltage_mv"), sample.figure("current_ma")
        if limits is None or millivolts is None or milliamperes is None:
            return
        if field == "voltage_mv":
            millivolts = limits[0] + 1000
        else:
            milliamperes = limits[1] + 1000
        for at_ms in (fault.at_ms - hold_ms - 1, fault.at_ms - 1):
            yield at_ms, millivolts, milliamperes

    def _fault_near(self, at_ms: int) -> Entry | None:
        return next(
            (each for each in self._faults if abs(each.at_ms - at_ms) <= TOLERANCE_MS), None
        )
