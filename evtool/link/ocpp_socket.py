# SPDX-License-Identifier: GPL-3.0-or-later
"""A central system's end of a WebSocket, able to misbehave on demand."""

from __future__ import annotations

import asyncio
import struct

from aiohttp import WSMsgType, web

from evtool.errors import DeviceError
from evtool.link.websocket_connection import MAX_MESSAGE


class OcppSocket:
    """One WebSocket. After it has closed, everything but `close` raises DeviceError."""

    def __init__(
        self, socket: web.WebSocketResponse, transport: asyncio.Transport, ping_s: float | None
    ) -> None:
        self._socket = socket
        self._transport = transport
        self._stalled: asyncio.Future[None] | None = None
        self._slow = asyncio.Lock()
        self._is_slow = False
        self._why = ""
        self._ping_s = ping_s
        self._loop = asyncio.get_running_loop()
        self._heard = self._due = self._loop.time()
        self._pings: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        if ping_s is not None:
            self._wind(ping_s)

    async def recv(self) -> str:
        """The next text. Bytes are no OCPP message; they come as the text they might be."""
        while True:
            message = await self._socket.receive()
            if self._stalled is not None:
                await self._stalled
            self._heard = self._loop.time()
            if message.type is WSMsgType.TEXT:
                text: str = message.data
                return text
            if message.type is WSMsgType.BINARY:
                return bytes(message.data).decode(errors="replace")
            if message.type is WSMsgType.PING:
                await self._answer_ping(message.data)
            elif message.type is not WSMsgType.PONG:
                raise self._closed(message.data if message.type is WSMsgType.ERROR else None)

    async def send(self, text: str) -> None:
        """Send a text."""
        if self._stalled is not None:
            return
        if self._is_slow:
            async with self._slow:
                pass
        if self._socket.closed:
            raise self._closed(None)
        try:
            await self._socket.send_str(text)
        except (OSError, RuntimeError) as error:
            raise self._closed(error) from error

    async def send_slowly(self, text: str, pause_s: float) -> None:
        """Send a text byte by byte; other texts wait behind it."""
        async with self._slow:
            self._is_slow = True
            try:
                for byte in render_frame(text):
                    if self._transport.is_closing():
                        raise self._closed(None)
                    self._transport.write(bytes((byte,)))
                    await asyncio.sleep(pause_s)
            finally:
                self._is_slow = False

    async def close(self, code: int = 1000) -> None:
        """Say goodbye; twice does no harm."""
        self._end()
        await self._socket.close(code=code)

    def abort(self) -> None:
        """Cut it."""
        self._why = self._why or "cut from here"
        self._transport.abort()
        self._end()

    def stall(self) -> None:
        """Read and send nothing any more."""
        if self._stalled is None:
            self._stalled = self._loop.create_future()
            self._transport.pause_reading()

    def _end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._stalled is not None and not self._stalled.done():
            self._stalled.set_result(None)

    def _wind(self, ping_s: float) -> None:
        self._timer = self._loop.call_later(ping_s, self._on_timer)
        self._due = self._timer.when()

    def _on_timer(self) -> None:
        """Ask whether the peer is still there; cut it where it did not answer the last time."""
        assert self._ping_s is not None  # noqa: S101 - for the type checker
        # While this process was busy the peer was not silent: its answer may wait here.
        now = self._loop.time()
        self._heard = min(now, self._heard + now - self._due)
        self._wind(self._ping_s)
        if self._stalled is not None:
            return
        if now - self._heard > 2 * self._ping_s:
            self._why = f"silent for {2 * self._ping_s:g} s, no answer to a ping"
            self.abort()
        elif not self._is_slow:
            task = self._loop.create_task(self._ping())
            self._pings.add(task)
            task.add_done_callback(self._pings.discard)

    async def _answer_ping(self, data: bytes) -> None:
        try:
            await self._socket.pong(data)
        except (OSError, RuntimeError) as error:  # it has gone since: a flood, and then a cut
            raise self._closed(error) from error

    async def _ping(self) -> None:
        try:
            await self._socket.ping()
        except (OSError, RuntimeError):
            return  # it has closed; whoever reads from it is told

    def _closed(self, error: object) -> DeviceError:
        code = self._socket.close_code
        why = self._why or (str(error) if error else "") or _CODES.get(code or 0, "")
        return DeviceError(f"the connection has closed ({why or f'code {code}'})")


_CODES = {
    1000: "it said goodbye",
    1001: "it goes away",
    1002: "no WebSocket frame",
    1006: "no goodbye",
    1007: "no UTF-8",
    1009: f"a message of more than {MAX_MESSAGE} bytes",
}


def render_frame(text: str) -> bytes:
    """A text message as a server's frame (RFC 6455, 5.2)."""
    data = text.encode()
    if len(data) < 126:
        return bytes((0x81, len(data))) + data
    if len(data) < 1 << 16:
        return bytes((0x81, 126)) + struct.pack(">H", len(data)) + data
    return bytes((0x81, 127)) + struct.pack(">Q", len(data)) + data
