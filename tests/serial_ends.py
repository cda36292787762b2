# SPDX-License-Identifier: GPL-3.0-or-later
"""The board's end of serial ports of every kind, for tests of what is at the other end."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import termios
import tty
from pathlib import Path
from typing import Protocol

from held_port import HeldPort

from evtool.protocol import rfc2217

_SIZE = 65_536


class SerialEnd(Protocol):
    """Where a board would be.

    Attributes:
        name: what opens the other end.
    """

    name: str

    def send(self, data: bytes) -> int:
        """Send what there is room for; how much."""

    def receive(self) -> bytes:
        """What came; b"" for nothing."""

    def wait(self, seconds: float) -> None:
        """Until something comes or there is room."""

    def pull(self) -> None:
        """Take the port away."""

    def bring(self) -> None:
        """Bring it back, by the same name."""

    def close(self) -> None:
        """Away with it."""


class PtyEnd:
    """A pseudo-terminal, by a link that stays the same."""

    def __init__(self, folder: Path) -> None:
        self.name = str(folder / "port")
        self._master = self._slave = -1
        self.bring()

    def send(self, data: bytes) -> int:
        """As `SerialEnd`."""
        try:
            return os.write(self._master, data)
        except BlockingIOError:
            return 0

    def receive(self) -> bytes:
        """As `SerialEnd`."""
        try:
            return os.read(self._master, _SIZE)
        except OSError:
            return b""

    def wait(self, seconds: float) -> None:
        """As `SerialEnd`."""
        select.select([self._master], [self._master], [], seconds)

    def pull(self) -> None:
        """As `SerialEnd`."""
        Path(self.name).unlink(missing_ok=True)
        for descriptor in (self._slave, self._master):
            with contextlib.suppress(OSError):
                os.close(descriptor)

    def bring(self) -> None:
        """As `SerialEnd`."""
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave, termios.TCSANOW)
        os.set_blocking(self._master, False)
        Path(self.name).symlink_to(os.ttyname(self._slave))

    def close(self) -> None:
        """As `SerialEnd`."""
        self.pull()


class TcpEnd:
    """A TCP server: plain bytes, or RFC 2217."""

    def __init__(self, *, with_lines: bool) -> None:
        self._with_lines = with_lines
        self._listener: socket.socket | None = None
        self._held = HeldPort()
        self._port = self._held.number
        self._client: socket.socket | None = None
        self._server = rfc2217.Server("test")
        self._unsent = b""
        self.baudrate = 0
        self.bring()
        scheme = "rfc2217" if with_lines else "socket"
        self.name = f"{scheme}://127.0.0.1:{self._port}"

    def send(self, data: bytes) -> int:
        """As `SerialEnd`."""
        self._accept()
        if self._client is None or not self._flush():
            return 0
        if not self._with_lines:
            try:
                return self._client.send(data)
            except OSError:
                return 0
        self._unsent = rfc2217.encode(data[:4096])
        self._flush()
        return len(data[:4096])

    def receive(self) -> bytes:
        """As `SerialEnd`."""
        self._accept()
        if self._client is None:
            return b""
        try:
            data = self._client.recv(_SIZE)
        except OSError:
            return b""
        if not self._with_lines:
            return data
        events = self._server.feed(data)
        self.baudrate = self._server.baudrate
        self._unsent += self._server.take_answers()
        self._flush()
        return b"".join(each.data for each in events if isinstance(each, rfc2217.PortBytes))

    def wait(self, seconds: float) -> None:
        """As `SerialEnd`."""
        if self._client is not None:
            select.select([self._client], [self._client], [], seconds)
        elif self._listener is not None:
            select.select([self._listener], [], [], seconds)

    def pull(self) -> None:
        """As `SerialEnd`."""
        for each in (self._client, self._listener):
            if each is not None:
                each.close()
        self._client = self._listener = None

    def bring(self) -> None:
        """As `SerialEnd`."""
        self._listener = socket.create_server(("127.0.0.1", self._port))
        self._listener.setblocking(False)
        self._server = rfc2217.Server("test")
        self._unsent = b""

    def close(self) -> None:
        """As `SerialEnd`."""
        self.pull()
        self._held.close()

    def _accept(self) -> None:
        if self._client is None and self._listener is not None:
            with contextlib.suppress(BlockingIOError):
                self._client, _ = self._listener.accept()
                self._client.setblocking(False)

    def _flush(self) -> bool:
        if self._client is not None and self._unsent:
            with contextlib.suppress(OSError):
                self._unsent = self._unsent[self._client.send(self._unsent) :]
        return not self._unsent


def serial_end(kind: str, folder: Path) -> SerialEnd:
    """The end of a port of the kind `pty`, `socket` or `rfc2217`."""
    return PtyEnd(folder) if kind == "pty" else TcpEnd(with_lines=kind == "rfc2217")
