# SPDX-License-Identifier: GPL-3.0-or-later
"""A transaction that a power cut or a restart interrupts: the CSMS hears of its end."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from station_rig import PLUGGED, UNPLUGGED, Station

from evtool.protocol import ocpp16
from evtool.reference_impl.charge_point import MICROOCPP_1_2_0, Inputs
from evtool.reference_impl.charge_point.transactions import (
    MESSAGE_KEY,
    TRANSACTION_KEY,
    read_transaction,
)
from evtool.reference_impl.controller_types import Report

TELLING = {"MeterValues", "StartTransaction", "StopTransaction"}


def stops(station: Station) -> list[ocpp16.Payload]:
    return [payload for action, payload in station.sent if action == "StopTransaction"]


def records(station: Station) -> list[str]:
    """The keys of what is kept of transactions and their messages."""
    return [key for key in station.kept if key.startswith((TRANSACTION_KEY, MESSAGE_KEY))]


def told_wh(station: Station) -> int:
    """The register in the last message that tells it."""
    action, payload = next(each for each in reversed(station.sent) if each[0] in TELLING)
    if action == "MeterValues":
        values = payload["meterValue"][0]["sampledValue"]
        return int(next(v["value"] for v in values if v["unit"] == "Wh"))
    return int(payload["meterStart" if action == "StartTransaction" else "meterStop"])


def charging() -> Station:
    station = Station().online()
    station.see(PLUGGED)
    station.ask("ChangeConfiguration", key="MeterValueSampleInterval", value="10")
    station.present("A")
    return station


def again_after(station: Station, **how: str) -> Station:
    """The same charge point after a power cut."""
    return Station(stored=dict(station.kept), **how)  # type: ignore[arg-type]  # restart_reason only


@pytest.mark.parametrize("reason", ["PowerLoss", "Reboot"])
@pytest.mark.parametrize("after", [PLUGGED, UNPLUGGED], ids=["plugged", "unplugged"])
def test_after_a_power_cut_the_transaction_is_stopped_once(reason: str, after: Inputs) -> None:
    before = charging()
    again = again_after(before, restart_reason=reason)
    again.now_ms = 5_000_000  # nobody's clock starts at 0
    again.online()
    assert again.heard() == ["BootNotification", "0:Available", "1:Available"], "no register yet"
    again.now_ms += 2_000
    again.see(after)
    assert not again.charge_point.word().transaction
    assert stops(again) == [
        {
            "transactionId": 1,
            "meterStop": 1234,
            "timestamp": "2024-05-01T12:00:02Z",
            "reason": reason,
        }
    ]
    again.wait(60)
    again.kept = {**before.kept, **again.kept}
    for key in records(before):
        del again.kept[key]
    third = again_after(again).online()
    third.see(PLUGGED)
    assert stops(third) == []


@pytest.mark.parametrize("plugged", [True, False])
def test_the_library_resumes_where_the_plug_is_seen_at_once(plugged: bool) -> None:
    station = Station(mode=MICROOCPP_1_2_0).online()
    station.see(PLUGGED)
    station.present("A")
    again = Station(mode=MICROOCPP_1_2_0, stored=station.kept).online()
    again.see(PLUGGED if plugged else UNPLUGGED)
    assert again.charge_point.word().permitted is plugged
    assert [stop["reason"] for stop in stops(again)] == ([] if plugged else ["EVDisconnected"])
    if plugged:
        assert again.ask("RemoteStopTransaction", transactionId=1) == {"status": "Accepted"}
        assert [stop["reason"] for stop in stops(again)] == ["Remote"]


@pytest.mark.parametrize("way", ["period", "trigger", "start", "end"])
def test_the_register_is_told_once_it_is_stored(way: str) -> None:
    """Told is what the inputs after `AskRegister` say is stored, not what was stored before."""
    station = Station().online() if way == "start" else charging()
    grown = replace(PLUGGED, energy_mwh=1_290_000, unstored=True)
    station.see(grown)
    assert station.registers_asked == []
    station.heard()
    match way:
        case "period":
            station.wait(10)
        case "trigger":
            station.ask("TriggerMessage", requestedMessage="MeterValues", connectorId=1)
        case "start":
            station.present("A")
        case "end":
            station.charge_point.on_stop_request("Local", station.now_ms)
            station.serve()
            assert not station.charge_point.word().transaction, "power need not wait"
    station.wait(1)
    kind = Report.TRANSACTION if way in ("start", "end") else Report.SAMPLE
    assert station.registers_asked == [kind], "asked for once"
    assert not TELLING & set(station.heard()), "nothing is told before it is stored"
    station.see(replace(PLUGGED, energy_mwh=1_300_999))
    assert told_wh(station) == 1300
    if way == "end":
        assert records(station) == [], "the CSMS has taken it"


def test_where_the_controller_does_not_store_what_was_stored_is_told() -> None:
    station = charging()
    station.see(replace(PLUGGED, energy_mwh=1_290_000, unstored=True))
    station.wait(10)
    station.heard()
    station.see(replace(PLUGGED, energy_mwh=1_290_000, unstored=True))
    assert told_wh(station) == 1290
    station.wait(10)
    assert station.registers_asked == [Report.SAMPLE], "that answer still holds"


def test_the_answer_to_a_sample_is_none_to_an_end() -> None:
    station = charging()
    grown = replace(PLUGGED, energy_mwh=1_290_000, unstored=True)
    station.see(grown)
    station.wait(10)
    station.see(grown)
    station.heard()
    station.charge_point.on_stop_request("Local", station.now_ms)
    station.serve()
    assert station.registers_asked == [Report.SAMPLE, Report.TRANSACTION]
    station.see(grown)  # was on its way already
    assert not TELLING & set(station.heard())
    station.see(replace(PLUGGED, energy_mwh=1_300_999))
    assert told_wh(station) == 1300


def test_an_end_does_not_wait_for_ever() -> None:
    station = charging()
    station.charge_point.on_inputs(replace(PLUGGED, energy_mwh=1_290_000, unstored=True), 0)
    station.charge_point.on_stop_request("Local", station.now_ms)
    station.serve()
    for energy_mwh in (1_290_000, 1_295_000):
        assert stops(station) == []
        station.see(replace(PLUGGED, energy_mwh=energy_mwh, unstored=True))
    assert stops(station)[0]["meterStop"] == 1295


def test_a_cut_between_the_end_and_its_register_stops_with_what_is_known() -> None:
    station = charging()
    station.see(replace(PLUGGED, energy_mwh=1_290_000, unstored=True))
    station.charge_point.on_stop_request("Local", station.now_ms)
    station.collect()
    again = again_after(station).online()
    again.see(replace(PLUGGED, energy_mwh=1_300_999))
    assert [stop["meterStop"] for stop in stops(again)] == [1290]


@pytest.mark.parametrize(("register_mwh", "meter_stop"), [(1_302_000, 1302), (0, 1234)])
def test_a_transaction_that_was_cut_off_stops_at_the_stored_register(
    register_mwh: int, meter_stop: int
) -> None:
    again = again_after(charging()).online()
    again.see(replace(PLUGGED, energy_mwh=register_mwh))
    assert stops(again)[0]["meterStop"] == meter_stop


def test_an_erased_register_does_not_fall_below_what_a_sample_told() -> None:
    station = charging()
    station.see(replace(PLUGGED, energy_mwh=1_290_000))
    station.wait(10)
    assert told_wh(station) == 1290
    again = again_after(station).online()
    again.see(replace(PLUGGED, energy_mwh=0))
    assert stops(again)[0]["meterStop"] == 1290


def test_an_end_that_was_not_delivered_comes_as_it_was() -> None:
    station = charging()
    station.wait(20)
    station.offline()
    station.see(replace(PLUGGED, energy_mwh=1_250_000))
    station.charge_point.on_stop_request("Local", station.now_ms, id_tag="A")
    station.collect()
    again = again_after(station).online()
    again.wait(100)
    again.see(replace(PLUGGED, energy_mwh=1_400_000))
    assert stops(again) == [
        {
            "transactionId": 1,
            "idTag": "A",
            "meterStop": 1250,
            "timestamp": "2024-05-01T12:00:20Z",
            "reason": "Local",
        }
    ]


def test_what_was_done_offline_is_told_in_its_order_after_a_power_cut() -> None:
    station = charging()
    station.ask("ChangeConfiguration", key="AllowOfflineTxForUnknownId", value="true")
    station.charge_point.on_stop_request("Local", station.now_ms)
    station.serve()
    station.offline()
    station.present("B")
    station.wait(20)
    station.charge_point.on_stop_request("Other", station.now_ms)
    station.collect()
    station.present("C")
    station.collect()
    again = again_after(station).online()
    again.see(PLUGGED)
    told = [(action, payload) for action, payload in again.sent if action in TELLING]
    assert [action for action, _ in told] == [
        "StartTransaction", "MeterValues", "MeterValues", "StopTransaction",
        "StartTransaction", "StopTransaction",
    ]  # fmt: skip
    assert [payload.get("transactionId") for _, payload in told] == [None, 1, 1, 1, None, 2]
    assert [told[0][1]["idTag"], told[4][1]["idTag"]] == ["B", "C"]
    assert told[5][1]["reason"] == "PowerLoss"
    assert records(again) == []


def test_until_the_csms_has_taken_the_end_it_is_kept() -> None:
    station = charging()
    station.mute = {"StopTransaction"}
    station.charge_point.on_stop_request("Local", station.now_ms)
    station.serve()
    for _ in range(2):
        kept = dict(station.kept)
        station = again_after(station)
        station.kept = kept
        station.mute = {"StopTransaction"}
        station.online().see(PLUGGED)
        assert len(stops(station)) == 1
    station.mute = set()
    station.wait(41)
    assert records(station) == []


def test_the_first_record_of_a_stop_outlives_a_power_cut() -> None:
    station = Station().online()
    station.see(PLUGGED)
    measurand = "Energy.Active.Import.Register"
    station.ask("ChangeConfiguration", key="StopTxnSampledData", value=measurand)
    station.present("A")
    again = again_after(station)
    again.kept = dict(station.kept)
    again.online()
    again.see(PLUGGED)
    [stop] = stops(again)
    [first] = stop["transactionData"]
    assert first["timestamp"] == "2024-05-01T12:00:00Z"
    assert [value["context"] for value in first["sampledValue"]] == ["Transaction.Begin"]


def test_a_start_that_was_given_up_leaves_nothing_behind() -> None:
    station = Station(mode=MICROOCPP_1_2_0).online()
    station.see(PLUGGED)
    keys = {
        "StopTxnSampledData": "Energy.Active.Import.Register",
        "TransactionMessageAttempts": "1",
    }
    for key, value in keys.items():
        station.ask("ChangeConfiguration", key=key, value=value)
    station.mute = {"StartTransaction"}
    station.present("A")
    station.see(replace(PLUGGED, unstored=True))  # its end waits for the register
    station.text([4, station.unanswered[0].unique_id, "InternalError", "", {}])
    station.see(PLUGGED)
    station.wait(5)
    assert not station.charge_point.word().transaction
    assert records(station) == []


@pytest.mark.parametrize(
    "records",
    [
        "x", [[]], [["2024-05-01T12:00:00Z"]], [["no time", [{"value": "1"}]]],
        [["2024-05-01T12:00:00Z", [{"value": 1}]]], [["2024-05-01T12:00:00Z", [{"what": "1"}]]],
        [{"timestamp": "2024-05-01T12:00:00Z"}],
    ],
)  # fmt: skip
def test_records_that_nobody_could_tell_make_no_transaction(records: object) -> None:
    sound = {"v": 1, "connector_id": 1, "id_tag": "A", "started_unix_ms": 1, "meter_wh": 1}
    assert read_transaction(1, json.dumps(sound)) is not None
    assert read_transaction(1, json.dumps(sound | {"records": records})) is None


def test_an_answer_that_comes_late_counts() -> None:
    station = charging()
    station.mute = {"StopTransaction"}
    station.charge_point.on_stop_request("Local", station.now_ms)
    station.wait(41)
    assert len(station.unanswered) == 2, "sent again after its time-out"
    station.text([3, station.unanswered[0].unique_id, {}])
    assert records(station) == []
    station.text([3, station.unanswered[1].unique_id, {}])
    station.wait(60)
    assert len(stops(station)) == 2


def test_a_stop_that_the_csms_always_refuses_is_forgotten_in_the_end() -> None:
    station = charging()
    station.ask("ChangeConfiguration", key="TransactionMessageRetryInterval", value="1")
    station.refuse = {"StopTransaction"}
    station.charge_point.on_stop_request("Local", station.now_ms)
    station.wait(10)
    assert records(station) == []


@given(st.text() | st.builds(str, st.dictionaries(st.text(), st.integers())))
@example("[" * 100_000)
@example('{"v": 1, "connector_id": 1, "id_tag": "A", "started_unix_ms": 1, "meter_wh": "1"}')
@example('{"v": 1, "connector_id": 0, "id_tag": "A", "started_unix_ms": 1, "meter_wh": 1}')
@example('{"v": 1, "connector_id": 1, "id_tag": "A", "started_unix_ms": 1e99, "meter_wh": 1}')
@example('{"v": 1, "connector_id": 1, "id_tag": [], "started_unix_ms": 1, "meter_wh": 1}')
def test_a_kept_text_that_is_not_ours_is_none(text: str) -> None:
    assert read_transaction(1, text) is None
    keys = ("transaction.1", "message.2", "reservation.1", "local_list", "authorization_cache")
    station = Station(stored=dict.fromkeys(keys, text)).online()
    station.see(PLUGGED)
    assert stops(station) == []
    assert {notice.detail for notice in station.noticed} >= ({"transaction.1"} if text else set())


def test_a_message_of_no_transaction_is_dropped() -> None:
    text = '{"v": 1, "action": "StopTransaction", "transaction": 7, "attempts": 0, "payload": {}}'
    station = Station(stored={"message.9": text}).online()
    station.see(PLUGGED)
    assert stops(station) == []
    assert [notice.detail for notice in station.noticed] == ["message.9"]
