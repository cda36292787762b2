# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool monitor` in a terminal of its own."""

from __future__ import annotations

import codecs
import os
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Sequence
from fcntl import ioctl
from pathlib import Path

import pyte

LIMIT_S = 90


class Terminal:
    """A terminal of 80 x 24 with `evtool monitor` in it, and what it shows.

    Args:
        started_by: a program with its arguments, which starts the one that follows.
    """

    def __init__(
        self,
        *arguments: str,
        environment: dict[str, str] | None = None,
        started_by: Sequence[str] = (),
    ) -> None:
        self.master, slave = os.openpty()
        ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.before = termios.tcgetattr(slave)
        self.slave = slave
        self.text = ""
        self.screen = pyte.Screen(80, 24)
        self._stream = pyte.Stream(self.screen)
        # A Ctrl-C drops what is on its way to the terminal, in the middle of a character too.
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self.process = subprocess.Popen(
            [*started_by, sys.executable, "-m", "evtool", "monitor", *arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=os.environ | {"TERM": "xterm-256color", "LC_ALL": "C.UTF-8"} | (environment or {}),
            # of its own session, with this terminal, as a shell would start it
            start_new_session=True,
            preexec_fn=lambda: ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509  a single call
        )

    def read_until(self, wanted: str | Callable[[str], bool]) -> str:
        """The text so far, when it holds what is wanted."""
        arrived = wanted if callable(wanted) else lambda text: wanted in text
        deadline = time.monotonic() + LIMIT_S
        while not arrived(self.text):
            assert time.monotonic() < deadline, self.text
            if select.select([self.master], [], [], 0.1)[0]:
                self._take()
        return self.text

    def read_screen(self, wanted: Callable[[list[str]], bool]) -> list[str]:
        """The lines that are shown, when they are as wanted."""
        self.read_until(lambda _: wanted([line.rstrip() for line in self.screen.display]))
        return [line.rstrip() for line in self.screen.display]

    def _take(self) -> None:
        piece = self._decoder.decode(os.read(self.master, 65536))
        self.text += piece
        self._stream.feed(piece)

    def press(self, keys: bytes) -> None:
        os.write(self.master, keys)

    def end(self) -> int:
        """The exit code; the last of the text is read meanwhile, so that it can be written."""
        deadline = time.monotonic() + LIMIT_S
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"{self._signals()}\n{self.text[-2000:]}"
            if select.select([self.master], [], [], 0.05)[0]:
                self._take()
        while select.select([self.master], [], [], 0)[0]:
            self._take()
        return self.process.returncode

    def _signals(self) -> str:
        """What became of a signal, or of a key that is one: why does the monitor go on?"""
        status = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        modes = termios.tcgetattr(self.slave)[3]
        signals = ", ".join(line for line in status if line.startswith(("Sig", "Shd", "State")))
        has_keys = bool(modes & termios.ISIG)
        return f"it goes on: {signals}; ISIG {has_keys}; group {os.tcgetpgrp(self.master)}"

    def hang_up(self) -> None:
        """Close the terminal, as a person does who closes its window."""
        os.close(self.master)
        self.master = -1

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self.master >= 0:
            os.close(self.master)
        os.close(self.slave)
