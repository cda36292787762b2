# SPDX-License-Identifier: GPL-3.0-or-later
"""A pseudo-terminal that stands for a board's USB-UART: the end at which the board is."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import struct
import termios
import tty
from collections.abc import Callable
from pathlib import Path

from evtool.errors import DeviceError
from evtool.link.clock import monotonic_ms
from evtool.link.line_news import LineNews
from evtool.link.open_watch import Opened, OpenWatch
from evtool.link.outbox import Outbox

# After a close is seen the kernel still needs a moment to flag the hang-up.
SETTLE_MS = 100
_READ_SIZE = 65_536
_TCGETS2 = 0x802C542A
_TERMIOS2_SIZE = 44
_OSPEED = struct.Struct("=I")
_OSPEED_OFFSET = 40


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
        self._outbox = Outbox(now_ms, lambda data: os.write(self._master, data))

    @property
    def descriptor(self) -> int:
        """The line itself; signals a hang-up without end while nobody has it open."""
        return self._master

    @property
    def watch_descriptor(self) -> int:
        """Readable when somebody opens or closes the port."""
        return self._watch.fileno()

    @property
    def session(self) -> int:
        """Always the same: the descriptor is."""
        return 0

    @property
    def is_open(self) -> bool:
        """Whether a program has the port open."""
        return self._openers > 0

    @property
    def wants_to_write(self) -> bool:
        """Whether `flush` has something left to do."""
        return self._outbox.is_waiting

    @property
    def deadline_ms(self) -> int | None:
        """When `receive` is wanted although nothing happened, or None."""
        deadlines = [
            each for each in (self._settle_ms, self._outbox.deadline_ms) if each is not None
        ]
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
            self._outbox.forget()
            if not self.is_open:
                data += self._read()
                self._empty_other_end()
        self._outbox.greet(is_open=self.is_open)
        return LineNews(data, closed, reopened=closed and self.is_open)

    def send(self, data: bytes, *, discardable: bool) -> None:
        """Queue `data`; console text is discardable, and the oldest of it goes first."""
        self._outbox.send(data, discardable=discardable, is_open=self.is_open)

    def flush(self) -> None:
        """Write as much of the queue as the port takes."""
        self._outbox.flush()

    def discard(self) -> None:
        """Drop what was not delivered."""
        self._outbox.discard()

    def close(self) -> None:
        """Hang up and remove the port."""
        self._watch.close()
        os.close(self._master)

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
