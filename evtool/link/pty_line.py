# SPDX-License-Identifier: GPL-3.0-or-later
"""A pseudo-terminal that stands for a board's USB-UART: the end at which the board is.

With nobody at the other end, console text goes nowhere, as on a real board, except that the
last seconds are kept for whoever opens the port next: a board that was just flashed and
restarted has usually said who it is before the next program has the port open.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import struct
import termios
import tty
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from evtool.errors import DeviceError
from evtool.link.clock import monotonic_ms
from evtool.link.open_watch import Opened, OpenWatch

RECENT_BYTES = 16_384
RECENT_MS = 10_000
BACKLOG_BYTES = 65_536
# Programs empty their input right after they opened a port; what is kept comes after that.
GREET_MS = 50
# After a close is seen the kernel still needs a moment to flag the hang-up.
SETTLE_MS = 100
_READ_SIZE = 65_536
_PIECE = 1_024
_TCGETS2 = 0x802C542A
_TERMIOS2_SIZE = 44
_OSPEED = struct.Struct("=I")
_OSPEED_OFFSET = 40


@dataclass(frozen=True, slots=True)
class LineNews:
    """What came over the line.

    Attributes:
        data: bytes from the host.
        closed: the last program closed the port.
        reopened: and one has it open again; the end of `data` is from after that.
    """

    data: bytes
    closed: bool
    reopened: bool


@dataclass(slots=True)
class _Chunk:
    data: bytes
    discardable: bool
    time_ms: int


class PtyLine:
    """The board's end. Wait on `watch_descriptor`, and on `descriptor` while `is_open`.

    Args:
        now_ms: the clock, for the age of console text.
    """

    def __init__(self, now_ms: Callable[[], int] = monotonic_ms) -> None:
        self._now_ms = now_ms
        try:
            self._master, slave = os.openpty()
        except OSError as error:
            raise DeviceError(
                f"cannot open a pseudo-terminal: {error.strerror or error}",
                fix="close other terminals, or raise kernel.pty.max",
            ) from error
        try:
            # Raw from the start: an echoing terminal would send the console back as typing.
            tty.setraw(slave)
            self.serial_port = os.ttyname(slave)
        finally:
            os.close(slave)
        os.set_blocking(self._master, False)
        self._poll = select.poll()
        self._poll.register(self._master, select.POLLIN)
        self._watch = OpenWatch(Path(self.serial_port))
        self._openers = 0
        self._settle_ms: int | None = None
        self._greet_ms: int | None = None
        self._queue: deque[_Chunk] = deque()
        self._queued = 0
        self._recent: deque[_Chunk] = deque()

    @property
    def descriptor(self) -> int:
        """The line itself; signals a hang-up without end while nobody has it open."""
        return self._master

    @property
    def watch_descriptor(self) -> int:
        """Readable when somebody opens or closes the port."""
        return self._watch.fileno()

    @property
    def is_open(self) -> bool:
        """Whether a program has the port open."""
        return self._openers > 0

    @property
    def wants_to_write(self) -> bool:
        """Whether `flush` has something left to do."""
        return bool(self._queue)

    @property
    def deadline_ms(self) -> int | None:
        """When `receive` is wanted although nothing happened, or None."""
        deadlines = [each for each in (self._settle_ms, self._greet_ms) if each is not None]
        return min(deadlines, default=None)

    def baudrate(self) -> int:
        """The rate that the host set."""
        raw = fcntl.ioctl(self._master, _TCGETS2, bytes(_TERMIOS2_SIZE))
        rate: int = _OSPEED.unpack_from(raw, _OSPEED_OFFSET)[0]
        return rate

    def receive(self) -> LineNews:
        """What came, in an order that a close and a reopen cannot mix up.

        The bytes are read first and the events after them: so whatever an event says
        happened before a byte was written is known before that byte is handed on.
        """
        data = self._read()
        closed = self._count(self._watch.read())
        if closed:
            self._forget()
            if not self.is_open:
                data += self._read()
                self._empty_other_end()
        self._greet()
        return LineNews(data, closed, reopened=closed and self.is_open)

    def send(self, data: bytes, *, discardable: bool) -> None:
        """Queue `data`; console text is discardable, and the oldest of it goes first."""
        now_ms = self._now_ms()
        if discardable and (not self.is_open or self._greet_ms is not None):
            self._keep(data, now_ms)
            return
        if not self.is_open:
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
        """Write as much of the queue as the port takes."""
        while self._queue:
            chunk = self._queue[0]
            try:
                count = os.write(self._master, chunk.data)
            except BlockingIOError:
                return
            except OSError:  # hung up; the watch tells
                return
            self._queued -= count
            if count < len(chunk.data):
                chunk.data = chunk.data[count:]
            else:
                self._queue.popleft()

    def discard(self) -> None:
        """Drop what was not delivered."""
        self._forget()
        self._recent.clear()
        self._greet_ms = None

    def close(self) -> None:
        """Hang up and remove the port."""
        self._watch.close()
        os.close(self._master)

    def _forget(self) -> None:
        self._queue.clear()
        self._queued = 0

    def _empty_other_end(self) -> None:
        """Drop what the last program did not read: the next one must not take it for its own.

        Setting the attributes that it has, with TCSAFLUSH, empties the other end's input. Only
        while nobody is there: a program that waits for input would find none after all, and
        pyserial takes that for a lost device.
        """
        with contextlib.suppress(termios.error):
            # First what is still on its way between the two ends.
            termios.tcflush(self._master, termios.TCOFLUSH)
            termios.tcsetattr(self._master, termios.TCSAFLUSH, termios.tcgetattr(self._master))

    def _read(self) -> bytes:
        parts = []
        while True:
            try:
                part = os.read(self._master, _READ_SIZE)
            except OSError:  # nothing there, or (EIO) nobody at the other end
                break
            if not part:
                break
            parts.append(part)
        return b"".join(parts)

    def _is_hung_up(self) -> bool:
        return any(event & select.POLLHUP for _, event in self._poll.poll(0))

    def _count(self, events: list[Opened]) -> bool:
        """Follow opens and closes; whether the last program closed the port."""
        closed = False
        for event in events:
            if event is Opened.OPEN:
                self._openers += 1
            elif self._openers > 0:
                self._openers -= 1
                closed = closed or self._openers == 0
        now_ms = self._now_ms()
        if self._is_hung_up():
            # The kernel knows for certain; opens at one moment may have been counted as one.
            closed = closed or self._openers > 0
            self._openers = 0
            self._settle_ms = None
        elif events and Opened.CLOSE in events:
            self._settle_ms = now_ms + SETTLE_MS
        elif self._settle_ms is not None and now_ms >= self._settle_ms:
            self._settle_ms = None
            self._openers = max(self._openers, 1)
        return closed

    def _keep(self, data: bytes, now_ms: int) -> None:
        if len(data) > RECENT_BYTES:
            self._recent.clear()
            data = data[-RECENT_BYTES:].partition(b"\n")[2]
        self._recent.append(_Chunk(data, discardable=True, time_ms=now_ms))
        while sum(len(kept.data) for kept in self._recent) > RECENT_BYTES:
            self._recent.popleft()

    def _greet(self) -> None:
        """Give whoever opened the port what was printed just before."""
        now_ms = self._now_ms()
        if not self.is_open:
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
                self.send(kept, discardable=True)

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
