# SPDX-License-Identifier: GPL-3.0-or-later
"""The charge point against the CSMS: in memory, and over real WebSockets on loopback."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest
from held_port import held_port

from evtool.errors import DeviceError
from evtool.link.websocket import (
    WebSocket,
    WebSocketServer,
    keep_connected,
    open_websocket,
    start_server,
)
from evtool.protocol import ocpp16
from evtool.protocol.csms_url import charge_point_url
from evtool.reference_impl.charge_point import ChargePoint, Inputs, Send, Settings
from evtool.virtual.csms import Csms, Event

NOON_MS = 1_714_564_800_000
KEY = bytes(range(20))
CHARGING = Inputs(True, True, True, 5_000_000, 2_139_000, 71_950, 29_750, 30_000, 41_200, 551)
UNPLUGGED = Inputs(evse_ready=True, energy_mwh=5_600_000)
WAIT_S = 60


class Closed(DeviceError):
    """How the far end of a pipe says that it has closed."""


class Pipe:
    """A charge point at one end, a CSMS connection (`recv`, `send`) at the other."""

    def __init__(self, charge_point: ChargePoint) -> None:
        self.charge_point = charge_point
        self.now_ms = 0
        self._up: asyncio.Queue[str | None] = asyncio.Queue()

    async def recv(self) -> str:
        text = await self._up.get()
        if text is None:
            raise Closed("closed")
        return text

    async def send(self, text: str) -> None:
        self.charge_point.on_text(text, self.now_ms)
        self.pump()

    def pump(self) -> None:
        for output in self.charge_point.drain():
            if isinstance(output, Send):
                self._up.put_nowait(output.text)

    def close(self) -> None:
        self._up.put_nowait(None)
        self.charge_point.on_closed(self.now_ms)


class Bench:
    """A CSMS and one charge point with a clock of its own."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.csms = Csms({}, open_to_all=True, clock=self.unix_ms, report=self.events.append)
        self.charge_point = ChargePoint(Settings("Vendor", "Model"))
        self.pipe = Pipe(self.charge_point)
        self.serving: asyncio.Task[None] | None = None

    def unix_ms(self) -> int:
        return NOON_MS + self.pipe.now_ms

    async def connect(self) -> None:
        now_ms = self.pipe.now_ms
        self.pipe = Pipe(self.charge_point)
        self.pipe.now_ms = now_ms
        self.serving = asyncio.create_task(self.csms.serve("/ocpp/CP-1", self.pipe))
        self.charge_point.on_open(now_ms)
        self.pipe.pump()
        await self.until(lambda: "CP-1" in self.csms.stations)

    async def disconnect(self) -> None:
        assert self.serving is not None
        self.pipe.close()
        await self.serving

    async def see(self, inputs: Inputs) -> None:
        self.charge_point.on_inputs(inputs, self.pipe.now_ms)
        self.pipe.pump()

    async def wait(self, seconds: int) -> None:
        """Let the clock run; the CSMS answers in between."""
        for _ in range(seconds):
            self.pipe.now_ms += 1000
            self.charge_point.tick(self.pipe.now_ms)
            self.pipe.pump()
            await asyncio.sleep(0)

    async def until(self, fulfilled: Callable[[], object]) -> None:
        async with asyncio.timeout(WAIT_S):
            while not fulfilled():
                await asyncio.sleep(0.001)

    def actions(self) -> list[str]:
        """The charge point's Calls so far."""
        return [
            str(event["action"])
            for event in self.events
            if (event.get("direction"), event.get("type")) == ("received", "call")
        ]

    def status(self) -> str | None:
        station = self.csms.stations.get("CP-1")
        return station.statuses.get(1) if station else None


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(main())


def test_boot_remote_start_meter_values_remote_stop() -> None:
    async def main() -> None:
        bench = Bench()
        await bench.connect()
        await bench.until(lambda: bench.status() == "Available")
        answer = await bench.csms.ask(
            "CP-1", "ChangeConfiguration", {"key": "MeterValueSampleInterval", "value": "5"}
        )
        assert answer == {"status": "Accepted"}
        await bench.see(CHARGING)
        assert await bench.csms.remote_start("CP-1", "TAG") == {"status": "Accepted"}
        bench.pipe.pump()
        await bench.until(lambda: bench.csms.transactions and bench.status() == "Charging")
        assert bench.charge_point.word().permitted
        record = bench.csms.transactions[1]
        assert (record.station, record.id_tag, record.meter_start) == ("CP-1", "TAG", 5000)
        await bench.wait(11)
        await bench.until(lambda: len(record.meter_values) == 2)
        measured = {v["measurand"]: v["value"] for v in record.meter_values[0]["sampledValue"]}
        assert measured["Power.Active.Import"] == "2139.00"
        assert measured["SoC"] == "55.10"
        assert await bench.csms.remote_stop("CP-1") == {"status": "Accepted"}
        bench.pipe.pump()
        await bench.until(lambda: record.stopped)
        assert record.reason == "Remote"
        await bench.until(lambda: bench.status() == "Finishing")
        await bench.see(UNPLUGGED)
        await bench.until(lambda: bench.status() == "Available")
        with pytest.raises(ValueError, match="no transaction runs"):
            await bench.csms.remote_stop("CP-1")
        await bench.disconnect()
        with pytest.raises(DeviceError, match="not connected"):
            await bench.csms.remote_start("CP-1", "TAG")
        assert all(event.get("type") not in ("error", "malformed") for event in bench.events)

    run(main)


def test_unplugging_offline_is_replayed_once_and_in_order() -> None:
    async def main() -> None:
        bench = Bench()
        await bench.connect()
        await bench.see(CHARGING)
        await bench.csms.remote_start("CP-1", "TAG")
        await bench.until(lambda: bench.csms.transactions)
        await bench.until(lambda: bench.status() == "Charging")
        await bench.disconnect()
        await bench.wait(125)
        await bench.see(UNPLUGGED)
        assert bench.csms.transactions[1].stopped is None
        del bench.events[:]
        await bench.wait(60)
        await bench.connect()
        record = bench.csms.transactions[1]
        await bench.until(lambda: record.stopped)
        assert bench.actions() == [
            "StatusNotification", "MeterValues", "MeterValues", "StopTransaction",
        ]  # fmt: skip
        assert (record.reason, record.meter_stop) == ("EVDisconnected", 5600)
        assert record.stopped == "2024-05-01T12:02:05Z", "the time of the unplugging"
        assert len(bench.csms.transactions) == 1
        await bench.disconnect()

    run(main)


def test_a_repeated_start_is_the_same_transaction() -> None:
    csms = Csms({}, open_to_all=True, clock=lambda: 0, report=lambda _: None)
    start = ("CP-1", 1, "TAG", 5, "2024-05-01T12:00:00Z")
    assert csms.start_transaction(*start) == csms.start_transaction(*start) == 1
    assert csms.start_transaction("CP-2", *start[1:]) == 2


def test_blocked_tags_wrong_payloads_and_masked_keys() -> None:
    async def main() -> None:
        bench = Bench()
        bench.csms.id_tags["BAD"] = "Blocked"
        await bench.connect()
        await bench.see(CHARGING)
        bench.charge_point.on_start_request("BAD", bench.pipe.now_ms)
        bench.pipe.pump()
        await bench.until(lambda: "Authorize" in bench.actions())
        await bench.until(lambda: bench.charge_point.connectors[0].session.phase.value == "idle")
        assert not bench.csms.transactions
        with pytest.raises(ValueError, match="FormationViolation"):
            await bench.csms.ask("CP-1", "Reset", {})
        with pytest.raises(ValueError, match="NotImplemented"):
            await bench.csms.ask("CP-1", "Nonsense", {})
        with pytest.raises(DeviceError, match="NotSupported"):
            await bench.csms.ask("CP-1", "Heartbeat", {})
        secret = "0123456789abcdefXYZ!"
        await bench.csms.ask(
            "CP-1", "ChangeConfiguration", {"key": "AuthorizationKey", "value": secret}
        )
        assert secret not in json.dumps(bench.events)
        await bench.disconnect()

    run(main)


async def server_for(csms: Csms, port: int = 0) -> WebSocketServer:
    return await start_server("127.0.0.1", port, ocpp16.SUBPROTOCOL, csms.admit, csms.serve)


def url_of(port: int, identity: str) -> str:
    return charge_point_url(f"ws://127.0.0.1:{port}/ocpp", identity)


@pytest.mark.parametrize(
    ("identity", "header", "status", "reason"),
    [
        ("CP-1", None, 401, "no password"),
        ("CP-1", ocpp16.render_basic_authorization("CP-1", b"wrong"), 401, "AuthorizationKey"),
        ("CP-1", ocpp16.render_basic_authorization("CP-2", KEY), 401, "user name"),
        ("CP-1", "Basic !!", 401, "no password"),
        ("CP-3", ocpp16.render_basic_authorization("CP-3", KEY), 404, "no station"),
    ],
)
def test_wrong_stations_are_refused(
    identity: str, header: str | None, status: int, reason: str
) -> None:
    async def main() -> None:
        events: list[dict[str, Any]] = []
        csms = Csms({"CP-1": KEY}, open_to_all=False, clock=lambda: NOON_MS, report=events.append)
        server = await server_for(csms)
        url = url_of(server.port, identity)
        with pytest.raises(DeviceError, match=f"HTTP {status}"):
            await open_websocket(url, ocpp16.SUBPROTOCOL, authorization=header)
        await server.close()
        [event] = events
        assert (event["event"], event["station"]) == ("rejected", identity)
        assert event["status"] == status
        assert reason in event["reason"]

    run(main)


def test_the_subprotocol_is_required_at_both_ends() -> None:
    async def main() -> None:
        csms = Csms({}, open_to_all=True, clock=lambda: NOON_MS, report=lambda _: None)
        server = await server_for(csms)
        with pytest.raises(DeviceError, match=r"HTTP 400|ocpp2"):
            await open_websocket(url_of(server.port, "CP-1"), "ocpp2.0.1")
        await server.close()

    run(main)


def test_where_nobody_listens_there_is_no_connection(closed_port: int) -> None:
    async def main() -> None:
        with pytest.raises(DeviceError, match="cannot connect"):
            await open_websocket(url_of(closed_port, "CP-1"), ocpp16.SUBPROTOCOL)

    run(main)


@pytest.mark.parametrize("url", ["ws://127.0.0.1:99999/x", "ws://[::1/x", "ws://..x/", "http://x/"])
def test_a_url_that_is_none_is_a_device_error(url: str) -> None:
    async def main() -> None:
        with pytest.raises(DeviceError, match="cannot connect"):
            await open_websocket(url, ocpp16.SUBPROTOCOL)

    run(main)


async def drive(charge_point: ChargePoint, socket: WebSocket) -> None:
    """Bind a charge point to a socket, as a real one would: no clock runs in it here."""
    charge_point.on_open(0)
    while True:
        for output in charge_point.drain():
            if isinstance(output, Send):
                await socket.send(output.text)
        charge_point.on_text(await socket.recv(), 0)


def test_a_station_charges_over_a_real_websocket_and_comes_back() -> None:
    async def main(port: int) -> None:
        csms = Csms({"CP 1": KEY}, open_to_all=False, clock=lambda: NOON_MS, report=lambda _: None)
        server = await server_for(csms, port)
        charge_point = ChargePoint(Settings("Vendor", "Model"))
        charge_point.on_inputs(CHARGING, 0)
        header = ocpp16.render_basic_authorization("CP 1", KEY)
        failures: list[DeviceError] = []

        def open_one() -> Awaitable[WebSocket]:
            url = url_of(port, "CP 1")
            return open_websocket(url, ocpp16.SUBPROTOCOL, authorization=header)

        async def talk(socket: WebSocket) -> None:
            try:
                await drive(charge_point, socket)
            finally:
                charge_point.on_closed(0)

        async def until(fulfilled: Callable[[], object]) -> None:
            async with asyncio.timeout(WAIT_S):
                while not fulfilled():
                    await asyncio.sleep(0.005)

        client = asyncio.create_task(keep_connected(open_one, talk, failures.append))
        await until(lambda: "CP 1" in csms.stations)
        await until(lambda: csms.stations["CP 1"].statuses.get(1) == "Preparing")
        assert await csms.remote_start("CP 1", "TAG") == {"status": "Accepted"}
        await until(lambda: csms.transactions)
        await until(lambda: charge_point.word().permitted)
        await server.close()
        await until(lambda: failures)
        assert "CP 1" not in csms.stations
        assert charge_point.word().permitted, "a transaction goes on without the CSMS"
        server = await server_for(csms, port)
        await until(lambda: "CP 1" in csms.stations)
        assert await csms.remote_stop("CP 1") == {"status": "Accepted"}
        await until(lambda: csms.transactions[1].stopped)
        client.cancel()
        with pytest.raises(asyncio.CancelledError):
            await client
        await server.close()

    with held_port() as port:
        asyncio.run(main(port))
