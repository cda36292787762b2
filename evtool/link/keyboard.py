# SPDX-License-Identifier: GPL-3.0-or-later
"""Key presses from a terminal, which is given back as it was found; or bytes from a pipe."""

from __future__ import annotations

import contextlib
import os
import select
import stat
import sys
import termios
import tty
from collections.abc import Callable
from typing import Any

from evtool.link.interrupts import Uncut
from evtool.link.own_descriptor import own_descriptor

_READ_SIZE = 65_536


class Keyboard:
    """The terminal on stdin, unechoed and key by key, inside a `with`.

    Ctrl-C still stops the program. Ctrl-Z and Ctrl-\\ do nothing: they would leave the shell with
    a terminal in this state.

    Args:
        raw: every key comes as its bytes, Ctrl-C too, and the terminal shows bytes as they are
            written to it, line ends included.
        lost: told once that the terminal was closed. No key comes from it any more.
    """

    def __init__(self, *, raw: bool = False, lost: Callable[[], None] = lambda: None) -> None:
        self._descriptor = sys.stdin.fileno()
        # Of our own, so that reading without waiting changes nothing for whoever else has it.
        self._keys = own_descriptor(self._descriptor, os.O_RDONLY)
        self._raw = raw
        self._lost = lost
        self._is_lost = False
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
        if self._raw:
            tty.setraw(self._descriptor, termios.TCSANOW)
            return self
        tty.setcbreak(self._descriptor, termios.TCSANOW)
        attributes = termios.tcgetattr(self._descriptor)
        attributes[6][termios.VSUSP] = attributes[6][termios.VQUIT] = b"\0"
        termios.tcsetattr(self._descriptor, termios.TCSANOW, attributes)
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._keys)
        if self._saved is None:
            return
        # A terminal that was closed takes nothing back; one that is stopped is not waited for,
        # as TCSAFLUSH would.
        with Uncut(), contextlib.suppress(termios.error):
            # what was typed and not read is not meant for the shell
            termios.tcflush(self._descriptor, termios.TCIFLUSH)
            termios.tcsetattr(self._descriptor, termios.TCSANOW, self._saved)

    def fileno(self) -> int:
        """The descriptor to wait on."""
        return self._keys

    def read(self) -> bytes:
        """The keys pressed since the last call; b"" without waiting where there are none."""
        if self._is_lost or not select.select([self._keys], [], [], 0)[0]:
            return b""
        keys = b""
        try:
            keys = os.read(self._keys, _READ_SIZE)
        except BlockingIOError:  # a Ctrl-C has dropped them since
            return b""
        except OSError:
            pass
        if not keys:
            self._is_lost = True
            self._lost()
        return keys


class PipedInput:
    """What another program, or a file, has for the board on stdin. Its end ends nothing."""

    def __init__(self) -> None:
        self._descriptor = sys.stdin.fileno()
        self._ended = False

    @staticmethod
    def available() -> bool:
        """Whether stdin is a pipe, a socket or a file."""
        try:
            mode = os.fstat(sys.stdin.fileno()).st_mode
        except (OSError, ValueError, AttributeError):
            return False
        return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or stat.S_ISREG(mode)

    def read(self) -> bytes:
        """What has come since the last call, at most 64 KiB; b"" without waiting for nothing."""
        if self._ended or not select.select([self._descriptor], [], [], 0)[0]:
            return b""
        data = os.read(self._descriptor, _READ_SIZE)
        self._ended = not data
        return data
