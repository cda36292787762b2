# SPDX-License-Identifier: GPL-3.0-or-later
"""A CSMS that says anything: no exception, bounded memory, one event, and life goes on."""

from __future__ import annotations

import gc
import json
import tracemalloc
from typing import Any

import pytest
from station_rig import PLUGGED, Station

from evtool.protocol import ocpp16
from evtool.reference_impl.charge_point import MICROOCPP_1_2_0, ChargePoint, Send, Settings


@pytest.fixture
def station() -> Station:
    online = Station().online()
    online.see(PLUGGED)
    online.present("A")
    online.heard()
    return online


TEXTS = {
    "nothing": "",
    "no JSON": "\ud800{",
    "deep": "[" * 200_000,
    "deep payload": '[2,"1","Reset",' + '{"a":' * 50_000 + "1" + "}" * 50_000 + "]",
    "deep enough": '[2,"1","GetLog",{"log":' + '{"a":' * 500 + "1" + "}" * 500 + "}]",
    "long": '[2,"1","DataTransfer",{"vendorId":"' + "x" * 2_000_000 + '"}]',
    "numbers": '[2,"1","Reset",{"type":1e999}]',
    "a long id": json.dumps([2, "x" * 5_000, "Reset", {"type": "Soft"}]),
    "no list": '{"2":"1"}',
    "a boolean for a type": '[true,"1","Reset",{}]',
    "an answer without a payload": '[3,"1"]',
    "an unknown type": '[5,"1","Reset",{}]',
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_texts_that_are_no_messages(station: Station, text: str) -> None:
    station.noticed.clear()
    outputs = len(station.sent)
    station.charge_point.on_text(text, station.now_ms)
    answers = [out.text for out in station.charge_point.drain() if isinstance(out, Send)]
    assert len(answers) <= 1
    for answer in answers:
        kind, _, code = json.loads(answer)[:3]
        assert (kind, code in ocpp16.CALL_ERROR_CODES) == (4, True)
        assert len(answer) < 1_000
    assert len(station.sent) == outputs
    assert station.charge_point.word().permitted, "life goes on"
    assert station.ask("GetConfiguration", key=["HeartbeatInterval"])["configurationKey"]


HALF = "\ud800"  # of a surrogate pair: JSON lets it through, no encoding writes it
NO_UNICODE: dict[str, dict[str, Any]] = {
    "ChangeConfiguration": {"key": "CpoName", "value": HALF},
    "DataTransfer": {"vendorId": "V", "data": f"x{HALF}"},
    "GetConfiguration": {"key": ["HeartbeatInterval", HALF]},
    "GetLog": {
        "logType": "SecurityLog", "requestId": 1, "log": {"remoteLocation": f"http://{HALF}/"},
    },
    "SendLocalList": {
        "listVersion": 1, "updateType": "Full",
        "localAuthorizationList": [{"idTag": HALF, "idTagInfo": {"status": "Accepted"}}],
    },
}  # fmt: skip


@pytest.mark.parametrize("action", NO_UNICODE)
def test_texts_that_are_no_unicode_are_refused(station: Station, action: str) -> None:
    kept = dict(station.kept)
    assert station.ask(action, **NO_UNICODE[action]) == "PropertyConstraintViolation"
    assert station.kept == kept


def test_the_library_says_nothing_to_what_it_cannot_read() -> None:
    station = Station(mode=MICROOCPP_1_2_0).online()
    station.collect()
    station.charge_point.on_text("{", 0)
    assert not [out for out in station.charge_point.drain() if isinstance(out, Send)]


def flood(charge_point: ChargePoint, number: int) -> None:
    """Requests, answers to nothing and rubbish, a thousand different ones."""
    tag = f"TAG-{number}"
    calls: list[tuple[str, dict[str, Any]]] = [
        ("TriggerMessage", {"requestedMessage": "StatusNotification"}),
        ("TriggerMessage", {"requestedMessage": "MeterValues"}),
        ("RemoteStopTransaction", {"transactionId": number}),
        ("DataTransfer", {"vendorId": tag, "data": "x" * 1_000}),
        ("ReserveNow", {"connectorId": 1, "expiryDate": "2024-05-01T13:00:00Z", "idTag": tag,
                        "reservationId": number}),
        ("UnlockConnector", {"connectorId": 1}),
    ]  # fmt: skip
    for position, (action, payload) in enumerate(calls):
        charge_point.on_text(json.dumps([2, f"{number}-{position}", action, payload]), number)
    charge_point.on_text(json.dumps([3, f"stray-{number}", {"x": "y" * 1_000}]), number)
    charge_point.on_text(f"rubbish {number}", number)
    charge_point.on_card(tag, number)
    charge_point.drain()


def memory() -> int:
    """Traced bytes, without what the interpreter only keeps for the next object."""
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


def test_a_flood_does_not_fill_the_memory() -> None:
    station = Station(has_lock=True).online()
    station.see(PLUGGED)
    station.present("A")
    station.charge_point.drain()
    tracemalloc.start()
    try:
        for number in range(200):
            flood(station.charge_point, number)
        before = memory()
        for number in range(200, 1_200):
            flood(station.charge_point, number)
        after = memory()
    finally:
        tracemalloc.stop()
    assert after - before < 100_000, "bytes for 9 000 hostile texts"


def test_ten_kilobytes_for_a_charge_point() -> None:
    """What a fleet of ten thousand in one process rests on."""
    settings = Settings("Vendor", "Model")
    kept = [ChargePoint(settings) for _ in range(5)]
    tracemalloc.start()
    try:
        before = memory()
        kept += [ChargePoint(settings) for _ in range(100)]
        after = memory()
    finally:
        tracemalloc.stop()
    assert (after - before) / 100 < 10_000


def test_polling_only_when_something_is_due() -> None:
    """Driven by `next_due_ms` alone, it says the same as when it is polled."""
    heard = []
    for polled in (True, False):
        station = Station(presets={"MeterValueSampleInterval": "10"}).online()
        station.see(PLUGGED)
        station.ask("ChangeConfiguration", key="ClockAlignedDataInterval", value="60")
        station.ask("ChangeConfiguration", key="MinimumStatusDuration", value="3")
        station.present("A")
        wakes = 0
        end_ms = station.now_ms + 700_000
        while station.now_ms < end_ms:
            due_ms = station.charge_point.next_due_ms()
            assert due_ms is not None
            step_ms = station.now_ms + 1_000
            station.now_ms = min(end_ms, step_ms if polled else max(due_ms, station.now_ms + 1))
            station.charge_point.tick(station.now_ms)
            station.serve()
            wakes += 1
        heard.append([entry for entry, _ in station.sent])
        assert polled or wakes < 150, "for 70 samples, 12 aligned ones and 2 heartbeats"
    assert heard[0] == heard[1]
