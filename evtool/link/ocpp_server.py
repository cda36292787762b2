# SPDX-License-Identifier: GPL-3.0-or-later
"""The WebSocket server of a central system, plain or with TLS.

Unlike `websocket.start_server` it knows a client's certificate before it answers the request,
so that a wrong one is refused with an HTTP status. A peer cannot make it grow: messages are
bounded, one that does not finish its request or goes silent is cut, and what is not yet
processed stays in the peer's buffers.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from aiohttp import web

from evtool.link.http_faults import fault_logger
from evtool.link.http_listener import GOODBYE_S, HttpListener
from evtool.link.ocpp_socket import OcppSocket
from evtool.link.websocket_connection import MAX_MESSAGE

_GOING_AWAY = 1001


@dataclass(frozen=True, slots=True)
class Request:
    """Who asks to connect, and how.

    Attributes:
        path: of the URL, as it came.
        authorization: the header's value.
        common_name, organization: subject of the client certificate that TLS verified.
    """

    path: str
    authorization: str | None = field(repr=False)
    is_tls: bool
    common_name: str | None
    organization: str | None


class OcppServer:
    """A central system's listener.

    Args:
        subprotocol: a client that does not offer it is refused with 400.
        admit: returns None to accept a request, or the HTTP status to refuse it with.
        handle: talks to an accepted client; the connection closes when it returns.
        refused: is told (path, status, reason) of requests that never got as far as `admit`.
        tls: serves wss:// with it.
        ping_s: seconds between pings; a peer that answers none is cut. None sends none.
        max_connections: what comes beyond that is closed at once.
        hold_s: how many seconds to hold back a 401 for a path, against guessing.
    """

    def __init__(  # noqa: PLR0913 - the parts of a listener, all but four optional
        self,
        *,
        subprotocol: str,
        admit: Callable[[Request], int | None],
        handle: Callable[[str, OcppSocket], Awaitable[None]],
        refused: Callable[[str, int, str], None],
        tls: ssl.SSLContext | None = None,
        ping_s: float | None = 60.0,
        max_connections: int = 20_000,
        hold_s: Callable[[str], float] = lambda _: 0.0,
    ) -> None:
        self._subprotocol = subprotocol
        self._admit = admit
        self._handle = handle
        self._refused = refused
        self._tls = tls
        self._ping_s = ping_s
        self._hold_s = hold_s
        self._closing = asyncio.Event()
        self._sockets: set[OcppSocket] = set()
        logger = fault_logger(lambda reason: refused("?", 400, reason))
        self._server = web.Server(self._serve, access_log=None, logger=logger)
        self._runner = web.ServerRunner(self._server, shutdown_timeout=GOODBYE_S)
        self._listener = HttpListener(
            lambda status, reason: refused("?", status, reason), max_connections, "--listen", tls
        )

    async def listen(self, host: str, port: int) -> int:
        """Listen; port 0 picks a free one. Returns the port.

        Raises:
            DeviceError: the address cannot be listened on.
        """
        return await self._listener.listen(self._runner, host, port)

    async def close(self) -> None:
        """Stop listening and close every connection."""
        self._listener.close()
        self._closing.set()
        goodbyes = [socket.close(_GOING_AWAY) for socket in self._sockets]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GOODBYE_S):
                await asyncio.gather(*goodbyes)
        for socket in list(self._sockets):
            socket.abort()
        await self._runner.cleanup()

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        self._listener.heard(request)
        refusal = self._judge(request)
        if refusal is not None:
            if refusal.status == 401:
                await self._hold(self._hold_s(request.raw_path))
            return refusal
        response = web.WebSocketResponse(
            protocols=(self._subprotocol,), max_msg_size=MAX_MESSAGE, compress=False, autoping=False
        )
        try:
            await response.prepare(request)
        except (OSError, web.HTTPException) as error:
            self._refused(request.raw_path, 400, f"no WebSocket request: {error}")
            return _refusal(400, "no WebSocket request\n")
        assert request.transport is not None  # noqa: S101 - it was there to prepare
        socket = OcppSocket(response, request.transport, self._ping_s)
        self._sockets.add(socket)
        try:
            await self._handle(request.raw_path, socket)
        finally:
            self._sockets.discard(socket)
            await socket.close()
        return response

    async def _hold(self, seconds: float) -> None:
        """Wait, but not beyond the end."""
        if seconds > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._closing.wait()

    def _judge(self, request: web.BaseRequest) -> web.Response | None:
        path = request.raw_path
        if request.headers.get("Upgrade", "").lower() != "websocket":
            self._refused(path, 426, "it asked for no WebSocket")
            return _refusal(426, "WebSocket only\n")
        offered = {
            name.strip()
            for value in request.headers.getall("Sec-WebSocket-Protocol", [])
            for name in value.split(",")
        }
        if self._subprotocol not in offered:
            self._refused(path, 400, f"it does not offer the subprotocol {self._subprotocol}")
            return _refusal(400, f"subprotocol {self._subprotocol}\n")
        status = self._admit(_facts(request, self._tls is not None))
        if status is None:
            return None
        basic = {"WWW-Authenticate": 'Basic realm="OCPP"'} if status == 401 else {}
        return _refusal(status, f"{status}\n", basic)


def _refusal(status: int, text: str, headers: dict[str, str] | None = None) -> web.Response:
    """The end of the connection too: the time limit of a request is for the first one only."""
    response = web.Response(status=status, text=text, headers=headers)
    response.force_close()
    return response


def _facts(request: web.BaseRequest, is_tls: bool) -> Request:
    common_name = organization = None
    transport = request.transport
    if is_tls and transport is not None:
        certificate = transport.get_extra_info("peercert") or {}
        subject = dict(pair for names in certificate.get("subject", ()) for pair in names)
        common_name = subject.get("commonName")
        organization = subject.get("organizationName")
    authorization = request.headers.get("Authorization")
    return Request(request.raw_path, authorization, is_tls, common_name, organization)
