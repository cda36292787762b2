# SPDX-License-Identifier: GPL-3.0-or-later
"""Where one breakdown of the program ends and the next one begins.

A panic is many lines, and several of them say so. A watchdog that nobody was told of, and a
supply that broke down, show in the ROM's reset reason alone: they count as breakdowns as well.
"""

from __future__ import annotations

from evtool.monitor.follow import Line
from evtool.monitor.panic.reset_reasons import is_fault

QUIET_MS = 2000  # so long nothing more may come of a panic, then it is over
PANIC_MS = 10_000  # and it is over then in any case
_FAULTS = frozenset({"panic", "watchdog", "brownout"})  # firmware/src/main.cpp


def ends_breakdown(line: Line) -> bool:
    """Whether a panic is told to its end by `line`."""
    return bool(line.reset) or line.event == "boot" or line.text.startswith("Rebooting")


class Breakdowns:
    """The breakdowns of one board.

    What it says while it breaks down may be lost: a port of the chip's own USB is gone with it, a
    ROM may be silent. Then its next start tells (`reset=` of the firmware's boot event).
    """

    def __init__(self) -> None:
        self._within = False
        self._told = False  # since the last start

    def begins(self, line: Line) -> bool:
        """Whether `line` is the first of a breakdown."""
        if line.panic:
            first, self._within, self._told = not self._within, True, True
            return first
        if line.reset:
            # The reset that a panic ends in is part of it.
            first, self._within = not self._within and is_fault(line.reset), False
            self._told = self._told or first
            return first
        if line.event == "boot" and line.record is not None:
            first = not self._told and line.record.fields.get("reset") in _FAULTS
            self._within = self._told = False
            return first
        return False
