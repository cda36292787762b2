# SPDX-License-Identifier: GPL-3.0-or-later
"""WebSockets that do not come to be: whoever answers speaks none, refuses, redirects or is mute."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any

import pytest

from evtool.errors import DeviceError, LinkTimeout
from evtool.link import websocket
from evtool.link.websocket import open_websocket

WAIT_S = 60


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(WAIT_S):
            await main()

    asyncio.run(limited())


@contextlib.asynccontextmanager
async def plain_server(
    answer: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[str]:
    """A server that speaks no WebSocket; gives the URL, and ends when it has answered once."""
    answered = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await answer(reader, writer)
            writer.close()
            await writer.wait_closed()
        finally:
            answered.set()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/CP"
    await answered.wait()
    server.close()
    await server.wait_closed()


def test_an_attempt_that_is_given_up_leaves_no_connection() -> None:
    async def main() -> None:
        asked = asyncio.Event()

        async def dawdle(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            asked.set()
            assert await reader.read() == b""

        async with plain_server(dawdle) as url:
            attempt = asyncio.create_task(open_websocket(url, "ocpp1.6"))
            await asked.wait()
            attempt.cancel()
            with pytest.raises(asyncio.CancelledError):
                await attempt

    run(main)


def test_a_server_that_says_nothing_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "_OPEN_TIMEOUT_S", 1)

    async def main() -> None:
        async def mute(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
            await reader.read()

        async with plain_server(mute) as url:
            with pytest.raises(LinkTimeout, match="does not answer"):
                await open_websocket(url, "ocpp1.6")

    run(main)


def test_a_redirect_is_refused() -> None:
    async def main() -> None:
        async def redirect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 302 Found\r\nLocation: ws://127.0.0.1:1/\r\n\r\n")

        async with plain_server(redirect) as url:
            with pytest.raises(DeviceError, match="HTTP 302"):
                await open_websocket(url, "ocpp1.6", authorization="Basic x")

    run(main)


@pytest.mark.parametrize("answer", [b"HTTP/1.1 401 No\r\n\r\n", b"no HTTP\r\n\r\n", b""])
def test_a_token_in_the_urls_query_is_in_no_error(answer: bytes) -> None:
    async def main() -> None:
        async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            writer.close()

        async with plain_server(refuse) as url:
            with pytest.raises(DeviceError) as caught:
                await open_websocket(f"{url}?token=t0ps3cret/CP", "ocpp1.6")
        assert "t0ps3cret" not in caught.value.message
        assert f"{url}?****" in caught.value.message

    run(main)
