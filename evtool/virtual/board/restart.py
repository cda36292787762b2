# SPDX-License-Identifier: GPL-3.0-or-later
"""When a chip that has nothing to run starts again, and what its ROM says until then."""

from __future__ import annotations

_FIRST_MS, _MAX_MS = 500, 8_000
# A ROM that finds no boot loader looks again and again, and says so, until its watchdog bites.
_WATCHDOG_MS = 900
_WORDS_PER_WAIT, _WORDS_MAX_MS = 20, 250


class Restart:
    """The wait before the next start: longer each time, or a bad image would spin for ever."""

    def __init__(self) -> None:
        self._next_wait_ms = _FIRST_MS
        self._wait_ms = 0
        self._at_ms = 0
        self._words = b""

    def forget(self) -> None:
        """What ran was good, or somebody pressed reset: the next wait is a short one."""
        self._next_wait_ms = _FIRST_MS

    def plan(self, now_ms: int, words: bytes = b"") -> int:
        """Begin to wait.

        Args:
            now_ms: the time.
            words: what is said again and again until then.

        Returns:
            when `look` is wanted.
        """
        self._wait_ms = max(self._next_wait_ms, _WATCHDOG_MS if words else 0)
        self._at_ms = now_ms + self._wait_ms
        self._words = words
        self._next_wait_ms = min(2 * self._next_wait_ms, _MAX_MS)
        return self._next_ms(now_ms)

    def look(self, now_ms: int) -> tuple[bytes, int] | None:
        """The words that are due, and when to look again; None: start."""
        if now_ms >= self._at_ms:
            return None
        return self._words, self._next_ms(now_ms)

    def _next_ms(self, now_ms: int) -> int:
        if not self._words:
            return self._at_ms
        return min(now_ms + min(self._wait_ms // _WORDS_PER_WAIT, _WORDS_MAX_MS), self._at_ms)
