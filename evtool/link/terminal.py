# SPDX-License-Identifier: GPL-3.0-or-later
"""The terminal on stdout as a place to draw: its size, and writes that wait for nobody."""

from __future__ import annotations

import contextlib
import os
import select
import sys
import termios

from evtool.link.interrupts import Uncut
from evtool.link.own_descriptor import own_descriptor

_FALLBACK_SIZE = (80, 24)
_LAST_WORDS_MS = 2000


class Terminal:
    """The terminal that stdout is.

    It is opened a second time, so that writing without waiting does not change how anybody else
    writes to it. A terminal that is stopped (Ctrl-S), or slow, therefore delays nothing: the
    rest of a picture is kept until there is room, and `busy` says so.
    """

    def __init__(self) -> None:
        self._stdout = sys.stdout.fileno()
        self._descriptor = own_descriptor(self._stdout, os.O_WRONLY)
        self._rest = b""

    @staticmethod
    def available() -> bool:
        """Whether stdout is a terminal that obeys more than line ends."""
        try:
            return sys.stdout.isatty() and os.environ.get("TERM", "dumb") not in ("", "dumb")
        except ValueError:  # closed
            return False

    @property
    def colour(self) -> bool:
        """Whether colours are wanted (https://no-color.org)."""
        return not os.environ.get("NO_COLOR")

    @property
    def ascii_only(self) -> bool:
        """Whether it shows no more than ASCII, by the locale that the user has set. Python takes
        UTF-8 for the locale C, and says so in LC_CTYPE to what it starts."""
        ctype = os.environ.get("LC_CTYPE", "")
        names = (os.environ.get("LC_ALL"), "" if ctype == "C.UTF-8" else ctype)
        locale = next(filter(None, (*names, os.environ.get("LANG"))), ctype)
        encoding = (sys.stdout.encoding or "ascii").lower().replace("-", "")
        return locale in ("C", "POSIX") or not encoding.startswith("utf")

    def size(self) -> tuple[int, int]:
        """Columns and lines, now."""
        try:
            width, height = os.get_terminal_size(self._stdout)
        except OSError:
            return _FALLBACK_SIZE
        return (width, height) if width and height else _FALLBACK_SIZE

    @property
    def busy(self) -> bool:
        """Whether the last picture is not wholly written yet; it tries to write more of it."""
        self._flush()
        return bool(self._rest)

    def write(self, text: str) -> None:
        """Write now what there is room for, and the rest later. A terminal that is gone takes
        everything and shows nothing: its keyboard says that it is gone."""
        self._rest += text.encode(errors="replace")
        self._flush()

    def close(self, last_words: str) -> None:
        """Write `last_words` in place of what is not written yet, and wait until they are; not
        for long where nobody takes them. A terminal that is stopped (Ctrl-S) goes on."""
        with Uncut():
            with contextlib.suppress(termios.error):
                termios.tcflow(self._descriptor, termios.TCOON)
            self._rest = last_words.encode()
            room = select.poll()
            room.register(self._descriptor, select.POLLOUT)
            while self._rest and room.poll(_LAST_WORDS_MS):
                self._flush()
            os.close(self._descriptor)

    def _flush(self) -> None:
        while self._rest:
            try:
                self._rest = self._rest[os.write(self._descriptor, self._rest) :]
            except BlockingIOError:
                return
            except OSError:
                self._rest = b""
