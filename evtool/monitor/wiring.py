# SPDX-License-Identifier: GPL-3.0-or-later
"""What a session is connected to, and how it is to behave."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from evtool.monitor.outgoing import AT_ONCE, Pace
from evtool.monitor.redact import Redactor
from evtool.monitor.watched_console import Port


class Waiter(Protocol):
    """Waits for ports and keys."""

    def add(self, port: Port) -> None:
        """Wait for this one, too."""

    def remove(self, port: Port) -> None:
        """Wait for it no longer; before it is closed."""

    def want_room(self, port: Port, *, wanted: bool) -> None:
        """Whether to wake up when the port takes bytes."""

    def wait(self, seconds: float) -> Sequence[Port]:
        """The ports that have something, within that time; earlier and without any if a key was
        pressed, or a port takes bytes again."""

    def rest(self, seconds: float) -> None:
        """Let bytes gather for that long; a key ends it."""

    @property
    def was_alarmed(self) -> bool:
        """Whether a key was pressed, or a signal came, since this was last asked."""


@dataclass(frozen=True, slots=True)
class Wiring:
    """What a session is connected to.

    Attributes:
        open_port: opens a port by its name, for the session's own time; None: not yet, it is
            still trying. Raises DeviceError.
        waiter: waits.
        now_ms: the monotonic clock.
        now_ns: Unix time in nanoseconds.
        keys: the keys pressed since the last call.
        stopped: whether the program is to end.
        redactor: masks the project's secrets, for one port, before anything else sees them.
        polls_keys: whether `keys` is to be asked now and then, too; no need where every key press
            ends the waiter's waiting.
        can_return: whether a port that disappeared may come back under its name.
        is_behind: whether a little of what was shown is not taken yet, and will be in a moment.
    """

    open_port: Callable[[str], Port | None]
    waiter: Waiter
    now_ms: Callable[[], int]
    now_ns: Callable[[], int]
    keys: Callable[[], bytes]
    stopped: Callable[[], bool]
    redactor: Callable[[], Redactor]
    polls_keys: bool = True
    can_return: Callable[[str], bool] = lambda name: True
    is_behind: Callable[[], bool] = lambda: False


@dataclass(frozen=True, slots=True)
class Conduct:
    """How a watch behaves.

    Attributes:
        ask_view: the board is asked for the view, again after each of its restarts.
        send: bytes for the boards, sent once; then `paste`, at `pace`.
        reconnect: whether to wait for a port that disappeared.
        reset: whether to reset the boards at the start.
        keep_waiting: whether what waits in a port when it is opened is shown, too.
        goes_on: whether a port that takes no bytes ends nothing as long as there are others.
    """

    ask_view: bool = True
    send: bytes = b""
    paste: bytes = b""
    pace: Pace = AT_ONCE
    reconnect: bool = True
    reset: bool = False
    keep_waiting: bool = False
    goes_on: bool = True
