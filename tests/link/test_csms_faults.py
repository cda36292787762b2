# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults on demand, and hostile charge points, over real WebSockets on loopback."""

from __future__ import annotations

import asyncio
import json
import socket
import time
import tracemalloc
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from csms_rig import BOOT, WAIT_S, Central, station, until
from websockets.exceptions import ConnectionClosed, InvalidStatus

from evtool.errors import DeviceError, LinkTimeout
from evtool.link import http_listener
from evtool.link.database import Database
from evtool.link.websocket_connection import MAX_MESSAGE
from evtool.virtual.csms.ledger import MAX_RUNNING
from evtool.virtual.csms.records import MAX_LATE
from evtool.virtual.csms.sql_store import SCHEMA, VERSION, SqlStore
from evtool.virtual.csms.station import MAX_MALFORMED

NOW = "2024-05-01T12:00:00Z"


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(main())


def test_answers_are_spoiled_on_demand() -> None:
    async def main() -> None:
        central = Central()
        async with central.listening(), station(central.url()) as peer:
            obey = central.control.obey
            await obey("fault CP Heartbeat answer drop x1")
            await peer.tell("Heartbeat", {})
            assert (await peer.call("BootNotification", BOOT))[2]["status"] == "Accepted"

            await obey("fault CP Heartbeat answer error SecurityError x1")
            assert (await peer.call("Heartbeat", {}))[2] == "SecurityError"

            await obey("fault CP Heartbeat answer wrong_id x1")
            unique_id = await peer.tell("Heartbeat", {})
            assert (await peer.answer())[1] not in (unique_id, "")

            await obey("fault CP Heartbeat answer malformed x1")
            assert await peer.call("Heartbeat", {}) == ["malformed"]

            await obey("fault CP Heartbeat answer duplicate x1")
            first = await peer.call("Heartbeat", {})
            assert await peer.answer() == first

            await obey("fault CP Heartbeat answer slow 1 x1")
            assert (await peer.call("Heartbeat", {}))[0] == 3

            await obey("fault CP Heartbeat answer delay 2 x1")
            late = await peer.tell("Heartbeat", {})
            prompt = await peer.tell("Heartbeat", {})
            assert [(await peer.answer())[1] for _ in range(2)] == [prompt, late]

            await obey("fault CP Heartbeat received drop x1")
            await peer.tell("Heartbeat", {})
            assert (await peer.call("Heartbeat", {}))[0] == 3
            assert len(central.named("fault")) == 8

            await obey("fault CP Heartbeat answer close x1")
            await peer.tell("Heartbeat", {})
            await peer.closed()

    run(main)


def test_calls_are_spoiled_on_demand() -> None:
    async def main() -> None:
        central = Central()
        async with central.listening(), station(central.url()) as peer:
            await peer.call("BootNotification", BOOT)
            await central.control.obey("fault * Reset call drop x1")
            with pytest.raises(LinkTimeout):
                await central.csms.ask("CP", "Reset", {"type": "Soft"}, 0.05)
            assert peer.asked.empty()
            await central.control.obey("fault * Reset call duplicate x1")
            await central.control.obey("reset CP")
            assert await peer.order() == await peer.order()
            await until(lambda: any(event.get("unexpected") for event in central.events))

    run(main)


def test_connections_are_refused_on_demand() -> None:
    async def main() -> None:
        central = Central()
        async with central.listening():
            await central.control.obey("fault CP connect refuse 503 x1")
            with pytest.raises(InvalidStatus, match="503"):
                async with station(central.url()):
                    pass
            async with station(central.url()) as peer:
                assert (await peer.call("Heartbeat", {}))[0] == 3

    run(main)


def test_half_open_is_half_open() -> None:
    async def main() -> None:
        central = Central()
        async with central.listening(), station(central.url()) as peer:
            await central.control.obey("fault CP Heartbeat answer half_open")
            await peer.tell("Heartbeat", {})
            await central.event("fault")
            waiting = asyncio.create_task(peer.answer())
            ping = await peer.connection.ping()
            done, _ = await asyncio.wait((waiting, asyncio.ensure_future(ping)), timeout=0.3)
            assert not done, "no answer, no pong, and no goodbye"
            assert "CP" in central.csms.stations
            waiting.cancel()
            await central.control.obey("disconnect CP cut")
            await peer.closed()
            await until(lambda: "CP" not in central.csms.stations)

    run(main)


def test_one_that_comes_back_takes_the_place_of_the_old_connection() -> None:
    async def main() -> None:
        central = Central()
        async with central.listening(), station(central.url()) as old:
            await old.call("BootNotification", BOOT)
            async with station(central.url()) as new:
                assert (await new.call("Heartbeat", {}))[0] == 3
                await old.closed()
                await until(lambda: central.named("disconnected"))
                assert "CP" in central.csms.stations
                await central.control.obey("reset CP")
                assert (await new.order())[2] == "Reset"

    run(main)


DEEP = "[" * 100_000


@pytest.mark.parametrize(
    "text",
    [
        "", "{}", "[]", "null", "2", "[2]", '[2,"1"]', '[2,1,"Heartbeat",{}]', DEEP,
        '[2,"1","Heartbeat",' + DEEP, '[3,"1"]', '[9,"1","x",{}]', "[true,1]", '[4,"1"]',
        '[2,"' + "x" * 40 + '","Heartbeat",{}]', "\u0000\u202e", '[2,"1","Heartbeat",NaN]',
    ],
)  # fmt: skip
def test_malformed_messages_are_reported_once_and_survived(text: str) -> None:
    async def main() -> None:
        central = Central()
        async with central.listening(), station(central.url()) as peer:
            await peer.connection.send(text)
            await peer.tell("Heartbeat", {})
            await until(lambda: any(event.get("action") == "Heartbeat" for event in central.events))
            malformed = [e for e in central.events if e.get("type") == "malformed"]
            assert len(malformed) == 1
            assert len(json.dumps(malformed[0])) < 1000

    run(main)


@pytest.mark.parametrize(
    ("action", "payload", "code"),
    [
        ("Heartbeat", {"extra": 1}, "FormationViolation"),
        ("Authorize", {"idTag": 7}, "FormationViolation"),
        ("Authorize", {}, "FormationViolation"),
        ("Authorize", {"idTag": "x" * 21}, "PropertyConstraintViolation"),
        ("StatusNotification", {"connectorId": 1, "errorCode": "x", "status": "y"}, None),
        ("Reset", {"type": "Hard"}, "NotSupported"),
        ("Nonsense", {}, "NotImplemented"),
    ],
)
def test_wrong_calls_earn_an_error(action: str, payload: dict[str, Any], code: str | None) -> None:
    async def main() -> None:
        central = Central()
        async with central.listening(), station(central.url()) as peer:
            answer = await peer.call(action, payload)
            assert answer[0] == 4
            assert code in (None, answer[2])
            assert (await peer.call("Heartbeat", {}))[0] == 3

    run(main)


def test_a_payload_that_is_no_object_earns_an_error() -> None:
    async def main() -> None:
        central = Central()
        async with central.listening(), station(central.url()) as peer:
            await peer.connection.send('[2,"7","Heartbeat",[]]')
            answer = await peer.answer()
            assert answer[:3] == [4, "7", "FormationViolation"]

    run(main)


@pytest.mark.parametrize(
    ("action", "changes"),
    [
        ("StartTransaction", {"idTag": "\ud800"}),
        ("StartTransaction", {"timestamp": "2024-05-01T12:00:00Z\udcff"}),
        ("StartTransaction", {"meterStart": 10**30}),
        ("StartTransaction", {"connectorId": 1 << 63}),
        ("StopTransaction", {"meterStop": -(10**300)}),
        ("StopTransaction", {"timestamp": "\ud800"}),
    ],
)
def test_what_no_database_keeps_earns_an_error(
    tmp_path: Path, action: str, changes: dict[str, Any]
) -> None:
    moment = "2024-05-01T12:00:00Z"
    payloads: dict[str, dict[str, Any]] = {
        "StartTransaction": {
            "connectorId": 1, "idTag": "T\u00e4g", "meterStart": -(1 << 63), "timestamp": moment,
        },
        "StopTransaction": {"transactionId": 1, "meterStop": (1 << 63) - 1, "timestamp": moment},
    }  # fmt: skip

    async def main() -> None:
        database = Database(tmp_path / "x", SCHEMA, VERSION)
        central = Central(store=SqlStore(database))
        async with central.listening(), station(central.url()) as peer:
            if action == "StopTransaction":
                await peer.call("StartTransaction", payloads["StartTransaction"])
            answer = await peer.call(action, payloads[action] | changes)
            assert answer[0] == 4
            assert answer[2] == "PropertyConstraintViolation"
            assert next(iter(changes)) in answer[3]
            assert (await peer.call(action, payloads[action]))[0] == 3, "at the limit all is well"
        database.close()

    run(main)


def test_an_oversized_message_ends_the_connection() -> None:
    async def main() -> None:
        central = Central()
        async with central.listening(), station(central.url()) as peer:
            with suppress(ConnectionClosed):
                await peer.connection.send("x" * (MAX_MESSAGE + 1))
            await peer.closed()
            event = await central.event("disconnected")
            assert str(MAX_MESSAGE) in str(event["reason"])

    run(main)


def test_one_that_only_says_nonsense_is_sent_away() -> None:
    async def main() -> None:
        central = Central()
        async with central.listening(), station(central.url()) as peer:
            for _ in range(MAX_MALFORMED):
                await peer.connection.send("nonsense")
            await peer.closed()
            assert len(central.named("gave_up")) == 1
            await until(lambda: "CP" not in central.csms.stations)

    run(main)


def test_a_flood_is_read_slowly_and_costs_no_memory() -> None:
    async def main() -> None:
        central = Central(max_rate=50)
        central.csms.report = lambda event: (
            central.events.append(event) if (event["event"] == "flood") else None
        )
        async with central.listening(), station(central.url()) as peer:
            text = json.dumps([2, "1", "Heartbeat", {}]) + " " * 10_000
            tracemalloc.start()
            before, _ = tracemalloc.get_traced_memory()

            async def flood() -> None:
                for _ in range(20_000):
                    await peer.connection.send(text)

            task = asyncio.create_task(flood())
            await central.event("flood")
            await asyncio.wait((task,), timeout=0.5)
            after, _ = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            assert not task.done(), "the peer's own buffers are full"
            assert after - before < 8 << 20
            assert len(central.named("flood")) <= 3
            task.cancel()

    run(main)


def test_requests_that_are_none_are_refused() -> None:
    async def main() -> None:
        central = Central()
        async with central.listening():
            for request, status in (
                (b"GET /CP HTTP/1.1\r\nHost: x\r\n\r\n", b"426"),
                (b"GET /CP HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n", b"400"),
                (
                    b"GET /CP HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
                    b"Connection: Upgrade\r\nSec-WebSocket-Protocol: ocpp1.6\r\n\r\n",
                    b"400",
                ),
                (b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\n\r\n", b"400"),
                (b"\x16\x03\x01 not HTTP\r\n\r\n", b"400"),
            ):
                reader, writer = await asyncio.open_connection("127.0.0.1", central.port)
                writer.write(request)
                async with asyncio.timeout(WAIT_S):
                    assert status in await reader.readline()
                    await reader.read()  # no second request: it could take its time
                writer.close()
            assert len(central.named("rejected")) == 5
            async with station(central.url()) as peer:
                assert (await peer.call("Heartbeat", {}))[0] == 3

    run(main)


def test_a_request_that_never_ends_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_listener, "REQUEST_TIMEOUT_S", 0.05)

    async def main() -> None:
        central = Central()
        async with central.listening():
            for begun in (b"", b"GET /CP HTTP/1.1\r\nHost: "):
                reader, writer = await asyncio.open_connection("127.0.0.1", central.port)
                writer.write(begun)
                async with asyncio.timeout(WAIT_S):
                    assert await reader.read() == b""
                writer.close()
            statuses = [event["status"] for event in central.named("rejected")]
            assert statuses == [408, 408]

    run(main)


def test_there_are_no_more_connections_than_allowed() -> None:
    async def main() -> None:
        central = Central()
        async with central.listening(most=2):
            async with station(central.url("A")), station(central.url("B")):
                with socket.create_connection(("127.0.0.1", central.port)) as third:
                    third.setblocking(False)
                    loop = asyncio.get_running_loop()
                    async with asyncio.timeout(WAIT_S):
                        assert await loop.sock_recv(third, 1) == b""
            await until(lambda: not central.csms.stations)
            async with station(central.url()) as peer:
                assert (await peer.call("Heartbeat", {}))[0] == 3

    run(main)


def test_a_peer_that_answers_no_ping_is_cut() -> None:
    async def main() -> None:
        central = Central()
        async with central.listening(ping_s=0.05), station(central.url()) as peer:
            await peer.call("Heartbeat", {})
            peer.connection.transport.pause_reading()
            event = await central.event("disconnected")
            assert "no answer to a ping" in str(event["reason"])

    run(main)


def test_a_peer_is_not_silent_while_this_process_is_busy() -> None:
    async def main() -> None:
        central = Central()
        async with central.listening(ping_s=0.2), station(central.url()) as peer:
            await peer.call("Heartbeat", {})
            time.sleep(1)  # nothing of this process runs in the meantime
            assert (await peer.call("Heartbeat", {}))[0] == 3
        assert len(central.named("connected")) == 1

    run(main)


def test_an_ask_ends_when_the_station_goes() -> None:
    async def main() -> None:
        central = Central()
        async with central.listening(), station(central.url()) as peer:
            peer.answers["Reset"] = None
            asking = asyncio.create_task(central.control.obey("reset CP"))
            await peer.order()
            await peer.connection.close()
            with pytest.raises(DeviceError, match="disconnected"):
                await asking

    run(main)


def test_a_station_whose_stops_were_all_lost_starts_another_transaction() -> None:
    async def main() -> None:
        central = Central()
        begin = central.csms.start_transaction
        for number in range(MAX_RUNNING):
            begin("CP", 1, "TAG", number, "2024-05-01T12:00:00Z")
        async with central.listening(), station(central.url()) as peer:
            start = {"connectorId": 1, "idTag": "TAG", "meterStart": 9_999}
            answer = await peer.call("StartTransaction", start | {"timestamp": NOW})
            assert answer[2]["transactionId"] == MAX_RUNNING + 1
            assert central.csms.latest_running("CP") == MAX_RUNNING + 1
            states = [event["state"] for event in central.named("transaction")]
            assert states == ["abandoned", "started"]

    run(main)


def test_meter_values_beyond_the_bound_are_answered_and_told_once() -> None:
    async def main() -> None:
        central = Central()
        number = central.csms.start_transaction("CP", 1, "TAG", 0, NOW)
        central.csms.ledger.end("CP", number, 5, NOW, "Local")
        sample = {"timestamp": NOW, "sampledValue": [{"value": "1"}]}
        late = {"connectorId": 1, "transactionId": number, "meterValue": [sample] * 60}
        async with central.listening(), station(central.url()) as peer:
            for _ in range(4):
                assert (await peer.call("MeterValues", late))[0] == 3
        assert central.csms.transactions[number].meter_value_count == MAX_LATE
        assert [event["state"] for event in central.named("transaction")] == ["full"]

    run(main)
