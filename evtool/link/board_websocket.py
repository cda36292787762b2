# SPDX-License-Identifier: GPL-3.0-or-later
"""The firmware's WebSocket: its `ws` lines (docs/host-program.md) on a real connection.

The firmware says when to connect, and tries again itself: one `ws connect` is one attempt,
which ends in `ws open` or `ws closed`.
"""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import Callable
from pathlib import Path

from evtool.errors import EvtoolError
from evtool.link.websocket import WebSocket, open_websocket

SUBPROTOCOL = "ocpp1.6"


class BoardWebSocket:
    """At most one connection at a time.

    Args:
        send: hands the firmware a line.
        ca_certificate: the only authority to trust, None for the system's.
        on_change: called with a state, `open` or `closed`, and with the reason of an end.
        tls: of `client_tls_of_texts`, in the place of `ca_certificate`.
    """

    def __init__(
        self,
        send: Callable[[str], object],
        ca_certificate: Path | None,
        on_change: Callable[[str, str | None], None],
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._send = send
        self._ca_certificate = ca_certificate
        self._tls = tls
        self._on_change = on_change
        self._task: asyncio.Task[None] | None = None
        self._texts: asyncio.Queue[str] = asyncio.Queue()

    def on_line(self, rest: str) -> None:
        """What stands behind `ws `."""
        verb, _, argument = rest.partition(" ")
        if verb == "connect":
            url, _, credentials = argument.partition(" ")
            self.close()
            self._texts = asyncio.Queue()
            self._task = asyncio.ensure_future(self._run(url, _authorization(credentials)))
        elif verb == "send":
            self._texts.put_nowait(argument)
        elif verb == "close" and self._task is not None:
            self._task.cancel()

    def close(self) -> None:
        """Drop the connection without a word to the firmware."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()

    async def _run(self, url: str, authorization: str | None) -> None:
        reason: str | None = None
        task = asyncio.current_task()
        try:
            socket = await open_websocket(
                url,
                SUBPROTOCOL,
                authorization=authorization,
                ca_certificate=self._ca_certificate,
                tls=self._tls,
            )
            try:
                self._send("ws open")
                self._on_change("open", None)
                await self._talk(socket)
            finally:
                await socket.close()
        except EvtoolError as error:
            reason = error.message
        finally:
            # One that was replaced or dropped has nothing to say any more.
            if task is self._task:
                self._task = None
                self._send("ws closed")
                self._on_change("closed", reason)

    async def _talk(self, socket: WebSocket) -> None:
        async def send_all() -> None:
            while True:
                await socket.send(await self._texts.get())

        sender = asyncio.ensure_future(send_all())
        try:
            while True:
                text = await socket.recv()
                # JSON holds these two only between its tokens; other line breaks are text.
                self._send("ws recv " + text.replace("\r", " ").replace("\n", " "))
        finally:
            sender.cancel()
            await asyncio.gather(sender, return_exceptions=True)


def _authorization(credentials: str) -> str | None:
    if credentials == "-":
        return None
    try:
        return "Basic " + base64.b64encode(bytes.fromhex(credentials)).decode("ascii")
    except ValueError:  # the firmware's mistake; the server will refuse it
        return None
