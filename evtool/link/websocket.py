# SPDX-License-Identifier: GPL-3.0-or-later
"""WebSockets, both ends, on asyncio: text messages under one subprotocol.

What the `websockets` package raises becomes a DeviceError here. It logs request headers, and
with them the password, when its logger is set to DEBUG; so it gets a logger that says nothing.
"""

from __future__ import annotations

import asyncio
import http
import logging
import random
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import (
    ConnectionClosed,
    InvalidStatus,
    NegotiationError,
    WebSocketException,
)
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from evtool.errors import ConfigError, DeviceError, LinkTimeout

FIRST_PAUSE_S = 1.0
LAST_PAUSE_S = 60.0

_SILENT = logging.Logger("evtool.websocket", logging.CRITICAL + 1)
_MAX_MESSAGE = 1 << 20
_OPEN_TIMEOUT_S = 10.0


class WebSocket:
    """An open connection. After it has closed, everything but `close` raises DeviceError."""

    def __init__(self, connection: ClientConnection | ServerConnection, peer: str) -> None:
        self._connection = connection
        self._peer = peer

    async def recv(self) -> str:
        """The next text. Bytes are no OCPP message; they come as the text they might be."""
        try:
            message = await self._connection.recv()
        except ConnectionClosed as error:
            raise self._closed(error) from error
        return message if isinstance(message, str) else message.decode(errors="replace")

    async def send(self, text: str) -> None:
        """Send a text."""
        try:
            await self._connection.send(text)
        except ConnectionClosed as error:
            raise self._closed(error) from error

    async def close(self) -> None:
        """Say goodbye; twice does no harm."""
        await self._connection.close()

    def _closed(self, error: ConnectionClosed) -> DeviceError:
        return DeviceError(f"{self._peer}: the connection has closed ({error})")


class WebSocketServer:
    """A server that runs until it is closed; `port` is the one it listens on."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.port: int = next(iter(server.sockets)).getsockname()[1]

    async def close(self) -> None:
        """Stop listening and close every connection."""
        self._server.close()
        await self._server.wait_closed()


async def start_server(
    host: str,
    port: int,
    subprotocol: str,
    admit: Callable[[str, str | None], int | None],
    handle: Callable[[str, WebSocket], Awaitable[None]],
) -> WebSocketServer:
    """Serve WebSockets.

    Args:
        host, port: where to listen; port 0 picks a free one.
        subprotocol: a client that does not offer it is refused with 400.
        admit: is given the path and the Authorization header of a request; returns None to
            accept it, or the HTTP status to refuse it with.
        handle: talks to an accepted client; the connection closes when it returns.

    Raises:
        DeviceError: the address cannot be listened on.
    """

    def check(connection: ServerConnection, request: Request) -> Response | None:
        status = admit(request.path, request.headers.get("Authorization"))
        if status is None:
            return None
        response = connection.respond(http.HTTPStatus(status), f"{status}\n")
        if status == http.HTTPStatus.UNAUTHORIZED:
            response.headers["WWW-Authenticate"] = 'Basic realm="OCPP"'
        return response

    async def talk(connection: ServerConnection) -> None:
        path = connection.request.path if connection.request is not None else "/"
        await handle(path, WebSocket(connection, "client"))

    try:
        server = await serve(
            talk,
            host,
            port,
            subprotocols=[Subprotocol(subprotocol)],
            process_request=check,
            max_size=_MAX_MESSAGE,
            logger=_SILENT,
        )
    except OSError as error:
        raise DeviceError(
            f"cannot listen on {host}:{port}: {error.strerror or error}",
            fix="give another address with --listen (port 0 picks a free one)",
        ) from error
    return WebSocketServer(server)


async def open_websocket(
    url: str,
    subprotocol: str,
    *,
    authorization: str | None = None,
    ca_certificate: Path | None = None,
) -> WebSocket:
    """Connect as a client.

    Args:
        url: ws:// or wss://, complete with the identity.
        subprotocol: what both ends speak; a server without it is refused.
        authorization: the value of the Authorization header, never shown.
        ca_certificate: PEM of the only authority to trust; None trusts the system's.

    Raises:
        ConfigError: the CA certificate cannot be read.
        DeviceError: no server, or it refuses.
        LinkTimeout: it does not answer.
    """
    headers = {"Authorization": authorization} if authorization is not None else {}
    try:
        connection = await connect(
            url,
            subprotocols=[Subprotocol(subprotocol)],
            additional_headers=headers,
            open_timeout=_OPEN_TIMEOUT_S,
            max_size=_MAX_MESSAGE,
            ssl=_tls(ca_certificate) if url.startswith("wss://") else None,
            proxy=None,
            logger=_SILENT,
        )
    except TimeoutError as error:
        raise LinkTimeout(f"{url} does not answer", fix="check the host and the port") from error
    except InvalidStatus as error:
        raise _refused(url, error.response.status_code) from error
    except NegotiationError as error:
        raise _no_subprotocol(url, subprotocol) from error
    except (OSError, WebSocketException, ValueError) as error:  # the last: a URL that is none
        raise DeviceError(
            f"cannot connect to {url}: {error}",
            fix="check the URL, and that the central system runs (`evtool sim csms` is one)",
        ) from error
    if connection.subprotocol != subprotocol:
        await connection.close()
        raise _no_subprotocol(url, subprotocol)
    return WebSocket(connection, url)


async def keep_connected(
    open_one: Callable[[], Awaitable[WebSocket]],
    talk: Callable[[WebSocket], Awaitable[None]],
    on_failure: Callable[[DeviceError], None],
) -> None:
    """Connect, talk until the connection closes, and again, until cancelled.

    The pause doubles from 1 s to 60 s with every failure and is shortened at random by up to
    a half, so that a fleet does not come back all at once. A connection that opened resets it.

    Args:
        open_one: makes a connection, as `open_websocket` does.
        talk: uses one; it may end, or raise DeviceError when the connection has closed.
        on_failure: is told of each connection that failed or closed.
    """
    pause = FIRST_PAUSE_S
    while True:
        try:
            connection = await open_one()
            pause = FIRST_PAUSE_S
            try:
                await talk(connection)
            finally:
                await connection.close()
        except DeviceError as error:
            on_failure(error)
        jitter = random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards nothing
        await asyncio.sleep(pause * jitter)
        pause = min(pause * 2, LAST_PAUSE_S)


def _tls(ca_certificate: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_certificate)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"{ca_certificate}: not a readable PEM certificate: {error}",
            fix="name the PEM file of the central system's root certificate",
        ) from error


def _refused(url: str, status: int) -> DeviceError:
    fixes = {
        401: "the AuthorizationKey is not the one that the central system knows",
        404: "the identity at the end of the URL is unknown there, or the path is wrong",
    }
    return DeviceError(
        f"{url} refused the connection: HTTP {status}",
        fix=fixes.get(status, "look at the central system's log"),
    )


def _no_subprotocol(url: str, subprotocol: str) -> DeviceError:
    return DeviceError(
        f"{url} does not speak {subprotocol}",
        fix=f"check the path of the URL: the server must offer the subprotocol {subprotocol}",
    )
