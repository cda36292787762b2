# SPDX-License-Identifier: GPL-3.0-or-later
"""What waits to be sent to a board: as fast as its port takes it, or at a pace."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from evtool.errors import LinkTimeout

WRITE_TIMEOUT_MS = 2000
_RETRY_MS = 20
_CROWD = 65_536


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a pasted text goes out: many a board has no room for a whole one.

    Attributes:
        line_ms: wait behind each line.
        byte_ms: wait behind each byte.
    """

    line_ms: int = 0
    byte_ms: int = 0

    def pieces(self, data: bytes) -> list[tuple[bytes, int]]:
        """`data` as what goes out in one go, and how long to wait behind each."""
        if self.byte_ms:
            return [
                (bytes([byte]), self.byte_ms + (self.line_ms if byte in b"\r\n" else 0))
                for byte in data
            ]
        if self.line_ms:
            return [(line, self.line_ms) for line in data.splitlines(keepends=True)]
        return [(data, 0)]


AT_ONCE = Pace()


class Outgoing:
    """The bytes for one port, in order; nothing is lost, and nothing overtakes a paste."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._pieces: deque[tuple[bytes, int]] = deque()
        self._due_ms: int | None = None
        self._moved_ms: int | None = None
        self._size = 0
        self.is_full = False

    def add(self, data: bytes, pace: Pace | None = None) -> None:
        """Queue `data`."""
        self._size += len(data)
        self._pieces.extend((pace or AT_ONCE).pieces(data))

    @property
    def is_waiting(self) -> bool:
        """Whether there is anything left."""
        return bool(self._pieces)

    @property
    def is_crowded(self) -> bool:
        """Whether so much waits that no more should be taken."""
        return self._size > _CROWD

    @property
    def next_ms(self) -> int | None:
        """When to `flush` again; None where nothing is left."""
        return self._due_ms if self._pieces else None

    def flush(self, write_some: Callable[[bytes], int], now_ms: int) -> bool:
        """Send what is due and fits; True.

        Raises:
            LinkTimeout: the port has taken nothing for `WRITE_TIMEOUT_MS`.
            DeviceError: as `write_some`.
        """
        self.is_full = False
        while self._pieces:
            if self._moved_ms is None and self._due_ms is not None and now_ms < self._due_ms:
                return True
            piece, wait_ms = self._pieces[0]
            sent = write_some(piece)
            self._size -= sent
            if sent < len(piece):
                self._pieces[0] = (piece[sent:], wait_ms)
                if sent or self._moved_ms is None:
                    self._moved_ms = now_ms
                if now_ms - self._moved_ms >= WRITE_TIMEOUT_MS:
                    raise LinkTimeout(
                        f"{self._name}: the port took no bytes for {WRITE_TIMEOUT_MS / 1000:g} s",
                        fix="check the cable, or unplug the board and plug it in again",
                    )
                self.is_full = True
                self._due_ms = now_ms + _RETRY_MS
                return True
            self._moved_ms = None
            self._pieces.popleft()
            self._due_ms = now_ms + wait_ms if wait_ms else None
        return True
