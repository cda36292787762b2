# SPDX-License-Identifier: GPL-3.0-or-later
"""Single key presses from a terminal, which is given back as it was found."""

from __future__ import annotations

import os
import select
import sys
import termios
import tty
from typing import Any


class Keyboard:
    """The terminal on stdin, unechoed and key by key, inside a `with`.

    Ctrl-C still stops the program. Ctrl-Z does nothing: it would leave the shell with a
    terminal in this state.
    """

    def __init__(self) -> None:
        self._descriptor = sys.stdin.fileno()
        self._saved: list[Any] | None = None  # termios' own mixture

    @staticmethod
    def available() -> bool:
        """Whether stdin is a terminal, and ours to use (not that of a foreground job)."""
        try:
            descriptor = sys.stdin.fileno()
            return os.isatty(descriptor) and os.tcgetpgrp(descriptor) == os.getpgrp()
        except (OSError, ValueError, AttributeError):  # closed, or no stdin at all
            return False

    def __enter__(self) -> Keyboard:
        self._saved = termios.tcgetattr(self._descriptor)
        tty.setcbreak(self._descriptor, termios.TCSANOW)
        attributes = termios.tcgetattr(self._descriptor)
        attributes[6][termios.VSUSP] = b"\0"
        termios.tcsetattr(self._descriptor, termios.TCSANOW, attributes)
        return self

    def __exit__(self, *_: object) -> None:
        if self._saved is not None:
            # what was typed and not read is not meant for the shell
            termios.tcsetattr(self._descriptor, termios.TCSAFLUSH, self._saved)

    def read(self) -> bytes:
        """The keys pressed since the last call; b"" without waiting where there are none.

        A terminal that was closed reads as `q`.
        """
        if not select.select([self._descriptor], [], [], 0)[0]:
            return b""
        try:
            return os.read(self._descriptor, 256) or b"q"
        except OSError:
            return b"q"
