# SPDX-License-Identifier: GPL-3.0-or-later
"""WebSockets, both ends, on asyncio: text messages under one subprotocol.

What the `picows` package raises becomes a DeviceError here. It logs request headers, and with
them the password, at a level of its own; so it gets a logger that says nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import http
import logging
import random
import socket
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

from picows import (
    WSError,
    WSInvalidStatusError,
    WSParsedURL,
    WSUpgradeRequest,
    WSUpgradeResponse,
    WSUpgradeResponseWithListener,
    ws_connect,
    ws_create_server,
)

from evtool.errors import DeviceError, LinkTimeout
from evtool.link.tls import client_tls
from evtool.link.websocket_connection import MAX_MESSAGE, PING_INTERVAL_S, WebSocket
from evtool.protocol.csms_url import masked_url

__all__ = [
    "FIRST_PAUSE_S", "LAST_PAUSE_S", "WebSocket", "WebSocketServer", "keep_connected",
    "open_websocket", "start_server",
]  # fmt: skip

FIRST_PAUSE_S = 1.0
LAST_PAUSE_S = 60.0

# An adapter: of a logger itself the package makes a child for every connection.
_SILENT = logging.LoggerAdapter(logging.Logger("evtool.websocket", logging.CRITICAL + 1), {})
_OPEN_TIMEOUT_S = 10.0
_CLOSE_TIMEOUT_S = 10.0
_READ_BUFFER = 2048
_GOING_AWAY = 1001


class WebSocketServer:
    """A server that runs until it is closed; `port` is the one it listens on."""

    def __init__(
        self,
        server: asyncio.Server,
        talks: dict[asyncio.Task[None], WebSocket],
    ) -> None:
        self._server = server
        self._talks = talks
        self.port: int = server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Stop listening and close every connection."""
        self._server.close()
        talks = dict(self._talks)
        await asyncio.gather(*(each.close(_GOING_AWAY) for each in talks.values()))
        if talks:
            _, pending = await asyncio.wait(talks, timeout=_CLOSE_TIMEOUT_S)
            for task in pending:
                task.cancel()
        await self._server.wait_closed()


async def start_server(
    host: str,
    port: int,
    subprotocol: str,
    admit: Callable[[str, str | None], int | None],
    handle: Callable[[str, WebSocket], Awaitable[None]],
    *,
    tls: ssl.SSLContext | None = None,
    ping_interval_s: float = PING_INTERVAL_S,
) -> WebSocketServer:
    """Serve WebSockets.

    Args:
        host, port: where to listen; port 0 picks a free one.
        subprotocol: a client that does not offer it is refused with 400.
        admit: is given the path and the Authorization header of a request; returns None to
            accept it, or the HTTP status to refuse it with.
        handle: talks to an accepted client; the connection closes when it returns.
        tls: of `server_tls`; None serves without.
        ping_interval_s: seconds between the server's pings; 0 sends none.

    Raises:
        DeviceError: the address cannot be listened on.
    """
    loop = asyncio.get_running_loop()
    talks: dict[asyncio.Task[None], WebSocket] = {}

    async def talk(path: str, connection: WebSocket) -> None:
        try:
            await handle(path, connection)
        finally:
            await connection.close()

    def begin(path: str, connection: WebSocket) -> None:
        task = loop.create_task(talk(path, connection))
        talks[task] = connection
        task.add_done_callback(end)

    def end(task: asyncio.Task[None]) -> None:
        del talks[task]
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, DeviceError):
            loop.call_exception_handler(
                {"message": "a WebSocket's handler failed", "exception": error, "task": task}
            )

    def answer(request: WSUpgradeRequest) -> WSUpgradeResponseWithListener:
        path = request.path.decode("ascii", "replace")
        status = admit(path, request.headers.get("Authorization"))
        if status is None and subprotocol not in _listed(request, "Sec-WebSocket-Protocol"):
            status = http.HTTPStatus.BAD_REQUEST
        if status is not None:
            return _refusal(http.HTTPStatus(status))
        if "upgrade" in (each.lower() for each in _listed(request, "Connection")):
            request.headers["Connection"] = "Upgrade"  # browsers send keep-alive beside it
        accepted = WSUpgradeResponse.create_101_response({"Sec-WebSocket-Protocol": subprotocol})
        connection = WebSocket(
            "client", ping_interval_s=ping_interval_s, on_open=lambda open_: begin(path, open_)
        )
        return WSUpgradeResponseWithListener(accepted, connection)

    def answer_or_tell(request: WSUpgradeRequest) -> WSUpgradeResponseWithListener:
        try:
            return answer(request)
        except Exception as error:  # noqa: BLE001 - picows would swallow it, and tell the client
            loop.call_exception_handler({"message": "a request's check failed", "exception": error})
            return _refusal(http.HTTPStatus.INTERNAL_SERVER_ERROR)

    try:
        server = await ws_create_server(
            answer_or_tell,
            host,
            port,
            websocket_handshake_timeout=_OPEN_TIMEOUT_S,
            logger_name=_SILENT,
            enable_auto_pong=False,
            max_frame_size=MAX_MESSAGE,
            read_buffer_init_size=_READ_BUFFER,
            use_aiofastnet=False,
            backlog=1024,
            ssl=tls,
            ssl_handshake_timeout=_OPEN_TIMEOUT_S if tls is not None else None,
        )
    except (OSError, OverflowError) as error:
        raise DeviceError(
            f"cannot listen on {host}:{port}: {getattr(error, 'strerror', None) or error}",
            fix="give another address with --listen (port 0 picks a free one)",
        ) from error
    return WebSocketServer(server, talks)


async def open_websocket(
    url: str,
    subprotocol: str,
    *,
    authorization: str | None = None,
    ca_certificate: Path | None = None,
    tls: ssl.SSLContext | None = None,
    ping_interval_s: float = PING_INTERVAL_S,
    lean_tls: bool = False,
) -> WebSocket:
    """Connect as a client.

    Args:
        url: ws:// or wss://, complete with the identity.
        subprotocol: what both ends speak; a server without it is refused.
        authorization: the value of the Authorization header, never shown.
        ca_certificate: PEM of the only authority to trust; None trusts the system's.
        tls: of `client_tls`, in the place of `ca_certificate`.
        ping_interval_s: seconds between the client's pings; 0 sends none.
        lean_tls: 45 KB for a connection with TLS in the place of the 290 KB that asyncio's own
            TLS takes, by the `aiofastnet` package: for thousands of connections.

    Raises:
        ConfigError: the CA certificate cannot be read.
        DeviceError: no server, or it refuses.
        LinkTimeout: it does not answer.
    """
    headers = {"Sec-WebSocket-Protocol": subprotocol}
    if authorization is not None:
        headers["Authorization"] = authorization
    if url.startswith("wss://") and tls is None:
        tls = client_tls(ca_certificate)
    shown = masked_url(url)
    connection = WebSocket(shown, ping_interval_s=ping_interval_s)
    offered: str | None = None
    line: socket.socket | None = None

    async def dial(target: WSParsedURL) -> socket.socket:
        nonlocal line
        line = await _dial(target.host, target.port)
        return line

    def listener(_: WSUpgradeRequest, response: WSUpgradeResponse) -> WebSocket:
        nonlocal offered
        offered = response.headers.get("Sec-WebSocket-Protocol")
        return connection

    try:
        async with asyncio.timeout(_OPEN_TIMEOUT_S):
            await ws_connect(
                listener,
                url,
                ssl_context=tls,
                websocket_handshake_timeout=_OPEN_TIMEOUT_S,
                logger_name=_SILENT,
                enable_auto_pong=False,
                max_frame_size=MAX_MESSAGE,
                read_buffer_init_size=_READ_BUFFER,
                use_aiofastnet=lean_tls and tls is not None,
                extra_headers=headers,
                socket_factory=dial,
                max_redirects=0,  # another server's word must not take the password elsewhere
            )
    except TimeoutError as error:
        raise LinkTimeout(f"{shown} does not answer", fix="check the host and the port") from error
    except WSInvalidStatusError as error:
        raise _refused(shown, error.response.status if error.response else 0) from error
    except (OSError, OverflowError, WSError, ValueError) as error:  # the last: a URL that is none
        raise DeviceError(
            f"cannot connect to {shown}: {str(error).replace(url, shown)}",
            fix="check the URL, and that the central system runs (`evtool sim csms` is one)",
        ) from error
    finally:
        if not connection.is_open and line is not None:
            # The package forgets an attempt that was given up, and the server would see it open.
            connection.abort()
            with contextlib.suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)
    headers.clear()  # the package keeps them as long as the connection lives
    if offered != subprotocol:
        await connection.close()
        raise _no_subprotocol(shown, subprotocol)
    return connection


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


async def _dial(host: str, port: int) -> socket.socket:
    """A TCP connection to the first address that takes one; raises OSError."""
    loop = asyncio.get_running_loop()
    try:  # an address needs no resolver, and no thread for it
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except socket.gaierror:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    failure = OSError(f"{host} has no address")
    for family, kind, protocol, _, address in found:
        line = socket.socket(family, kind, protocol)
        line.setblocking(False)
        try:
            await loop.sock_connect(line, address)
        except OSError as error:
            line.close()
            failure = error
        except BaseException:
            line.close()
            raise
        else:
            return line
    raise failure


def _listed(request: WSUpgradeRequest, header: str) -> list[str]:
    """The items of a header that is a list, over however many lines."""
    lines = request.headers.getall(header, [])
    return [item.strip() for line in lines for item in line.split(",")]


def _refusal(status: http.HTTPStatus) -> WSUpgradeResponseWithListener:
    headers = {}
    if status is http.HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = 'Basic realm="OCPP"'
    body = f"{status.value}\n".encode()
    response = WSUpgradeResponse.create_error_response(status, body, headers)
    return WSUpgradeResponseWithListener(response, None)


def _refused(url: str, status: int) -> DeviceError:
    fixes = {
        401: "the AuthorizationKey is not the one that the central system knows",
        404: "the identity at the end of the URL is unknown there, or the path is wrong",
    }
    return DeviceError(
        f"{url} refused the connection: HTTP {int(status)}",
        fix=fixes.get(status, "look at the central system's log"),
    )


def _no_subprotocol(url: str, subprotocol: str) -> DeviceError:
    return DeviceError(
        f"{url} does not speak {subprotocol}",
        fix=f"check the path of the URL: the server must offer the subprotocol {subprotocol}",
    )
