# SPDX-License-Identifier: GPL-3.0-or-later
"""CAN buses over loopback TCP: a socketcand server whose buses join its clients.

Each name that a client opens is a bus of its own, made when it is first opened. A frame goes
to every other client on the same bus, in the order in which the hub read it; the sender does
not hear its own. There is no arbitration, no bit rate and no bus load. Remote frames and
malformed requests are dropped and counted: the protocol has no way to carry or refuse them.

A client that reads too slowly is disconnected rather than allowed to hold the others up or
to fill the memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from evtool.errors import DeviceError
from evtool.protocol import socketcand
from evtool.protocol.can_frame import CanFrame, Malformed

DEFAULT_PORT = 29536

_BUS_NAME = re.compile(r"[A-Za-z0-9_-]{1,16}")
_MAX_CLIENTS = 64
_MAX_BACKLOG_BYTES = 256 * 1024
"""About 6000 frames: several seconds of a full bus at 250 kbit/s."""
_SETTLE_S = 1.0
"""How long after raw mode frames wait where the client says nothing: python-can takes one read for
one answer, so a frame behind the last `< ok >` in the same read would break its handshake."""


@dataclass(slots=True)
class HubStatistics:
    """What the hub counted since it started."""

    clients: int = 0
    frames: int = 0
    malformed: int = 0
    dropped_clients: int = 0


@dataclass(eq=False, slots=True)
class _Client:
    writer: asyncio.StreamWriter
    bus: str | None = None
    raw: bool = False
    waiting: list[bytes] | None = field(default_factory=list)
    """Frames that wait until the client has seen the end of its handshake; None after it."""


class CanHub:
    """The server; `start`, then `close`, both inside one asyncio event loop."""

    def __init__(self) -> None:
        self.statistics = HubStatistics()
        self._clients: set[_Client] = set()
        self._server: asyncio.Server | None = None

    async def start(self, host: str = "127.0.0.1", port: int = DEFAULT_PORT) -> int:
        """Listen on `host`; port 0 picks a free one. Returns the port.

        Raises:
            DeviceError: the address cannot be listened on.
        """
        try:
            self._server = await asyncio.start_server(self._serve, host, port, limit=65536)
        except OSError as error:
            raise DeviceError(
                f"cannot listen on {host}:{port}: {error.strerror or error}",
                fix="stop the other `evtool sim bus`, or give another port with --listen "
                "(port 0 picks a free one)",
            ) from error
        chosen: int = self._server.sockets[0].getsockname()[1]
        return chosen

    async def close(self) -> None:
        """Stop listening and disconnect every client."""
        if self._server is not None:
            self._server.close()
        for client in list(self._clients):
            self._disconnect(client)
        if self._server is not None:
            await self._server.wait_closed()
            self._server = None
        while self._clients:
            await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._clients) >= _MAX_CLIENTS:
            writer.close()
            return
        link = writer.get_extra_info("socket")
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client = _Client(writer)
        self._clients.add(client)
        self.statistics.clients += 1
        splitter = socketcand.ElementSplitter()
        try:
            self._write(client, socketcand.HI.encode("ascii"))
            while data := await reader.read(65536):
                for element in splitter.feed(data):
                    self._on_element(client, element)
        except ConnectionError:
            pass  # the client has gone without a goodbye, as a killed process does
        finally:
            self._clients.discard(client)
            self.statistics.clients -= 1
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    def _on_element(self, client: _Client, element: str) -> None:
        if client.raw:
            self._release(client)
            frame = socketcand.parse_send(element)
            if isinstance(frame, CanFrame):
                self._broadcast(client, frame)
            elif isinstance(frame, Malformed):
                self.statistics.malformed += 1
            elif element == "echo":
                self._write(client, socketcand.ECHO.encode("ascii"))
            return
        words = element.split()
        if client.bus is None and len(words) == 2 and words[0] == "open":
            if _BUS_NAME.fullmatch(words[1]) is None:
                self._write(client, b"< error could not open bus >")
                return
            client.bus = words[1]
            self._write(client, socketcand.OK.encode("ascii"))
        elif client.bus is not None and words == ["rawmode"]:
            client.raw = True
            self._write(client, socketcand.OK.encode("ascii"))
            asyncio.get_running_loop().call_later(_SETTLE_S, self._release, client)
        else:
            self._write(client, b"< error unknown command >")

    def _broadcast(self, sender: _Client, frame: CanFrame) -> None:
        self.statistics.frames += 1
        line = socketcand.render_frame(frame, time.time()).encode("ascii")
        for client in list(self._clients):
            if client is sender or not client.raw or client.bus != sender.bus:
                continue
            if client.waiting is not None:
                client.waiting.append(line)
            else:
                self._write(client, line)

    def _release(self, client: _Client) -> None:
        waiting, client.waiting = client.waiting, None
        if waiting and client in self._clients:
            self._write(client, b"".join(waiting))

    def _write(self, client: _Client, data: bytes) -> None:
        if client.writer.is_closing():
            return
        client.writer.write(data)
        if client.writer.transport.get_write_buffer_size() > _MAX_BACKLOG_BYTES:
            self.statistics.dropped_clients += 1
            self._disconnect(client)

    @staticmethod
    def _disconnect(client: _Client) -> None:
        # abort, not close: close would wait for the backlog of a client that does not read
        client.writer.transport.abort()


@contextlib.contextmanager
def hub_in_thread(host: str = "127.0.0.1", port: int = 0) -> Iterator[int]:
    """A hub in a thread of its own for the length of a `with` block; yields its port.

    Raises:
        DeviceError: the address cannot be listened on.
    """
    loop = asyncio.new_event_loop()
    hub = CanHub()
    try:
        chosen = loop.run_until_complete(hub.start(host, port))
    except BaseException:
        loop.close()
        raise
    thread = threading.Thread(target=loop.run_forever, name="can-hub", daemon=True)
    thread.start()
    try:
        yield chosen
    finally:
        asyncio.run_coroutine_threadsafe(hub.close(), loop).result(timeout=10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(timeout=10)
        loop.close()
