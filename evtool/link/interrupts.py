# SPDX-License-Identifier: GPL-3.0-or-later
"""Signals that end a program between two pieces of work, not in the middle of one."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from types import FrameType
from typing import Any

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_HELD_DOWN_S = 0.5


class Interrupts:
    """Inside a `with`, keeps the signals that end a program: `received` says which one came.

    One that comes half a second later or more is not kept: whoever sends it has waited long
    enough. Until then it is the same: a key that was held down. A signal that was ignored when the
    program was started (nohup) stays ignored.

    Attributes:
        received: the number of the first signal; None so far.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._at_s = 0.0
        self._saved: dict[int, Any] = {}
        self._reader, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def fileno(self) -> int:
        """Readable once a signal has come."""
        return self._reader

    def hang_up(self) -> None:
        """The terminal was closed: as the signal that tells of it, unless that one is ignored."""
        if signal.SIGHUP in self._saved and self.received is None:
            self._receive(signal.SIGHUP, None)

    def __enter__(self) -> Interrupts:
        for number in _ENDING:
            if signal.getsignal(number) != signal.SIG_IGN:
                self._saved[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._saved.items():
            signal.signal(number, handler)
        for descriptor in (self._reader, self._writer):
            with contextlib.suppress(OSError):
                os.close(descriptor)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None:
            if time.monotonic() - self._at_s >= _HELD_DOWN_S:
                end(number)
            return
        self.received, self._at_s = number, time.monotonic()
        os.write(self._writer, b"!")


class Uncut:
    """Inside a `with`, what gives a terminal back is not cut short by a second Ctrl-C: the signals
    that end a program come when it is done. For the main thread.
    """

    def __init__(self) -> None:
        self._saved: dict[int, Any] = {}
        self._came: list[int] = []
        self._raised: BaseException | None = None

    def __enter__(self) -> None:
        for number in _ENDING:
            if signal.getsignal(number) == signal.SIG_IGN:
                continue
            try:
                self._saved[number] = signal.signal(number, self._receive)
            except (KeyboardInterrupt, SystemExit) as raised:  # by one that came just before
                self._raised = raised
                self._saved[number] = signal.signal(number, self._receive)

    def __exit__(self, *_: object) -> None:
        for number, handler in self._saved.items():
            signal.signal(number, handler)
        if self._raised is not None:
            raise self._raised
        for number in self._came[:1]:
            signal.raise_signal(number)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self._came.append(number)


def end(number: int) -> None:
    """End as a program that got this signal does, giving everything back on the way.

    Raises:
        KeyboardInterrupt: for SIGINT.
        SystemExit: for the others, with 128 + the number.
    """
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    raise SystemExit(128 + number)
