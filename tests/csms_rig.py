# SPDX-License-Identifier: GPL-3.0-or-later
"""A charge point that says what a test tells it, and waits that end."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from evtool.link.clock import unix_ms
from evtool.link.ocpp_server import OcppServer, Request
from evtool.virtual.csms import Account, Csms, Event, Knock
from evtool.virtual.csms.control import Control

WAIT_S = 60.0
KEY = b"0123456789abcdefgh"
BOOT = {"chargePointVendor": "Vendor", "chargePointModel": "Model"}


class Peer:
    """The charge point's end; what the CSMS asks is answered from `answers`."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.answers: dict[str, Any] = {}
        self.asked: asyncio.Queue[list[Any]] = asyncio.Queue()
        self.answered: asyncio.Queue[list[Any]] = asyncio.Queue()
        self.texts: list[str] = []
        self._ids = itertools.count(1)
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        try:
            async for text in self.connection:
                self.texts.append(str(text))
                try:
                    message = json.loads(text)
                except ValueError:
                    self.answered.put_nowait(["malformed"])
                    continue
                if message[0] == 2:
                    self.asked.put_nowait(message)
                    answer = self.answers.get(message[2], {"status": "Accepted"})
                    if answer is not None:
                        await self.connection.send(json.dumps([3, message[1], answer]))
                else:
                    self.answered.put_nowait(message)
        except ConnectionClosed:
            return

    async def call(self, action: str, payload: dict[str, Any]) -> list[Any]:
        """Send a Call and return the message that comes back."""
        await self.tell(action, payload)
        return await self.answer()

    async def tell(self, action: str, payload: dict[str, Any]) -> str:
        unique_id = str(next(self._ids))
        await self.connection.send(json.dumps([2, unique_id, action, payload]))
        return unique_id

    async def answer(self) -> list[Any]:
        async with asyncio.timeout(WAIT_S):
            return await self.answered.get()

    async def order(self) -> list[Any]:
        """What the CSMS asked next."""
        async with asyncio.timeout(WAIT_S):
            return await self.asked.get()

    async def closed(self) -> None:
        """Wait until the connection has closed."""
        async with asyncio.timeout(WAIT_S):
            await self._reading


def basic(identity: str, key: bytes) -> str:
    return "Basic " + base64.b64encode(identity.encode() + b":" + key).decode()


@asynccontextmanager
async def station(
    url: str, authorization: str | None = None, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Peer]:
    """A connected charge point."""
    headers = {} if authorization is None else {"Authorization": authorization}
    connection = await connect(
        url,
        subprotocols=[Subprotocol("ocpp1.6")],
        additional_headers=headers,
        ssl=tls,
        proxy=None,
        close_timeout=1,
    )
    peer = Peer(connection)
    try:
        yield peer
    finally:
        await connection.close()


async def until(fulfilled: Callable[[], object]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not fulfilled():
            await asyncio.sleep(0.002)


class Central:
    """A CSMS behind a real server on loopback, with its events."""

    def __init__(self, keys: Mapping[str, bytes | Account | None] | None = None, **options: Any):
        self.events: list[Event] = []
        self.csms = Csms(
            keys or {},
            open_to_all=keys is None,
            clock=unix_ms,
            report=self.events.append,
            **options,
        )
        self.control = Control(self.csms)
        self.port = 0
        self.hold_s: Callable[[str], float] = self.csms.hold_s

    @asynccontextmanager
    async def listening(
        self, tls: ssl.SSLContext | None = None, ping_s: float | None = None, most: int = 100
    ) -> AsyncIterator[Central]:
        server = OcppServer(
            subprotocol="ocpp1.6",
            admit=self._admit,
            handle=self.csms.serve,
            refused=self._refused,
            tls=tls,
            ping_s=ping_s,
            max_connections=most,
            hold_s=self.hold_s,
        )
        self.port = await server.listen("127.0.0.1", 0)
        self.scheme = "ws" if tls is None else "wss"
        try:
            yield self
        finally:
            await server.close()

    def url(self, identity: str = "CP") -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}/ocpp/{identity}"

    def _admit(self, request: Request) -> int | None:
        facts = (request.is_tls, request.common_name, request.organization)
        return self.csms.judge(Knock(request.path, request.authorization, *facts))

    def _refused(self, path: str, status: int, reason: str) -> None:
        self.events.append(
            {"event": "rejected", "station": path, "status": status} | {"reason": reason}
        )

    def named(self, name: str) -> list[Event]:
        return [event for event in self.events if event["event"] == name]

    async def event(self, name: str) -> Event:
        """The first event of that name, once it has come."""
        await until(lambda: self.named(name))
        return self.named(name)[0]
