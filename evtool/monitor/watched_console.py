# SPDX-License-Identifier: GPL-3.0-or-later
"""One console of a watch: its port while it is there, its stream, and what waits to be sent."""

from __future__ import annotations

from typing import Protocol

from evtool.errors import DeviceError
from evtool.monitor.outgoing import Outgoing
from evtool.monitor.port_stream import PortStream
from evtool.monitor.redact import Redactor


class Port(Protocol):
    """A board's console, open. Nothing here waits."""

    def fileno(self) -> int:
        """What to wait on."""

    def read_waiting(self) -> bytes:
        """What has arrived, at most 64 KiB; b"" for nothing. Raises DeviceError when it is gone."""

    def write_some(self, data: bytes) -> int:
        """Send as much as there is room for; how much. Raises DeviceError when it is gone."""

    def discard_waiting(self) -> None:
        """Drop what was sent before now. Raises DeviceError when the port is gone."""

    def reset(self) -> bool:
        """Press the board's reset button; False where the port has no such line."""

    def close(self) -> None:
        """Give it back."""


class WatchedConsole:
    """One port of a session, there or not.

    Attributes:
        name: as the user sees it.
        port: None while it is gone.
        stream: what comes, masked; `clear` is the same as it is.
        received: how many bytes have come.
        gone: why it is not there; None while it is.
        reopen_ms: when to try again; None where there is no use.
        refuses_reset: it was to be reset, and cannot be.
        refused: why it did not take what was sent to it; None where it always did.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.port: Port | None = None
        self.stream = self.clear = PortStream(name, Redactor(()), 0)
        self.received = 0
        self.outgoing = Outgoing(name)
        self.gone: DeviceError | None = DeviceError(f"{name}: it has not answered yet")
        self.reopen_ms: int | None = 0
        self.refuses_reset = False
        self.refused: DeviceError | None = None

    def attach(self, port: Port, redactor: Redactor, now_ms: int) -> None:
        """The port is there (again); what was not sent to the last one is for nobody."""
        self.port = port
        self.gone = None
        self.stream = PortStream(self.name, redactor, now_ms)
        self.clear = PortStream(self.name, Redactor(()), now_ms)
        self.outgoing = Outgoing(self.name)

    @property
    def next_ms(self) -> int | None:
        """When it wants to be looked at although nothing comes."""
        if self.port is None:
            return self.reopen_ms
        times = [each for each in (self.stream.next_ms, self.outgoing.next_ms) if each is not None]
        return min(times, default=None)
