# SPDX-License-Identifier: GPL-3.0-or-later
"""What a board has to say, until the other end takes it.

With nobody at the other end, console text goes nowhere, as on a real board, except that the
last seconds are kept for whoever opens the port next: a board that was just flashed and
restarted has usually said who it is before the next program has the port open.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

RECENT_BYTES = 16_384
RECENT_MS = 10_000
BACKLOG_BYTES = 65_536
# Programs empty their input right after they opened a port; what is kept comes after that.
GREET_MS = 50
_PIECE = 1_024


@dataclass(slots=True)
class _Chunk:
    data: bytes
    discardable: bool
    time_ms: int


class Outbox:
    """Queued output of one line.

    Args:
        now_ms: the clock, for the age of console text.
        write: hands bytes to the other end, gives the number it took, 0 for a moment's rest;
            raises OSError where nobody is there.
    """

    def __init__(self, now_ms: Callable[[], int], write: Callable[[bytes], int]) -> None:
        self._now_ms = now_ms
        self._write = write
        self._greet_ms: int | None = None
        self._queue: deque[_Chunk] = deque()
        self._queued = 0
        self._recent: deque[_Chunk] = deque()

    @property
    def is_waiting(self) -> bool:
        """Whether `flush` has something left to do."""
        return bool(self._queue)

    @property
    def deadline_ms(self) -> int | None:
        """When `greet` is wanted, or None."""
        return self._greet_ms

    def send(self, data: bytes, *, discardable: bool, is_open: bool) -> None:
        """Queue `data`; console text is discardable, and the oldest of it goes first."""
        now_ms = self._now_ms()
        if discardable and (not is_open or self._greet_ms is not None):
            self._keep(data, now_ms)
            return
        if not is_open:
            return
        # In pieces, or the oldest text to drop could be all the text there is.
        step = _PIECE if discardable else max(len(data), 1)
        for start in range(0, len(data), step):
            self._queue.append(_Chunk(data[start : start + step], discardable, now_ms))
        self._queued += len(data)
        if self._queued > BACKLOG_BYTES:
            self._drop_oldest_text()
        self.flush()

    def flush(self) -> None:
        """Write as much of the queue as the other end takes."""
        while self._queue:
            chunk = self._queue[0]
            try:
                count = self._write(chunk.data)
            except BlockingIOError:
                return
            except OSError:  # hung up; the line tells
                return
            self._queued -= count
            if count < len(chunk.data):
                chunk.data = chunk.data[count:]
            else:
                self._queue.popleft()

    def discard(self) -> None:
        """Drop what was not delivered, and what was kept."""
        self.forget()
        self._recent.clear()
        self._greet_ms = None

    def forget(self) -> None:
        """Drop what was not delivered: whoever it was for is gone."""
        self._queue.clear()
        self._queued = 0

    def greet(self, *, is_open: bool) -> None:
        """Give whoever opened the port what was printed just before."""
        now_ms = self._now_ms()
        if not is_open:
            self._greet_ms = None
        elif self._greet_ms is None:
            if self._recent:
                self._greet_ms = now_ms + GREET_MS
        elif now_ms >= self._greet_ms:
            self._greet_ms = None
            oldest = now_ms - RECENT_MS
            kept = b"".join(chunk.data for chunk in self._recent if chunk.time_ms >= oldest)
            self._recent.clear()
            if kept:
                self.send(kept, discardable=True, is_open=True)

    def _keep(self, data: bytes, now_ms: int) -> None:
        if len(data) > RECENT_BYTES:
            self._recent.clear()
            data = data[-RECENT_BYTES:].partition(b"\n")[2]
        self._recent.append(_Chunk(data, discardable=True, time_ms=now_ms))
        while sum(len(kept.data) for kept in self._recent) > RECENT_BYTES:
            self._recent.popleft()

    def _drop_oldest_text(self) -> None:
        """Drop the oldest quarter: by single lines, each line would cost a walk of the queue."""
        limit = BACKLOG_BYTES * 3 // 4
        kept: deque[_Chunk] = deque()
        for chunk in self._queue:
            if chunk.discardable and self._queued > limit:
                self._queued -= len(chunk.data)
            else:
                kept.append(chunk)
        self._queue = kept
