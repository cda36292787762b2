# SPDX-License-Identifier: GPL-3.0-or-later
"""When a watch is over, and whether it ended well. Times come in; nothing is opened."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from evtool.errors import CheckFailed, EvtoolError, LinkTimeout, Stopped
from evtool.monitor.follow import Happening, Line
from evtool.monitor.panic.breakdown import PANIC_MS, QUIET_MS, Breakdowns, ends_breakdown
from evtool.monitor.search import search

_READ_ON = "read the lines before and after it (--log FILE keeps them)"


@dataclass(frozen=True, slots=True)
class Goal:
    """What a watch is for. All None: it ends only when the user ends it.

    Attributes:
        until: a line that matches ends it well.
        fail_on: a line that matches ends it badly.
        count: so many records end it well.
        duration_ms: it ends well after this long, if the board said anything.
        timeout_ms: the limit for `until` and `count`.
        records: the names of the records that count.
    """

    until: re.Pattern[str] | None = None
    fail_on: re.Pattern[str] | None = None
    count: int | None = None
    duration_ms: int | None = None
    timeout_ms: int | None = None
    records: tuple[str, ...] = ()


class Watch:
    """One watch towards a goal, from `start_ms`."""

    def __init__(self, goal: Goal, start_ms: int, port: str) -> None:
        self._goal = goal
        self._start_ms = start_ms
        self._port = port
        self._lines = 0
        self._records = 0
        self._breakdowns: dict[str, Breakdowns] = {}
        self._panic: Line | None = None
        self._panic_end_ms = 0  # when all of it has been said, at the latest

    @property
    def looks_at_lines(self) -> bool:
        """Whether `reached` must be asked about every line; else `hear` of the telling ones."""
        goal = self._goal
        return goal.until is not None or goal.fail_on is not None or goal.count is not None

    def hear(self, telling: Sequence[Line]) -> None:
        """Lines came; `telling` are those among them that are more than text."""
        self._lines += 1
        for line in telling:
            self._remember_panic(line)

    def _remember_panic(self, line: Line) -> None:
        breakdowns = self._breakdowns.setdefault(line.port, Breakdowns())
        if breakdowns.begins(line) and self._panic is None:
            self._panic = line
            self._panic_end_ms = line.at_ms + QUIET_MS

    def reached(self, happening: Happening) -> bool:
        """Whether `happening` ends the watch well.

        Raises:
            CheckFailed: it ends it badly: a line matches `fail_on`, or the program broke down
                before the line that was waited for.
        """
        if not isinstance(happening, Line):
            return False
        self._lines += 1
        goal = self._goal
        port = happening.port or self._port
        if goal.fail_on is not None and search(goal.fail_on, happening.text):
            raise CheckFailed(
                f"{port}: the board said what must not be said: {happening.text}",
                fix=f"--fail-on {goal.fail_on.pattern!r} matched this line",
            )
        if self._panic is None:
            if goal.until is not None and search(goal.until, happening.text):
                return True
            self._remember_panic(happening)
        elif happening.port == self._panic.port:
            # The watch has failed; the rest of the panic is still worth reading.
            if self._is_waiting and ends_breakdown(happening):
                raise self._broke_down(self._panic)
            last_ms = self._panic.at_ms + PANIC_MS
            self._panic_end_ms = min(happening.at_ms + QUIET_MS, last_ms)
        if self._panic is not None:
            return False
        if happening.record is not None and happening.record.name in goal.records:
            self._records += 1
            return goal.count is not None and self._records >= goal.count
        return False

    @property
    def _is_waiting(self) -> bool:
        """Whether something is waited for, which will not come any more after a panic."""
        return self._goal.until is not None or self._goal.count is not None

    def _broke_down(self, panic: Line) -> CheckFailed:
        return CheckFailed(
            f"{panic.port or self._port}: the program on the board broke down: {panic.text}",
            fix=_READ_ON,
        )

    def remaining_ms(self, now_ms: int) -> int | None:
        """How long the watch may still go on; None without limit."""
        limits = [
            self._start_ms + limit
            for limit in (self._goal.duration_ms, self._goal.timeout_ms)
            if limit is not None
        ]
        if self._panic is not None and self._is_waiting:
            limits.append(self._panic_end_ms)
        return max(0, min(limits) - now_ms) if limits else None

    def given_up(self) -> Stopped | None:
        """The error where the user ends the watch before what was waited for; None: nothing was."""
        if not self._is_waiting:
            return None
        what = "--count" if self._goal.until is None else "--until"
        return Stopped(f"{self._port}: the watch was ended before {what} was met")

    def timed_out(self, now_ms: int, silent: Sequence[str] = ()) -> bool:
        """Whether the watch has ended well by its duration.

        Args:
            silent: the ports from which nothing has come.

        Raises:
            LinkTimeout: time is up, and a board has said nothing at all.
            CheckFailed: time is up before the goal was reached, or the program broke down.
        """
        if self.remaining_ms(now_ms) != 0:
            return False
        goal = self._goal
        if self._panic is not None:
            raise self._broke_down(self._panic)
        expects_words = bool(goal.records) or goal.until is not None
        if expects_words and (self._lines == 0 or silent):
            ports = ", ".join(silent) or self._port
            raise LinkTimeout(
                f"{ports}: the board said nothing for {(now_ms - self._start_ms) / 1000:g} s",
                fix="is it powered, is this its port, and does its firmware run?",
            )
        if goal.timeout_ms is None or now_ms - self._start_ms < goal.timeout_ms:
            return True
        raise self._not_reached(goal)

    def _not_reached(self, goal: Goal) -> EvtoolError:
        within = f"within {(goal.timeout_ms or 0) / 1000:g} s"
        if goal.until is not None:
            return CheckFailed(
                f"{self._port}: no line matched {goal.until.pattern!r} {within}"
                f" ({self._lines} lines came)",
                fix="the expression is searched in each line as the board prints it",
            )
        return CheckFailed(
            f"{self._port}: {self._records} of {goal.count} records came {within}",
            fix="the board prints each record of the chosen view once a second",
        )
