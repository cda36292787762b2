# SPDX-License-Identifier: GPL-3.0-or-later
"""Every text that the charge point sends conforms, whatever it hears and sees."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from station_rig import Station, profile

from evtool.protocol import ocpp16
from evtool.reference_impl.charge_point import MICROOCPP_1_2_0, STRICT, Inputs, Mode

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2)
    ),
    max_leaves=6,
)
payloads = st.sampled_from(
    [
        {"idTag": "A"}, {"transactionId": 1}, {"type": "Soft"}, {"connectorId": 1}, {},
        {"connectorId": 0, "type": "Inoperative"}, {"key": "HeartbeatInterval", "value": "9"},
        {"key": "ClockAlignedDataInterval", "value": "1"}, {"key": ["a"]},
        {"key": "StopTxnSampledData", "value": "SoC"}, {"connectorId": 1, "duration": 10**30},
        {"connectorId": 1, "csChargingProfiles": profile("TxDefaultProfile", 10**30)},
        {"connectorId": 0, "csChargingProfiles": profile("ChargePointMaxProfile", 1.5)},
        {"currentTime": "9999-12-31T23:59:59Z", "interval": 1, "status": "Accepted"},
        {"idTagInfo": {"status": "Accepted"}}, {"requestedMessage": "MeterValues"},
        {"transactionId": -1, "idTagInfo": {"status": "Invalid"}},
        {"connectorId": 2, "idTag": "A"}, {"connectorId": 2, "type": "Operative"},
        {"connectorId": 0, "expiryDate": "2024-05-01T12:30:00Z", "idTag": "A", "reservationId": 1},
        {"connectorId": 2, "expiryDate": "2024-05-01T12:30:00Z", "idTag": "B", "reservationId": 2},
        {"listVersion": 1, "updateType": "Full", "localAuthorizationList": [
            {"idTag": "A", "idTagInfo": {"status": "Accepted", "parentIdTag": "P"}}]},
        {"transactionId": 2, "idTagInfo": {"status": "Accepted", "parentIdTag": "P"}},
        {"key": "LocalPreAuthorize", "value": "true"}, {"reservationId": 1},
        {"key": "AllowOfflineTxForUnknownId", "value": "true"},
    ]
) | st.dictionaries(st.text(max_size=5), values, max_size=2)  # fmt: skip
optional = st.none() | st.integers(-(2**40), 2**40)
seen = st.builds(
    Inputs,
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.integers(0, 2**50),
    *[optional] * 6,
    st.booleans(),
    st.sampled_from(["NoError", "HighTemperature", "not a code"]),
)
steps = st.one_of(
    st.tuples(st.just("call"), st.sampled_from(sorted(ocpp16.ACTIONS)), payloads),
    st.tuples(st.just("answer"), payloads | st.just("error")),
    st.tuples(st.just("text"), st.text(max_size=30)),
    st.tuples(st.just("see"), seen, st.integers(1, 2)),
    st.tuples(st.just("card"), st.sampled_from("AB"), st.sampled_from([None, 1, 2])),
    st.tuples(st.just("unlocked"), st.integers(1, 2), st.booleans()),
    st.tuples(st.sampled_from(["open", "close", "present", "stop"])),
    st.tuples(st.just("wait"), st.integers(0, 10**10)),
)


def say(station: Station, event: tuple[Any, ...]) -> None:
    """The CSMS says something."""
    match event:
        case ("call", action, payload):
            unique_id = f"c{len(station.asked)}"
            station.asked[unique_id] = action
            station.text([2, unique_id, action, payload])
        case ("answer", "error") if station.calls:
            station.text([4, station.calls.popleft().unique_id, "GenericError", "", {}])
        case ("answer", payload) if station.calls and payload != "error":
            station.text([3, station.calls.popleft().unique_id, payload])
        case ("text", text):
            station.charge_point.on_text(text, station.now_ms)


def happen(station: Station, event: tuple[Any, ...]) -> None:
    """Something happens at the charge point."""
    charge_point, now = station.charge_point, station.now_ms
    match event:
        case ("see", inputs, connector):
            charge_point.on_inputs(inputs, now, connector)
        case ("card", id_tag, connector):
            charge_point.on_card(id_tag, now, connector)
        case ("unlocked", connector, is_unlocked):
            charge_point.on_unlocked(connector, is_unlocked, now)
        case ("open",):
            charge_point.on_open(now)
        case ("close",):
            charge_point.on_closed(now)
        case ("present",):
            charge_point.on_start_request("TAG", now)
        case ("stop",):
            charge_point.on_stop_request("anything", now)
        case ("wait", elapsed):
            station.now_ms += elapsed
            charge_point.tick(station.now_ms)


@settings(max_examples=150, deadline=None)
@given(st.lists(steps, max_size=30), st.sampled_from([STRICT, MICROOCPP_1_2_0]))
def test_whatever_happens_it_sends_only_what_conforms(
    events: list[tuple[Any, ...]], mode: Mode
) -> None:
    station = Station(connectors=2, has_lock=True, mode=mode).online()
    for event in events:
        if event[0] in ("call", "answer", "text"):
            say(station, event)
        else:
            happen(station, event)
        before = len(station.sent)
        station.collect()
        assert len(station.sent) - before <= 1, "one Call at a time"
        for connector in (1, 2):
            word = station.charge_point.word(connector)
            assert not word.permitted or word.transaction
            assert not word.connected or station.charge_point.open
        due_ms = station.charge_point.next_due_ms()
        assert due_ms is None or due_ms > station.now_ms, "what is due has been done"
