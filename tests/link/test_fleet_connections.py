# SPDX-License-Identifier: GPL-3.0-or-later
"""A fleet's connections: they come at their rate, come back, and end when all is told."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable, Coroutine
from random import Random
from typing import Any

import pytest
from benchmarks.cheap_csms import answer

from evtool.cli import fleet
from evtool.cli.fleet import Fleet, Member
from evtool.errors import DeviceError
from evtool.link.websocket import WebSocket, WebSocketServer, open_websocket, start_server
from evtool.protocol import ocpp16
from evtool.reference_impl.charge_point import Settings
from evtool.reference_impl.fleet.station import Load, Station
from evtool.reference_impl.fleet.tally import Tally

WAIT_S = 60
COUNT = 12


class CentralSystem:
    """Answers everything, and knows who is there."""

    def __init__(self) -> None:
        self.sockets: dict[str, WebSocket] = {}
        self.calls: list[tuple[str, str]] = []
        self.answers: list[str] = []
        self.refuses = False
        self._numbers = itertools.count(1)

    async def listen(self, port: int = 0) -> WebSocketServer:
        return await start_server(
            "127.0.0.1", port, ocpp16.SUBPROTOCOL, self._admit, self._talk, ping_interval_s=0
        )

    def _admit(self, _path: str, _authorization: str | None) -> int | None:
        return 503 if self.refuses else None

    async def _talk(self, path: str, socket: WebSocket) -> None:
        self.sockets[path] = socket
        try:
            while True:
                text = await socket.recv()
                answered = answer(text, self._numbers)
                if answered is None:
                    self.answers.append(text)
                    continue
                self.calls.append((path, text.split('"', 4)[3]))
                await socket.send(answered)
        except DeviceError:
            if self.sockets.get(path) is socket:
                del self.sockets[path]

    def count(self, action: str) -> int:
        return sum(each == action for _, each in self.calls)


def make(port: int, tally: Tally, share: float, **presets: str) -> Fleet:
    dice = Random(1)  # noqa: S311 - the same fleet at every run
    settings = Settings("evtool", "load", id_prefix="p", presets=presets)
    load = Load(share, 3_600_000, "TAG")
    members = [
        Member(Station(settings, load, tally, dice), f"ws://127.0.0.1:{port}/CP-{number}", None)
        for number in range(COUNT)
    ]
    return Fleet(members, 500, None, tally)


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(main(), WAIT_S))


async def until(fulfilled: Callable[[], bool]) -> None:
    while not fulfilled():
        await asyncio.sleep(0.005)


def have_introduced_themselves(tally: Tally, starts: int) -> bool:
    """Whether what every start tells, statuses last, has its answers: nothing is under way."""
    return tally.latencies["StatusNotification"].count == 2 * starts


@contextlib.asynccontextmanager
async def running(some: Fleet) -> AsyncIterator[None]:
    task = asyncio.ensure_future(some.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet, "FIRST_PAUSE_S", 0.02)


def test_connections_that_are_cut_come_back_and_go_on() -> None:
    async def main() -> None:
        central, tally = CentralSystem(), Tally()
        server = await central.listen()
        some = make(server.port, tally, share=1)
        async with running(some):
            await until(lambda: some.count_charging() == COUNT)
            await until(lambda: central.count("StartTransaction") == COUNT)
            boots = central.count("BootNotification")
            for socket in list(central.sockets.values()):
                socket.abort()
            await until(lambda: tally.opened == 2 * COUNT)
            assert some.count_charging() == COUNT, "a transaction goes on without a connection"
            assert await some.leave(WAIT_S) == 0
        await server.close()
        assert central.count("BootNotification") == boots == COUNT
        assert central.count("StopTransaction") == COUNT
        cut = {cause: count for cause, count in tally.errors.items() if "closed" in cause}
        assert sum(cut.values()) == COUNT
        assert tally.closed == 2 * COUNT

    run(main)


def test_who_is_refused_tries_again_and_is_counted() -> None:
    async def main() -> None:
        central, tally = CentralSystem(), Tally()
        central.refuses = True
        server = await central.listen()
        some = make(server.port, tally, share=0)
        cause = "connect: URL refused the connection: HTTP 503"
        async with running(some):
            await until(lambda: tally.errors[cause] >= 2 * COUNT)
            central.refuses = False
            await until(lambda: have_introduced_themselves(tally, COUNT))
            assert await some.leave(WAIT_S) == 0
        await server.close()
        assert set(tally.errors) == {cause}

    run(main)


def test_a_reset_closes_the_connection_and_opens_it_anew_and_is_no_error() -> None:
    async def main() -> None:
        central, tally = CentralSystem(), Tally()
        server = await central.listen()
        some = make(server.port, tally, share=0)
        async with running(some):
            await until(lambda: central.count("BootNotification") == COUNT)
            await until(lambda: have_introduced_themselves(tally, COUNT))
            reset = ocpp16.render_message(ocpp16.Call("r", "Reset", {"type": "Soft"}))
            await central.sockets["/CP-3"].send(reset)
            await until(lambda: central.calls.count(("/CP-3", "BootNotification")) == 2)
            await until(lambda: have_introduced_themselves(tally, COUNT + 1))
            assert await some.leave(WAIT_S) == 0
        await server.close()
        assert central.answers == ['[3,"r",{"status":"Accepted"}]']
        assert tally.asked == {"Reset": 1}
        assert tally.opened == COUNT + 1
        assert not tally.errors

    run(main)


def test_leaving_does_not_wait_for_a_central_system_that_does_not_answer() -> None:
    async def main() -> None:
        central, tally = CentralSystem(), Tally()
        server = await central.listen()
        some = make(server.port, tally, share=1)
        async with running(some):
            await until(lambda: central.count("StartTransaction") == COUNT)
            await until(lambda: some.count_charging() == COUNT)
            for socket in central.sockets.values():
                socket.listen(lambda _: None, lambda _: None)  # hears, and says nothing
            assert await some.leave(0.2) == COUNT
        await server.close()

    run(main)


def test_pings_come_as_the_key_says_and_change_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[float] = []
    changed: list[float] = []

    async def open_one(*args: Any, **more: Any) -> WebSocket:
        opened.append(more["ping_interval_s"])
        return await open_websocket(*args, **more)

    monkeypatch.setattr(fleet, "open_websocket", open_one)
    monkeypatch.setattr(WebSocket, "set_ping_interval", lambda _, seconds: changed.append(seconds))

    async def main() -> None:
        central, tally = CentralSystem(), Tally()
        server = await central.listen()
        some = make(server.port, tally, share=0, WebSocketPingInterval="7")
        async with running(some):
            await until(lambda: have_introduced_themselves(tally, COUNT))
            change = {"key": "WebSocketPingInterval", "value": "3"}
            call = ocpp16.render_message(ocpp16.Call("c", "ChangeConfiguration", change))
            await central.sockets["/CP-3"].send(call)
            await until(lambda: bool(central.answers))
            await some.leave(WAIT_S)
        await server.close()

    run(main)
    assert opened == [7] * COUNT
    assert changed.count(3) == 1, "of that one, while it was open"
