# SPDX-License-Identifier: GPL-3.0-or-later
"""The listening half of an HTTP server: how many connect, and how long the first request takes.

The `aiohttp` package bounds neither. Between later requests of a connection it keeps its own time.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable

from aiohttp import web

from evtool.errors import DeviceError

REQUEST_TIMEOUT_S = 10.0
GOODBYE_S = 2.0
"""What a server leaves to requests under way when it stops: a peer may never end one."""
_BACKLOG = 1024


class HttpListener:
    """Accepts connections for a server.

    Args:
        refused: is told (HTTP status, reason) of a connection that is closed without an answer.
        max_connections: what comes beyond that is closed at once.
        option: of the command line that gives the address, for the message.
        tls: serves https:// with it.
    """

    def __init__(
        self,
        refused: Callable[[int, str], None],
        max_connections: int,
        option: str,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._refused = refused
        self._max_connections = max_connections
        self._option = option
        self._tls = tls
        self._is_full = False
        self._silent: set[web.RequestHandler] = set()  # no request yet
        self._listener: asyncio.Server | None = None
        self._server: web.Server | None = None

    async def listen(self, runner: web.BaseRunner, host: str, port: int) -> int:
        """Listen for a runner that nothing else serves; port 0 picks one. Returns the port.

        Raises:
            DeviceError: the address cannot be listened on.
        """
        await runner.setup()
        self._server = runner.server
        try:
            self._listener = await asyncio.get_running_loop().create_server(
                self._accept,
                host,
                port,
                ssl=self._tls,
                backlog=_BACKLOG,
                ssl_handshake_timeout=None if self._tls is None else REQUEST_TIMEOUT_S,
            )
        except OSError as error:
            await runner.cleanup()
            raise DeviceError(
                f"cannot listen on {host}:{port}: {error.strerror or error}",
                fix=f"give another address with {self._option} (port 0 picks a free one)",
            ) from error
        found: int = self._listener.sockets[0].getsockname()[1]
        return found

    def close(self) -> None:
        """Take no more; the connections are the runner's."""
        if self._listener is not None:
            self._listener.close()

    def heard(self, request: web.BaseRequest) -> None:
        """A request has come: its connection's time limit is met."""
        self._silent.discard(request.protocol)

    @web.middleware
    async def middleware(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Tells of every request, where the server is an application."""
        self.heard(request)
        return await handler(request)

    def _accept(self) -> asyncio.BaseProtocol:
        assert self._server is not None  # noqa: S101 - `listen` came before
        if len(self._server.connections) >= self._max_connections:
            if not self._is_full:
                self._refused(503, f"more than {self._max_connections} connections")
            self._is_full = True
            return _Closing()
        self._is_full = False
        protocol = self._server()
        self._silent.add(protocol)
        asyncio.get_running_loop().call_later(REQUEST_TIMEOUT_S, self._expire, protocol)
        return protocol

    def _expire(self, protocol: web.RequestHandler) -> None:
        if protocol not in self._silent:
            return
        self._silent.discard(protocol)
        if protocol.transport is not None and not protocol.transport.is_closing():
            self._refused(408, f"no request within {REQUEST_TIMEOUT_S:g} s")
            protocol.force_close()


class _Closing(asyncio.Protocol):
    """Takes a connection and lets it go."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()
