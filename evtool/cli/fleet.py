# SPDX-License-Identifier: GPL-3.0-or-later
"""The charge points of a load test on their connections, all in one thread.

One timer serves them all: a station is woken when it said that it has something to do. A
connection that fails or closes comes back after a pause that doubles, as one charge point's
does.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import random
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from evtool.errors import DeviceError, EvtoolError
from evtool.link.websocket import FIRST_PAUSE_S, LAST_PAUSE_S, WebSocket, open_websocket
from evtool.protocol.ocpp16 import SUBPROTOCOL
from evtool.reference_impl.fleet.due_times import DueTimes
from evtool.reference_impl.fleet.station import Station
from evtool.reference_impl.fleet.tally import Tally

_GRAIN_S = 0.005
_IDLE_S = 0.05
_CONNECTING_AT_ONCE = 200


@dataclass(slots=True, eq=False)
class Member:
    """A station and its connection.

    Attributes:
        authorization: the header's value, never shown.
        tls: makes what it trusts and shows, where that is its own; None: the fleet's.
        ping_interval_s: of the connection, 0 for none.
        due_ms: when it is to be woken, to connect or to act.
    """

    station: Station
    url: str
    authorization: str | None
    tls: Callable[[], ssl.SSLContext] | None = None
    ping_interval_s: int = 0
    due_ms: int | None = None
    socket: WebSocket | None = None
    pause_s: float = FIRST_PAUSE_S
    is_connecting: bool = False
    is_wanted_closed: bool = False


class Fleet:
    """All members.

    Args:
        members: in the order in which they connect.
        connect_rate: connections that are begun in a second.
        tls: for wss, of those that have none of their own; None for ws.
        tally: where connections and their failures are counted.
    """

    def __init__(
        self,
        members: Sequence[Member],
        connect_rate: float,
        tls: ssl.SSLContext | None,
        tally: Tally,
    ) -> None:
        self._members = members
        self._connect_rate = connect_rate
        self._tls = tls
        self._tally = tally
        self._due: DueTimes[Member] = DueTimes()
        self._connecting: set[asyncio.Task[None]] = set()
        self._free = asyncio.Semaphore(_CONNECTING_AT_ONCE)
        self._is_leaving = False
        self._is_closing = False

    def count_connected(self) -> int:
        """How many have a connection now."""
        return sum(member.socket is not None for member in self._members)

    def count_charging(self) -> int:
        """How many have a transaction now."""
        return sum(member.station.is_charging for member in self._members)

    async def run(self) -> None:
        """Connect them at their rate, and serve them until cancelled."""
        begin_ms = now_ms()
        for number, member in enumerate(self._members):
            self._due.set(member, int(begin_ms + number * 1000 / self._connect_rate))
        while True:
            now = now_ms()
            for member in self._due.pop(int(now)):
                self._wake(member, now)
            next_ms = self._due.next_ms()
            rest_s = _IDLE_S if next_ms is None else (next_ms - now_ms()) / 1000
            # Texts that come in meanwhile may bring the next time forward.
            await asyncio.sleep(min(max(rest_s, _GRAIN_S), _IDLE_S))

    async def leave(self, timeout_s: float) -> int:
        """End all transactions, wait until the central system has taken them, disconnect.

        Beside it, `run` must go on. Returns how many stations were not done in time; nothing of
        those without a connection is waited for.
        """
        self._is_leaving = True
        for task in self._connecting:
            task.cancel()
        # As they came: all at once would be a load that no one asked for.
        for number, member in enumerate(self._members):
            if member.socket is not None:
                member.station.leave(now_ms())
                self._settle(member)
            if number % 20 == 19:
                await asyncio.sleep(20 / self._connect_rate)
        deadline_ms = now_ms() + timeout_s * 1000
        while self._undone() and now_ms() < deadline_ms:
            await asyncio.sleep(_IDLE_S)
        undone = self._undone()
        self._is_closing = True
        sockets = [member.socket for member in self._members if member.socket is not None]
        for begin in range(0, len(sockets), _CONNECTING_AT_ONCE):
            some = sockets[begin : begin + _CONNECTING_AT_ONCE]
            await asyncio.gather(*(socket.close() for socket in some))
        return undone

    def _undone(self) -> int:
        return sum(
            not member.station.is_done for member in self._members if member.socket is not None
        )

    def _wake(self, member: Member, now: float) -> None:
        if member.socket is not None:
            member.station.tick(now)
            self._settle(member)
        elif not member.is_connecting and not self._is_leaving:
            member.is_connecting = True
            task = asyncio.ensure_future(self._connect(member))
            self._connecting.add(task)
            task.add_done_callback(self._connecting.discard)

    async def _connect(self, member: Member) -> None:
        try:
            async with self._free:
                member.ping_interval_s = member.station.ping_interval_s
                socket = await open_websocket(
                    member.url,
                    SUBPROTOCOL,
                    authorization=member.authorization,
                    tls=self._tls if member.tls is None else member.tls(),
                    ping_interval_s=member.ping_interval_s,
                    lean_tls=True,
                )
        except EvtoolError as error:
            self._tally.errors[f"connect: {_cause(error, member.url)}"] += 1
            self._pause(member)
            return
        finally:
            member.is_connecting = False
        if self._is_leaving:
            await socket.close()
            return
        self._tally.opened += 1
        member.socket, member.pause_s = socket, FIRST_PAUSE_S
        member.station.on_open(_sender(socket), now_ms())
        socket.listen(
            functools.partial(self._on_text, member), functools.partial(self._on_closed, member)
        )
        if member.socket is not None:
            self._settle(member)

    def _on_text(self, member: Member, text: str) -> None:
        member.station.on_text(text, now_ms())
        self._settle(member)

    def _on_closed(self, member: Member, error: DeviceError) -> None:
        member.socket = None
        self._tally.closed += 1
        is_wanted = self._is_closing or member.is_wanted_closed
        member.is_wanted_closed = False
        if not is_wanted:
            self._tally.errors[f"closed: {_cause(error, member.url)}"] += 1
        member.station.on_closed(now_ms(), wanted=is_wanted)
        self._pause(member)

    def _settle(self, member: Member) -> None:
        """After anything that happened to a station: when it is next to be woken."""
        if member.socket is None:
            return
        if member.station.must_reconnect:
            member.station.must_reconnect = False
            member.is_wanted_closed = True
            # Not at once: it may be in the middle of what it was told.
            asyncio.get_running_loop().call_soon(member.socket.abort)
        if member.ping_interval_s != member.station.ping_interval_s:
            member.ping_interval_s = member.station.ping_interval_s
            member.socket.set_ping_interval(member.ping_interval_s)
        self._due.set(member, member.station.next_due_ms())

    def _pause(self, member: Member) -> None:
        if self._is_leaving:
            return
        jitter = random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards nothing
        self._due.set(member, int(now_ms() + member.pause_s * jitter * 1000))
        member.pause_s = min(member.pause_s * 2, LAST_PAUSE_S)


def now_ms() -> float:
    """Monotonic milliseconds, with their fraction: latencies on loopback are short."""
    return time.monotonic_ns() / 1e6


def _sender(socket: WebSocket) -> Callable[[str], None]:
    def send(text: str) -> None:
        with contextlib.suppress(DeviceError):  # `_on_closed` is called, or about to be
            socket.send_now(text)

    return send


def _cause(error: EvtoolError, url: str) -> str:
    """What went wrong, the same for every station."""
    return error.message.replace(f"{url}: ", "").replace(url, "URL")
