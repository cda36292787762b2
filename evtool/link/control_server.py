# SPDX-License-Identifier: GPL-3.0-or-later
"""The control port of a central system: a JSON API, and the page that uses it.

Web pages of others cannot use it: what changes something must come as application/json, which
a browser does not send across origins unasked, and the Host header must be an address of ours,
which a rebound name is not. Beyond loopback a token is needed.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import json
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from aiohttp import web

from evtool.errors import DeviceError, LinkTimeout
from evtool.link.event_stream import EventStream
from evtool.link.http_faults import fault_logger
from evtool.link.http_listener import GOODBYE_S, HttpListener

Document = dict[str, object]

MAX_BODY = 1 << 20
MAX_CONNECTIONS = 256
MAX_LISTED = 1000
"""Of transactions, the latest."""

_BODY_S = 10.0

_PAGE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}


class ControlServer:
    """The API over HTTP.

    Args:
        obey: carries out a command line.
        call: sends an operation: station, action, payload.
        set_key: gives a station another AuthorizationKey: identity, key as text.
        stream: the events.
        page: the folder of the page.
        token: what a request must carry as `Authorization: Bearer`; None for nothing.
        refused: is told why what came was no request.

    `obey`, `call` and `set_key` raise ValueError (400), LinkTimeout (504), DeviceError (409).
    """

    def __init__(
        self,
        *,
        obey: Callable[[str], Awaitable[Document]],
        call: Callable[[str, str, dict[str, Any]], Awaitable[Document]],
        set_key: Callable[[str, str], None],
        stream: EventStream,
        page: Path,
        token: str | None,
        refused: Callable[[str], None],
    ) -> None:
        self._obey = obey
        self._call = call
        self._set_key = set_key
        self._stream = stream
        self._page = page
        self._token = token
        self._names: set[str] = {"localhost"}
        self._listener = HttpListener(
            lambda _, reason: refused(reason), MAX_CONNECTIONS, "--control"
        )
        application = web.Application(
            middlewares=[self._listener.middleware, self._guard], client_max_size=MAX_BODY
        )
        application.add_routes(
            [
                web.get("/", self._on_page),
                web.get("/{name:[a-z]+[.](?:js|css)}", self._on_page),
                web.get("/api/{name:stations|transactions|id_tags|faults}", self._on_list),
                web.get("/api/events", self._on_events),
                web.get("/api/stream", stream.serve),
                web.post("/api/command", self._on_command),
                web.post("/api/stations/{station}/call/{action}", self._on_call),
                web.put("/api/stations/{station}/key", self._on_key),
            ]
        )
        logger = fault_logger(refused)
        self._runner = web.AppRunner(
            application,
            access_log=None,
            handle_signals=False,
            logger=logger,
            shutdown_timeout=GOODBYE_S,
            auto_decompress=False,
        )

    async def listen(self, host: str, port: int) -> int:
        """Listen; port 0 picks a free one. Returns the port.

        Raises:
            DeviceError: the address cannot be listened on.
        """
        self._names.add(host)
        return await self._listener.listen(self._runner, host, port)

    async def close(self) -> None:
        """Stop."""
        self._listener.close()
        self._stream.close()
        await self._runner.cleanup()

    @web.middleware
    async def _guard(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        refusal = self._refusal(request)
        if refusal is not None:
            return refusal
        try:
            return await handler(request)
        except TimeoutError:
            return _error(408, f"the body took longer than {_BODY_S:g} s")
        except ValueError as error:
            return _error(400, str(error))
        except DeviceError as error:
            return _error(504 if isinstance(error, LinkTimeout) else 409, error.message)
        except web.HTTPException as error:
            return _error(error.status, error.reason)

    def _refusal(self, request: web.Request) -> web.Response | None:
        if not self._is_ours(request.host):
            return _error(403, "the Host header names another computer")
        if request.path.startswith("/api/"):
            if not self._is_allowed(request.headers.get("Authorization", "")):
                return _error(401, "a token is needed: Authorization: Bearer TOKEN")
            if request.method != "GET" and request.content_type != "application/json":
                return _error(415, "send Content-Type: application/json")
        return None

    def _is_ours(self, host: str) -> bool:
        """An address is always ours; of names, those that it was told to listen on."""
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
        name = name.strip("[]")
        if name in self._names:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

    def _is_allowed(self, authorization: str) -> bool:
        if self._token is None:
            return True
        scheme, _, given = authorization.partition(" ")
        return scheme.lower() == "bearer" and hmac.compare_digest(
            given.strip().encode(errors="surrogateescape"), self._token.encode()
        )

    async def _on_page(self, request: web.Request) -> web.StreamResponse:
        path = self._page / request.match_info.get("name", "index.html")
        if not path.is_file():
            return _error(404, "no such page")
        return web.Response(
            body=path.read_bytes(),
            content_type=_TYPES[path.suffix],
            charset="utf-8",
            headers=_PAGE_HEADERS,
        )

    async def _on_list(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        return _json(await self._obey(name))

    async def _on_events(self, _: web.Request) -> web.StreamResponse:
        events = [json.loads(line) for line in self._stream.latest()]
        return _json({"events": events})

    async def _on_command(self, request: web.Request) -> web.StreamResponse:
        line = (await _body(request)).get("line")
        if not isinstance(line, str) or "\n" in line:
            raise ValueError('send {"line": "COMMAND ..."}')
        return _json(await self._obey(line))

    async def _on_call(self, request: web.Request) -> web.StreamResponse:
        station, action = request.match_info["station"], request.match_info["action"]
        return _json(await self._call(station, action, await _body(request)))

    async def _on_key(self, request: web.Request) -> web.StreamResponse:
        key = (await _body(request)).get("key")
        if not isinstance(key, str):
            raise ValueError('send {"key": "..."}')  # noqa: TRY004 - input
        self._set_key(request.match_info["station"], key)
        return _json({"event": "answer", "command": "set_key", "payload": {}})


async def _body(request: web.Request) -> dict[str, Any]:
    async with asyncio.timeout(_BODY_S):
        text = await request.read()
    try:
        body = json.loads(text or b"{}")
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the body is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise ValueError("the body is an object")  # noqa: TRY004 - input
    return body


def _json(document: Mapping[str, object], status: int = 200) -> web.Response:
    return web.Response(
        text=json.dumps(document) + "\n",
        status=status,
        content_type="application/json",
        headers={"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"},
    )


def _error(status: int, reason: str) -> web.Response:
    return _json({"error": reason}, status)
