# SPDX-License-Identifier: GPL-3.0-or-later
"""Numbers and states over time, in a fixed amount of memory however long they are collected.

A curve is kept in buckets of time, each with its first, least, greatest and last value: drawn
no finer than a bucket it looks as all of its values would. When there are too many buckets they
become twice as long. So nothing is thrown away of a short run, and no peak of a long one.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

MAX_BUCKETS = 1500
MAX_CHANGES = 3000
SILENT_MS = 5000
"""After a pause so long the curve goes on anew: nobody knows what was between."""

Point = tuple[int, int]
"""Time in ms, value."""

GapPoint = tuple[int, int | None]
"""The same; None where the curve is interrupted."""


@dataclass(slots=True)
class _Bucket:
    first: Point
    least: Point
    greatest: Point
    last: Point
    gap_ms: int | None = None

    def add(self, point: Point) -> None:
        if point[1] < self.least[1]:
            self.least = point
        if point[1] > self.greatest[1]:
            self.greatest = point
        self.last = point

    def join(self, later: _Bucket) -> None:
        if later.least[1] < self.least[1]:
            self.least = later.least
        if later.greatest[1] > self.greatest[1]:
            self.greatest = later.greatest
        self.last = later.last
        self.gap_ms = self.gap_ms if self.gap_ms is not None else later.gap_ms

    def points(self) -> list[GapPoint]:
        known: set[GapPoint] = {self.first, self.least, self.greatest, self.last}
        if self.gap_ms is not None:
            known.add((self.gap_ms, None))
        return sorted(known, key=lambda point: (point[0], point[1] is None, point[1] or 0))


class Curve:
    """One quantity."""

    def __init__(self) -> None:
        self._width_ms = 1
        self._buckets: dict[int, _Bucket] = {}
        self._latest: tuple[int, _Bucket] | None = None
        self._interrupted = False

    def add(self, at_ms: int, value: int | None) -> None:
        """It was `value` (None: unknown) at `at_ms`. Times that go back are taken as now."""
        if self._latest is not None:
            last_ms, bucket = self._latest
            at_ms = max(at_ms, last_ms)
            if not self._interrupted and (value is None or at_ms - last_ms > SILENT_MS):
                bucket.gap_ms = last_ms + 1
                self._interrupted = value is None
        if value is None:
            return
        self._interrupted = False
        index = at_ms // self._width_ms
        found = self._buckets.get(index)
        if found is None:
            point = (at_ms, value)
            found = self._buckets[index] = _Bucket(point, point, point, point)
            while len(self._buckets) > MAX_BUCKETS:
                self._widen()
            found = self._buckets[at_ms // self._width_ms]
        else:
            found.add((at_ms, value))
        self._latest = (at_ms, found)

    def _widen(self) -> None:
        self._width_ms *= 2
        joined: dict[int, _Bucket] = {}
        for index, bucket in self._buckets.items():  # in order of time
            before = joined.get(index // 2)
            if before is None:
                joined[index // 2] = bucket
            else:
                before.join(bucket)
        self._buckets = joined

    @property
    def empty(self) -> bool:
        """Whether nothing was ever known of it."""
        return not self._buckets

    @property
    def width_ms(self) -> int:
        """How long a bucket is: finer than that the curve is not."""
        return self._width_ms

    def points(self) -> list[GapPoint]:
        """In order of time; a None interrupts the curve."""
        return [point for bucket in self._buckets.values() for point in bucket.points()]


class Lane:
    """A state in words: when it became what."""

    def __init__(self) -> None:
        self._changes: list[tuple[int, str]] = []
        self._spacing_ms = 0

    def add(self, at_ms: int, value: str) -> None:
        """It is `value` from `at_ms` on; "" where nobody knows."""
        if not self._changes:
            if value:
                self._changes.append((at_ms, value))
            return
        last_ms, last = self._changes[-1]
        if value == last:
            return
        if at_ms - last_ms < self._spacing_ms:
            self._changes[-1] = (last_ms, value)  # shorter than anything that can be drawn
            return
        self._changes.append((max(at_ms, last_ms), value))
        while len(self._changes) > MAX_CHANGES:
            self._thin()

    def _thin(self) -> None:
        self._spacing_ms = max(1, self._spacing_ms * 2)
        kept = [self._changes[0]]
        for at_ms, value in self._changes[1:]:
            if at_ms - kept[-1][0] < self._spacing_ms:
                kept[-1] = (kept[-1][0], value)
            elif value != kept[-1][1]:
                kept.append((at_ms, value))
        self._changes = kept

    def spans(self, end_ms: int) -> list[tuple[int, int, str]]:
        """(from, to, value), in order of time, without the stretches of which nobody knows."""
        ends = [*self._changes, (max(end_ms, self._changes[-1][0] if self._changes else 0), "")]
        return [(from_ms, to_ms, value) for (from_ms, value), (to_ms, _) in pairwise(ends) if value]
