# SPDX-License-Identifier: GPL-3.0-or-later
"""How long things took: as many as there are, in little memory, as percentiles within 2 %."""

from __future__ import annotations

import math
from collections import Counter

_STEP = math.log(1.04)
_SHORTEST_MS = 0.001


class Latencies:
    """Durations in milliseconds, counted in classes that are 4 % wide."""

    __slots__ = ("_classes", "count", "longest_ms")

    def __init__(self) -> None:
        self._classes: Counter[int] = Counter()
        self.count = 0
        self.longest_ms = 0.0

    def add(self, milliseconds: float) -> None:
        """One more."""
        self._classes[int(math.log(max(milliseconds, _SHORTEST_MS)) / _STEP + 10_000)] += 1
        self.count += 1
        self.longest_ms = max(self.longest_ms, milliseconds)

    def percentile_ms(self, percent: float) -> float:
        """What so many percent did not exceed, at most 2 % off; 0 where there are none."""
        wanted = self.count * percent / 100
        seen = 0
        for number in sorted(self._classes):
            seen += self._classes[number]
            if seen >= wanted:
                middle = math.exp((number + 0.5 - 10_000) * _STEP)
                return min(middle, self.longest_ms)
        return 0.0

    def describe(self) -> dict[str, float]:
        """For JSON: percentiles and maximum in milliseconds."""
        named = {f"p{percent:g}": self.percentile_ms(percent) for percent in (50, 90, 99, 99.9)}
        return {name: round(ms, 3) for name, ms in (named | {"max": self.longest_ms}).items()}
