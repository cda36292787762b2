# SPDX-License-Identifier: GPL-3.0-or-later
"""The OCPP benchmarks measure what they say: real Calls, that are answered as the schemas ask."""

from __future__ import annotations

import itertools
import time
from pathlib import Path

import pytest
from benchmarks import cheap_csms, pair, validation
from benchmarks.processes import Meter, server

from evtool.protocol import ocpp16

REQUESTS: dict[str, ocpp16.Payload] = {
    "BootNotification": {"chargePointVendor": "v", "chargePointModel": "m"},
    "Heartbeat": {},
    "Authorize": {"idTag": "T"},
    "StatusNotification": {"connectorId": 1, "errorCode": "NoError", "status": "Available"},
    "StartTransaction": {
        "connectorId": 1,
        "idTag": "T",
        "meterStart": 1,
        "timestamp": "2024-05-01T12:00:00Z",
    },
    "StopTransaction": {
        "meterStop": 2,
        "timestamp": "2024-05-01T12:00:00Z",
        "transactionId": 1,
    },
    "MeterValues": validation.PAYLOADS["MeterValues"],
}


@pytest.mark.parametrize("action", REQUESTS)
def test_the_cheap_central_system_answers_by_the_schemas(action: str) -> None:
    call = ocpp16.render_message(ocpp16.Call("id-1", action, REQUESTS[action]))
    text = cheap_csms.answer(call, itertools.count(7))
    assert text is not None
    answer = ocpp16.parse_message(text)
    assert isinstance(answer, ocpp16.CallResult)
    assert answer.unique_id == "id-1"
    assert ocpp16.find_violation(action, answer.payload, answer=True) is None


def test_it_has_no_answer_to_an_answer() -> None:
    assert cheap_csms.answer('[3,"id-1",{}]', itertools.count()) is None


@pytest.mark.parametrize("kind", pair.KINDS)
@pytest.mark.parametrize("action", pair.WANTED)
def test_each_pair_makes_its_calls(kind: str, action: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
    monkeypatch.setattr(pair, "CALLS", 5)
    monkeypatch.setattr(pair, "WARM_UP", 1)
    with server("benchmarks.pair_server", kind) as central:
        meter = Meter(central.pid)
        pair.measure(kind, central.port, action, meter)
    assert meter.elapsed_s > 0


@pytest.mark.parametrize("action", validation.PAYLOADS)
def test_all_ways_of_validating_find_the_good_payload_good(action: str) -> None:
    found = validation.ways(action, validation.PAYLOADS[action])
    assert len(found) >= 2
    for check in found.values():
        check()


def test_the_meter_sees_the_work_of_this_process() -> None:
    meter = Meter(0)
    meter.begin()
    begun = time.process_time()
    while time.process_time() == begun:
        pass
    meter.end()
    assert 0 < meter.cpu_s
