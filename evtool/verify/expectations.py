# SPDX-License-Identifier: GPL-3.0-or-later
"""What a scenario expects of the reference: fields of its state, and lines that it puts out.

A pattern is a line of docs/host-program.md in which `*` stands for any text. Lines are looked
for in a stretch of time that ends with the expectation: by default in that very millisecond.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import takewhile

from evtool.verify.compare import state_of
from evtool.verify.scenario import Event
from evtool.verify.step import Step
from evtool.verify.verdict import FailedExpectation

_NOTHING = "(nothing)"


class Expectations:
    """Takes the reference's steps in their order and judges events among them.

    Args:
        within_ms: the longest stretch of time that any event looks back.
    """

    def __init__(self, within_ms: int) -> None:
        self._within_ms = within_ms
        self._last: Step | None = None
        self._lines: deque[tuple[int, str]] = deque()

    def see(self, step: Step) -> None:
        """Take a step; what is older than any event looks back is forgotten."""
        self._last = step
        self._lines += [(step.now_ms, line) for line in step.answer[:-1]]  # the state stands last
        while self._lines and self._lines[0][0] < step.now_ms - self._within_ms:
            self._lines.popleft()

    def judge(self, event: Event, now_ms: int) -> Iterator[FailedExpectation]:
        """What `event` expects at `now_ms`, in vain."""
        for field, expected, actual in self._missed(event, now_ms):
            yield FailedExpectation(event.at_ms, now_ms, event.line, field, expected, actual)

    def _missed(self, event: Event, now_ms: int) -> Iterator[tuple[str, str, str]]:
        state = state_of(() if self._last is None else self._last.answer)
        for name, expected in event.expect.items():
            actual = state.get(name, "(no such field)")
            if actual != expected:
                yield name, expected, actual
        since_ms = now_ms - event.within_ms
        # The first millisecond belongs to the stretch before, unless it is the only one.
        lines = [line for at_ms, line in self._lines if since_ms < at_ms or at_ms == now_ms]
        missing = first_missing(event.output, lines)
        if missing is not None:
            yield "output", missing, self._instead_of(missing, lines)
        for pattern in event.absent:
            found = next((line for line in lines if matches(pattern, line)), None)
            if found is not None:
                yield "absent", f"no {pattern}", found
        if event.first_frame is not None:
            first = next((line for line in lines if line.startswith("can ")), _NOTHING)
            if not matches(event.first_frame, first):
                yield "first_frame", event.first_frame, first

    def _instead_of(self, pattern: str, lines: Sequence[str]) -> str:
        """What a reader wants to know of a line that is not there."""
        if any(matches(pattern, line) for line in lines):
            return "(only before the one expected before it)"
        for at_ms, line in reversed(self._lines):
            if matches(pattern, line):
                return f"(nothing since then; last at {at_ms} ms)"
        start = pattern.partition("*")[0]
        near = [line for line in lines if _shared(line, start).count(" ") > 1]
        return max(near, key=lambda line: len(_shared(line, start)), default=_NOTHING)


def _shared(line: str, start: str) -> str:
    """What both begin with."""
    pairs = zip(line, start, strict=False)
    return "".join(ours for ours, _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def first_missing(patterns: Sequence[str], lines: Sequence[str]) -> str | None:
    """The first of `patterns` that has no line behind those of the patterns before it."""
    rest = iter(lines)
    for pattern in patterns:
        if not any(matches(pattern, line) for line in rest):
            return pattern
    return None


def matches(pattern: str, line: str) -> bool:
    """Whether `line` is `pattern`, whose `*` stand for any text.

    Without a regular expression: that would take for ever over many `*`.
    """
    first, *rest = pattern.split("*")
    if not rest:
        return line == pattern
    *middle, last = rest
    if not line.startswith(first):
        return False
    position = len(first)
    for part in middle:
        found = line.find(part, position)
        if found < 0:
            return False
        position = found + len(part)
    return len(line) - len(last) >= position and line.endswith(last)
