# SPDX-License-Identifier: GPL-3.0-or-later
"""Signals that end a program between two pieces of work, not in the middle of one."""

from __future__ import annotations

import contextlib
import os
import signal
from types import FrameType
from typing import Any

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


class Interrupts:
    """Inside a `with`, keeps the signals that end a program: `received` says which one came.

    The second one is not kept: whoever sends it has waited long enough. A signal that was ignored
    when the program was started (nohup) stays ignored.

    Attributes:
        received: the number of the first signal; None so far.
    """

    def __init__(self) -> None:
        self.received: int | None = None
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
            end(number)
        self.received = number
        os.write(self._writer, b"!")


def end(number: int) -> None:
    """End as a program that got this signal does, giving everything back on the way.

    Raises:
        KeyboardInterrupt: for SIGINT.
        SystemExit: for the others, with 128 + the number.
    """
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    raise SystemExit(128 + number)
