# SPDX-License-Identifier: GPL-3.0-or-later
"""A value and the time at which it came: what is stale is unknown, not the last value."""

from __future__ import annotations

from typing import Generic, TypeVar

T = TypeVar("T")


class Timed(Generic[T]):
    """The last value of a kind, if one ever came."""

    __slots__ = ("_at_ms", "_value")

    def __init__(self) -> None:
        self._value: T | None = None
        self._at_ms = 0

    def set(self, value: T, now_ms: int) -> None:
        """Take a value that came at `now_ms`."""
        self._value = value
        self._at_ms = now_ms

    def clear(self) -> None:
        """Forget: as if none had ever come."""
        self._value = None

    def age_ms(self, now_ms: int) -> int | None:
        """How long ago it came; None if it never did."""
        return None if self._value is None else now_ms - self._at_ms

    def within(self, limit_ms: int, now_ms: int) -> T | None:
        """The value if it is at most `limit_ms` old."""
        return self._value if now_ms - self._at_ms <= limit_ms else None

    def last(self) -> T | None:
        """The value, however old: for edges and records, never for a decision."""
        return self._value


class Every:
    """A period that neither drifts with late calls nor makes up for missed ones."""

    __slots__ = ("_due_ms", "_period_ms")

    def __init__(self, period_ms: int) -> None:
        self._period_ms = period_ms
        self._due_ms = 0

    def start(self, first_ms: int) -> None:
        """Be due at `first_ms` and then once in every period."""
        self._due_ms = first_ms

    def due(self, now_ms: int) -> bool:
        """True once for each period that has come; after a long gap once, not many times."""
        if now_ms < self._due_ms:
            return False
        self._due_ms += self._period_ms
        if self._due_ms <= now_ms:
            self._due_ms = now_ms + self._period_ms
        return True
