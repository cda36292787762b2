# SPDX-License-Identifier: GPL-3.0-or-later
"""When each of many things is next due: a heap, so that nothing is polled."""

from __future__ import annotations

import heapq
import itertools
from typing import Generic, Protocol, TypeVar


class Due(Protocol):
    """Something with a time of its own; only `DueTimes` writes it."""

    due_ms: int | None


D = TypeVar("D", bound=Due)


class DueTimes(Generic[D]):
    """The times of things; each has one at most, the last that was set."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, D]] = []
        self._count = itertools.count()

    def set(self, thing: D, due_ms: int | None) -> None:
        """`thing` is due at that time, and at no other; None: never."""
        if due_ms == thing.due_ms:
            return
        thing.due_ms = due_ms
        if due_ms is not None:
            # The entry for the time before stays until its turn comes, and counts no more.
            heapq.heappush(self._heap, (due_ms, next(self._count), thing))

    def pop(self, now_ms: int) -> list[D]:
        """The things that are due by now, the first one first; they are due no more."""
        popped = []
        while self._heap and self._heap[0][0] <= now_ms:
            due_ms, _, thing = heapq.heappop(self._heap)
            if thing.due_ms == due_ms:
                thing.due_ms = None
                popped.append(thing)
        return popped

    def next_ms(self) -> int | None:
        """The time of the first thing; None where none is due at all."""
        while self._heap and self._heap[0][2].due_ms != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None
