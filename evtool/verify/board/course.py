# SPDX-License-Identifier: GPL-3.0-or-later
"""Values in time: what the reference had, and what was seen of the board and when.

What is seen is known to have happened between two looks at the bus or the console: after
`since_ms` and not after `at_ms`. So a computer that was busy blames no board.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

FOREVER_MS = 1 << 62


class Course:
    """One field's values and the times at which it took them."""

    def __init__(self, value: str | None = None, now_ms: int = 0) -> None:
        self._times: list[int] = []
        self._values: list[str] = []
        if value is not None:
            self.note(value, now_ms)

    def note(self, value: str, now_ms: int) -> None:
        """It is this from `now_ms` on; times do not go back."""
        if not self._values or self._values[-1] != value:
            self._times.append(now_ms)
            self._values.append(value)

    @property
    def last(self) -> str | None:
        """The latest value; None where there is none yet."""
        return self._values[-1] if self._values else None

    def at(self, now_ms: int) -> str | None:
        """What it was at `now_ms`, the last of several in one millisecond."""
        index = bisect_right(self._times, now_ms)
        return self._values[index - 1] if index else None

    def within(self, from_ms: int, to_ms: int) -> list[str]:
        """Every value that it had at some moment from `from_ms` to `to_ms`."""
        first = max(0, bisect_right(self._times, from_ms) - 1)
        while first and self._times[first] == from_ms:
            first -= 1  # several in that very millisecond, and the one before
        return self._values[first : bisect_right(self._times, to_ms)]

    def spans(self) -> Iterator[tuple[str, int, int, str | None]]:
        """(value, from, to, the value that follows), in order; the last ends never."""
        for index, value in enumerate(self._values):
            is_last = index + 1 == len(self._values)
            end_ms = FOREVER_MS if is_last else self._times[index + 1]
            yield value, self._times[index], end_ms, None if is_last else self._values[index + 1]

    def points(self, from_ms: int, to_ms: int) -> list[tuple[int, str]]:
        """The value at `from_ms`, and every change until `to_ms`; for a timeline."""
        first = self.at(from_ms)
        found = [] if first is None else [(from_ms, first)]
        return found + [
            (time, value)
            for time, value in zip(self._times, self._values, strict=True)
            if from_ms < time <= to_ms
        ]


@dataclass(frozen=True, slots=True)
class Sighting:
    """One field of the board, seen once."""

    value: str
    since_ms: int
    at_ms: int


def first_stray(
    seen: Sequence[Sighting],
    course: Course,
    until_ms: int,
    early_ms: int,
    late_ms: Callable[[str], int],
    same: Callable[[str, str], bool],
) -> tuple[int, str, str] | None:
    """Where a value that holds until the next sighting first leaves what `course` allows.

    A value is allowed from `early_ms` before the course takes it to `late_ms(next)` after the
    course has gone on to `next`.

    Args:
        seen: in order of time; the first is what held at the start.
        late_ms: how long the board may take to follow to a value.
        same: whether two values are one, the course's first.

    Returns:
        the time, the course's value and the board's; None where it never does.
    """
    for index, each in enumerate(seen):
        is_last = index + 1 == len(seen)
        end_ms = until_ms if is_last else seen[index + 1].since_ms
        allowed = [
            (from_ms - early_ms, to_ms + (0 if then is None else late_ms(then)))
            for value, from_ms, to_ms, then in course.spans()
            if same(value, each.value)
        ]
        stray_ms = _uncovered(allowed, each.at_ms, end_ms)
        if stray_ms is not None and each.at_ms > end_ms:
            # It came and went between two looks: some moment in between is enough.
            latest_ms = until_ms if is_last else seen[index + 1].at_ms
            if any(low <= latest_ms and each.since_ms <= high for low, high in allowed):
                continue
        if stray_ms is not None:
            return stray_ms, course.at(stray_ms) or "-", each.value
    return None


def _uncovered(allowed: Sequence[tuple[int, int]], from_ms: int, to_ms: int) -> int | None:
    """The first moment from `from_ms` to `to_ms` that is in none of `allowed`."""
    covered_ms = from_ms
    for low, high in sorted(allowed):
        if low > covered_ms:
            break
        covered_ms = max(covered_ms, high + 1)
    return covered_ms if covered_ms <= max(from_ms, to_ms) else None
