# SPDX-License-Identifier: GPL-3.0-or-later
"""WebSockets against peers that err, dawdle, flood or vanish; pings; what is never logged."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import logging
import os
import struct
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, ClassVar

import pytest

from evtool.errors import DeviceError
from evtool.link import websocket_connection
from evtool.link.websocket import WebSocket, WebSocketServer, open_websocket, start_server

WAIT_S = 60
TEXT, BINARY, PART, CLOSE, PING, PONG = 1, 2, 0, 8, 9, 10

Handle = Callable[[str, WebSocket], Awaitable[None]]


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def limited() -> None:
        try:
            async with asyncio.timeout(WAIT_S):
                await main()
        finally:
            for client in RawClient.opened:
                client.writer.close()
                with contextlib.suppress(OSError):
                    await client.writer.wait_closed()
            RawClient.opened.clear()

    asyncio.run(limited())


async def serve(handle: Handle, **more: Any) -> WebSocketServer:
    return await start_server("127.0.0.1", 0, "ocpp1.6", lambda _, __: None, handle, **more)


async def connect(server: WebSocketServer, **more: Any) -> WebSocket:
    return await open_websocket(f"ws://127.0.0.1:{server.port}/CP", "ocpp1.6", **more)


class RawClient:
    """A client that puts on the line whatever it is told to."""

    opened: ClassVar[list[RawClient]] = []

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.opened.append(self)

    @classmethod
    async def open(cls, port: int, connection: str = "Upgrade") -> RawClient:
        client = cls(*await asyncio.open_connection("127.0.0.1", port))
        key = base64.b64encode(os.urandom(16)).decode()
        client.writer.write(
            f"GET /CP HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: {connection}\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
            "Sec-WebSocket-Protocol: ocpp2.0.1, ocpp1.6\r\n\r\n".encode()
        )
        head = await client.reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 "), head
        return client

    def send(self, kind: int, payload: bytes, *, fin: bool = True, reserved: int = 0) -> None:
        size = len(payload)
        length = bytes([0x80 | size]) if size < 126 else b"\xfe" + struct.pack(">H", size)
        first = bytes([kind | (0x80 if fin else 0) | reserved])
        self.writer.write(first + length + bytes(4) + payload)  # a mask of zeros

    async def recv(self) -> tuple[int, bytes]:
        first, size = await self.reader.readexactly(2)
        assert size < 126
        return first & 15, await self.reader.readexactly(size)

    async def is_cut_off(self) -> bool:
        """Whether the end comes without another byte; a reset, where ours were not all read."""
        with contextlib.suppress(ConnectionResetError):
            return not await self.reader.read()
        return True


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Most peers here do not say goodbye."""
    monkeypatch.setattr(websocket_connection, "_CLOSE_TIMEOUT_S", 0.2)


async def echo(_: str, socket: WebSocket) -> None:
    while True:
        await socket.send(await socket.recv())


def test_texts_in_one_part_or_many_and_bytes_come_as_texts() -> None:
    async def main() -> None:
        server = await serve(echo)
        client = await RawClient.open(server.port, connection="keep-alive, Upgrade")
        client.send(TEXT, "é".encode())
        assert await client.recv() == (TEXT, "é".encode())
        client.send(TEXT, b"on", fin=False)
        client.send(PING, b"?")
        client.send(PART, b"e ", fin=False)
        client.send(PART, b"two")
        assert await client.recv() == (PONG, b"?")
        assert await client.recv() == (TEXT, b"one two")
        client.send(BINARY, b"a\xff")
        assert await client.recv() == (TEXT, "a\ufffd".encode())
        client.send(CLOSE, struct.pack(">H", 1000))
        assert await client.recv() == (CLOSE, struct.pack(">H", 1000))
        assert await client.reader.read() == b""
        await server.close()

    run(main)


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        ([(TEXT, b"\xff", True, 0)], 1007),
        ([(TEXT, b"a", True, 0x40)], 1002),
        ([(PART, b"a", True, 0)], 1002),
        ([(TEXT, b"a", False, 0), (TEXT, b"b", True, 0)], 1002),
        ([(3, b"a", True, 0)], 1002),
        ([(PING, b"a", False, 0)], 1002),
        ([(TEXT, b"x" * 60_000, False, 0), *[(PART, b"x" * 60_000, False, 0)] * 20], 1009),
    ],
)
def test_who_breaks_the_protocol_is_told_the_code_and_cut_off(
    frames: list[tuple[int, bytes, bool, int]], code: int
) -> None:
    ended: list[str] = []

    async def listen(_: str, socket: WebSocket) -> None:
        try:
            await socket.recv()
        except DeviceError as error:
            ended.append(error.message)
            raise

    async def main() -> None:
        server = await serve(listen)
        client = await RawClient.open(server.port)
        for kind, payload, fin, reserved in frames:
            client.send(kind, payload, fin=fin, reserved=reserved)
        kind, payload = await client.recv()
        assert (kind, struct.unpack(">H", payload[:2])) == (CLOSE, (code,))
        assert await client.is_cut_off()
        await server.close()
        assert len(ended) == 1
        assert "we closed it" in ended[0]

    run(main)


def test_a_frame_beyond_the_limit_is_refused_before_it_is_read() -> None:
    async def main() -> None:
        server = await serve(echo)
        client = await RawClient.open(server.port)
        client.writer.write(b"\x81\xff" + struct.pack(">Q", 1 << 40) + bytes(4))
        kind, payload = await client.recv()
        assert (kind, payload[:2]) == (CLOSE, struct.pack(">H", 1009))
        await server.close()

    run(main)


def test_what_is_not_fetched_is_not_read() -> None:
    """A flood waits in the sender: what is on the way is bounded by the sockets' buffers."""

    async def main() -> None:
        fetch = asyncio.Event()
        fetched: list[int] = []

        async def slow(_: str, socket: WebSocket) -> None:
            await fetch.wait()
            while True:
                fetched.append(len(await socket.recv()))

        server = await serve(slow)
        client = await RawClient.open(server.port)
        client.writer.transport.set_write_buffer_limits(high=0)
        sent = 0
        stalled = False
        while not stalled:
            client.send(TEXT, b"x" * 60_000)
            sent += 1
            try:
                async with asyncio.timeout(1):
                    await client.writer.drain()
            except TimeoutError:
                stalled = True
            assert sent < 1000, "60 MB were taken from a peer that no one listens to"
        fetch.set()
        await client.writer.drain()
        while len(fetched) < sent:
            await asyncio.sleep(0.01)
        await server.close()
        assert fetched == [60_000] * sent

    run(main)


def test_a_peer_that_does_not_read_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket_connection, "_SEND_TIMEOUT_S", 0.2)

    async def main() -> None:
        reasons: asyncio.Queue[str] = asyncio.Queue()

        async def flood(_: str, socket: WebSocket) -> None:
            try:
                while True:
                    await socket.send("x" * 100_000)
            except DeviceError as error:
                reasons.put_nowait(error.message)

        server = await serve(flood)
        client = await RawClient.open(server.port)
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        assert "it does not read" in await reasons.get()
        await server.close()

    run(main)


def test_without_waiting_no_more_piles_up_than_four_megabytes() -> None:
    async def main() -> None:
        reasons: asyncio.Queue[str] = asyncio.Queue()

        async def flood(_: str, socket: WebSocket) -> None:
            try:
                for text in ["x" * 100_000] * 1000:
                    socket.send_now(text)
            except DeviceError as error:
                reasons.put_nowait(error.message)
            else:
                reasons.put_nowait("100 MB piled up")

        server = await serve(flood)
        await RawClient.open(server.port)
        assert "it does not read" in await reasons.get()
        await server.close()

    run(main)


def test_pings_are_sent_and_a_peer_that_answers_none_is_cut_off() -> None:
    async def main() -> None:
        ends: asyncio.Queue[str] = asyncio.Queue()

        async def talk(_: str, socket: WebSocket) -> None:
            try:
                await socket.recv()
            except DeviceError as error:
                ends.put_nowait(error.message)

        server = await serve(talk, ping_interval_s=0.3)
        client = await RawClient.open(server.port)
        for _ in range(3):
            assert await client.recv() == (PING, b"")
            client.send(PONG, b"")
        assert ends.empty()
        assert "it does not answer a ping" in await ends.get()
        await server.close()

    run(main)


def test_an_answer_that_came_while_this_process_was_busy_counts() -> None:
    async def main() -> None:
        server = await serve(echo, ping_interval_s=0.3)
        client = await RawClient.open(server.port)
        assert await client.recv() == (PING, b"")
        time.sleep(0.5)  # nothing of this process runs in the meantime
        for _ in range(3):  # and the timer comes first
            await asyncio.sleep(0)
        client.send(PONG, b"")
        client.send(TEXT, b"still here")
        while (frame := await client.recv()) == (PING, b""):
            client.send(PONG, b"")
        assert frame == (TEXT, b"still here")
        await server.close()

    run(main)


def test_both_ends_of_ours_keep_each_other_alive_and_the_interval_can_be_set() -> None:
    async def main() -> None:
        sockets: list[WebSocket] = []

        async def talk(path: str, socket: WebSocket) -> None:
            sockets.append(socket)
            await echo(path, socket)

        server = await serve(talk, ping_interval_s=0.2)
        client = await connect(server, ping_interval_s=0)
        client.set_ping_interval(0.2)
        for number in map(str, range(50)):
            await asyncio.sleep(0.02)
            await client.send(number)
            assert await client.recv() == number
        sockets[0].set_ping_interval(0)
        await client.close()
        await server.close()

    run(main)


def test_the_server_says_goodbye_and_the_client_knows_why_it_ended() -> None:
    async def main() -> None:
        server = await serve(echo)
        ends: asyncio.Queue[DeviceError] = asyncio.Queue()
        client = await connect(server)
        client.listen(lambda _: None, ends.put_nowait)
        await server.close()
        assert "the peer closed it: 1001" in (await ends.get()).message
        with pytest.raises(DeviceError, match="1001"):
            await client.send("x")
        await client.close()

    run(main)


def test_faults_on_purpose_bytes_one_by_one_and_an_abrupt_end() -> None:
    async def main() -> None:
        async def torment(_: str, socket: WebSocket) -> None:
            for byte in b"\x81\x05slowl":
                socket.send_raw(bytes([byte]))
                await asyncio.sleep(0)
            await socket.recv()
            socket.abort()

        server = await serve(torment)
        client = await connect(server)
        assert await client.recv() == "slowl"
        await client.send("enough")
        with pytest.raises(DeviceError, match="without a goodbye"):
            await client.recv()
        await server.close()

    run(main)


def test_what_the_client_hears_wrong_is_an_error_and_no_complaint_of_asyncio() -> None:
    async def main() -> None:
        complaints: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, each: complaints.append(each))

        async def err(_: str, socket: WebSocket) -> None:
            socket.send_raw(b"\x83\x00")
            await socket.recv()

        server = await serve(err)
        client = await connect(server)
        with pytest.raises(DeviceError, match="invalid opcode"):
            await client.recv()
        await server.close()
        del client
        await asyncio.sleep(0)
        assert not complaints

    run(main)


def test_a_bug_in_a_handler_or_a_listener_is_told() -> None:
    async def main() -> None:
        told: asyncio.Queue[object] = asyncio.Queue()
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, each: told.put_nowait(each["exception"]))

        async def broken(_: str, socket: WebSocket) -> None:
            await socket.recv()
            raise KeyError("handler")

        def listener(_: str) -> None:
            raise KeyError("listener")

        server = await serve(broken)
        client = await connect(server)
        await client.send("go")
        assert str(await told.get()) == "'handler'"
        await server.close()
        server = await serve(echo)
        client = await connect(server)
        client.listen(listener, lambda _: None)
        client.send_now("x")
        assert str(await told.get()) == "'listener'"
        await server.close()

    run(main)


def test_the_password_is_not_logged_at_any_level(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(1)
    for name in ("", "picows", "picows.client", "picows.server", "asyncio", "evtool.websocket"):
        logging.getLogger(name).setLevel(1)
    secret = base64.b64encode(b"CP:0123456789abcdefghij").decode()

    async def main() -> None:
        server = await serve(echo)
        client = await connect(server, authorization=f"Basic {secret}")
        await client.send("x")
        assert await client.recv() == "x"
        await client.close()
        await server.close()

    run(main)
    assert secret not in caplog.text


def test_on_a_line_that_broke_nothing_more_is_sent() -> None:
    """What it brought before is still read: a flood of pings, or of calls to be answered."""

    async def main() -> None:
        server = await serve(echo)
        client = await connect(server)
        assert client._transport is not None
        client._transport.underlying_transport.abort()  # told only in the loop's next turn
        with pytest.raises(DeviceError):
            client.send_now("[3,1,{}]")
        await client.close()
        await server.close()

    run(main)
