# SPDX-License-Identifier: GPL-3.0-or-later
"""Events to whoever watches over HTTP: the latest few, then each as it comes.

A watcher that reads too slowly loses the oldest ones and is told how many.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections import deque

from aiohttp import web

_KEPT = 500
_MAX_LINE = 16_384
_ALWAYS = ("number", "time", "event", "station", "direction", "type", "action")
_UNREAD = 1000
_MAX_WATCHERS = 32
_COMMENT_S = 15.0


class EventStream:
    """The events, as server-sent events (text/event-stream)."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._latest: deque[str] = deque(maxlen=_KEPT)
        self._watchers: set[_Watcher] = set()

    def put(self, event: dict[str, object]) -> None:
        """One more event; of a very long one only what it is."""
        whole = {"number": next(self._numbers)} | event
        line = json.dumps(whole)
        if len(line) > _MAX_LINE:
            short = {name: whole[name] for name in _ALWAYS if name in whole}
            line = json.dumps(short | {"reason": f"{len(line)} characters: see the log"})
        self._latest.append(line)
        for watcher in self._watchers:
            watcher.put(line)

    def latest(self) -> list[str]:
        """The latest events, each as a JSON text."""
        return list(self._latest)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Send events until the watcher goes."""
        if len(self._watchers) >= _MAX_WATCHERS:
            raise web.HTTPServiceUnavailable(text="too many watchers\n")
        response = web.StreamResponse(
            headers={
                "Content-Type": "text/event-stream",
                "Cache-Control": "no-store",
                "X-Content-Type-Options": "nosniff",
            }
        )
        watcher = _Watcher(self._latest)
        self._watchers.add(watcher)
        try:
            await response.prepare(request)
            while not watcher.ended:
                await response.write(await watcher.next_text())
        except (ConnectionError, asyncio.CancelledError):
            return response
        finally:
            self._watchers.discard(watcher)
        return response

    def close(self) -> None:
        """Let every watcher go."""
        for watcher in self._watchers:
            watcher.end()


class _Watcher:
    def __init__(self, latest: deque[str]) -> None:
        self._lines = deque(latest)
        self._lost = 0
        self._more = asyncio.Event()
        self._more.set()
        self.ended = False

    def put(self, line: str) -> None:
        if len(self._lines) >= _UNREAD:
            self._lines.popleft()
            self._lost += 1
        self._lines.append(line)
        self._more.set()

    def end(self) -> None:
        self.ended = True
        self._more.set()

    async def next_text(self) -> bytes:
        """What there is; a comment where nothing came, so that a dead peer is noticed."""
        try:
            async with asyncio.timeout(_COMMENT_S):
                await self._more.wait()
        except TimeoutError:
            return b":\n\n"
        lines, self._lines = self._lines, deque()
        self._more.clear()
        text = "".join(f"data: {line}\n\n" for line in lines)
        if self._lost:
            text = f'data: {{"event": "lost", "count": {self._lost}}}\n\n' + text
            self._lost = 0
        return text.encode()
