# SPDX-License-Identifier: GPL-3.0-or-later
"""A central system's end of a WebSocket whose far end vanishes in the midst of something."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import ClientConnectionResetError, WSMsgType

from evtool.errors import DeviceError
from evtool.link.ocpp_socket import OcppSocket


class Cut:
    """A peer that has sent one ping and is gone."""

    close_code = 1006

    async def receive(self) -> Any:
        return SimpleNamespace(type=WSMsgType.PING, data=b"still there?")

    async def pong(self, _: bytes) -> None:
        raise ClientConnectionResetError("Cannot write to closing transport")


def test_a_ping_of_a_peer_that_is_gone_ends_the_connection() -> None:
    async def main() -> None:
        socket: Any = Cut()
        transport: Any = None
        with pytest.raises(DeviceError, match="the connection has closed"):
            await OcppSocket(socket, transport, None).recv()

    asyncio.run(main())
