# SPDX-License-Identifier: GPL-3.0-or-later
"""Where one breakdown of the program ends and the next one begins.

A panic is many lines, and several of them say so. A watchdog that nobody was told of, and a
supply that broke down, show in the ROM's reset reason alone: they count as breakdowns as well.
"""

from __future__ import annotations

from evtool.monitor.follow import Line
from evtool.monitor.panic.reset_reasons import is_fault


class Breakdowns:
    """The breakdowns of one board."""

    def __init__(self) -> None:
        self._within = False

    def begins(self, line: Line) -> bool:
        """Whether `line` is the first of a breakdown."""
        if line.panic:
            first, self._within = not self._within, True
            return first
        if line.reset:
            # The reset that a panic ends in is part of it.
            first, self._within = not self._within and is_fault(line.reset), False
            return first
        if line.event == "boot":
            self._within = False
        return False
