# SPDX-License-Identifier: GPL-3.0-or-later
"""What a key press does at a watch that shows lines or tables: the board's own keys, and `q`."""

from __future__ import annotations

from typing import Protocol

from evtool.errors import EvtoolError
from evtool.monitor.outgoing import Pace

BOARD_KEYS = frozenset("012345stm?")
_QUIT_KEYS = frozenset("q\x04")


class Watching(Protocol):
    """What keys do to a watch; `evtool.monitor.session.Session` is one."""

    def write(self, data: bytes, port: str = "") -> bool:
        """Send bytes; False where the port is not there."""

    def paste(self, data: bytes, pace: Pace, port: str = "") -> None:
        """Send a text at a pace."""

    def reset(self, port: str = "") -> bool:
        """Reset the board; False where that is not possible."""

    def press(self, key: str, port: str = "") -> None:
        """Pass a key of the board's menu on."""

    def received(self, port: str) -> int:
        """How many bytes have come from a port."""

    def quit(self) -> None:
        """End the watch, as its user wants."""

    def end(self, error: EvtoolError | None = None) -> None:
        """End the watch: well, or with `error`."""


class Keys(Protocol):
    """Whoever takes key presses.

    Attributes:
        may_wait: whether they are left where they are while much is still to be sent. Those of a
            person are not: one of them may end the watch.
    """

    may_wait: bool

    def on_keys(self, pressed: bytes, watching: Watching) -> None:
        """These were pressed, in order."""


class BoardKeys:
    """Passes on what the board knows, and nothing else: a stray key must not switch power."""

    may_wait = False

    def on_keys(self, pressed: bytes, watching: Watching) -> None:
        """As `Keys` says."""
        for key in pressed.decode("latin-1").lower():
            if key in _QUIT_KEYS:
                watching.quit()
                return
            if key in BOARD_KEYS:
                watching.press(key)


class PassOn:
    """Keys that come from a pipe or a file: bytes for the board, none of them ours."""

    may_wait = True

    def __init__(self, pace: Pace) -> None:
        self._pace = pace

    def on_keys(self, pressed: bytes, watching: Watching) -> None:
        """Send them."""
        watching.paste(pressed, self._pace)
