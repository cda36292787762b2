# SPDX-License-Identifier: GPL-3.0-or-later
"""What a quantity was in the last minutes, in a ring of a fixed size, and drawn in one line."""

from __future__ import annotations

from collections.abc import Sequence

STEP_MS = 1000
"""A view prints once a second (docs/serial-console.md)."""

LENGTH = 512

_BARS = "▁▂▃▄▅▆▇█"
_ASCII_BARS = "_.-~=*%#"


class History:
    """The last value of each second for the last `LENGTH` seconds.

    A flood of values costs no more memory than one a second.
    """

    def __init__(self) -> None:
        self._values: list[int | None] = [None] * LENGTH
        self._newest = -1  # the number of the latest second

    def add(self, at_ms: int, value: int | None) -> None:
        """It was `value` (None: unknown) at `at_ms`. Times that go back are taken as now."""
        second = max(at_ms // STEP_MS, self._newest)
        if self._newest < 0:
            self._newest = second
        for passed in range(self._newest + 1, min(second, self._newest + LENGTH) + 1):
            self._values[passed % LENGTH] = None
        self._newest = second
        self._values[second % LENGTH] = value

    def last(self, count: int, now_ms: int) -> list[int | None]:
        """The values of the `count` seconds up to `now_ms`, oldest first.

        The second that has only begun is left out until it has a value; a single second
        without a value between two with one takes the earlier: a board's clock and ours drift.
        """
        newest = max(now_ms // STEP_MS, self._newest)
        if self._at(newest) is None:
            newest -= 1
        values = [self._at(second) for second in range(newest - count + 1, newest + 1)]
        for index in range(1, len(values) - 1):
            if values[index] is None and values[index + 1] is not None:
                values[index] = values[index - 1]
        return values

    def _at(self, second: int) -> int | None:
        if not self._newest - LENGTH < second <= self._newest or second < 0:
            return None
        return self._values[second % LENGTH]


def sparkline(
    values: Sequence[int | None], *, rows: int = 1, ascii_only: bool = False
) -> list[str]:
    """A column a value, its height between the least and the greatest of them; the top row first.

    What is unknown is blank. Values that are all alike lie flat.
    """
    known = [value for value in values if value is not None]
    if not known:
        return [" " * len(values)] * rows
    bars = _ASCII_BARS if ascii_only else _BARS
    low, high = min(known), max(known)
    most = rows * len(bars) - 1
    heights = [
        -1
        if value is None
        else 0
        if low == high
        else ((value - low) * most * 2 + high - low) // (2 * (high - low))
        for value in values
    ]
    return [
        "".join(_cell(height - floor, bars) for height in heights)
        for floor in range((rows - 1) * len(bars), -1, -len(bars))
    ]


def _cell(height: int, bars: str) -> str:
    return " " if height < 0 else bars[min(height, len(bars) - 1)]
