# SPDX-License-Identifier: GPL-3.0-or-later
"""A transaction that a power cut or a restart interrupts: the CSMS hears of its end."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from station_rig import PLUGGED, UNPLUGGED, Station

from evtool.protocol import ocpp16
from evtool.reference_impl.charge_point import Inputs
from evtool.reference_impl.charge_point.kept_transaction import (
    KEY,
    KeptTransaction,
    read_kept,
)
from evtool.reference_impl.controller_types import Report

TELLING = {"MeterValues", "StartTransaction", "StopTransaction"}


def stops(station: Station) -> list[ocpp16.Payload]:
    return [payload for action, payload in station.sent if action == "StopTransaction"]


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


@pytest.mark.parametrize("reason", ["PowerLoss", "Reboot"])
@pytest.mark.parametrize("after", [PLUGGED, UNPLUGGED], ids=["plugged", "unplugged"])
def test_after_a_power_cut_the_transaction_is_stopped_once(reason: str, after: Inputs) -> None:
    kept = charging().kept
    again = Station(restart_reason=reason, **kept)
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
    third = Station(**{**kept, **again.kept}).online()
    third.see(PLUGGED)
    assert stops(third) == []


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
        assert station.kept[KEY] == "", "the CSMS has taken it"


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
    again = Station(**station.kept).online()
    again.see(replace(PLUGGED, energy_mwh=1_300_999))
    assert [stop["meterStop"] for stop in stops(again)] == [1290]


@pytest.mark.parametrize(("register_mwh", "meter_stop"), [(1_302_000, 1302), (0, 1234)])
def test_a_transaction_that_was_cut_off_stops_at_the_stored_register(
    register_mwh: int, meter_stop: int
) -> None:
    again = Station(**charging().kept).online()
    again.see(replace(PLUGGED, energy_mwh=register_mwh))
    assert stops(again)[0]["meterStop"] == meter_stop


def test_an_end_that_was_not_delivered_comes_as_it_was() -> None:
    station = charging()
    station.wait(20)
    station.offline()
    station.see(replace(PLUGGED, energy_mwh=1_250_000))
    station.charge_point.on_stop_request("Local", station.now_ms)
    station.collect()
    again = Station(**station.kept).online()
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


def test_until_the_csms_has_taken_the_end_it_is_kept() -> None:
    station = charging()
    station.mute = {"StopTransaction"}
    station.charge_point.on_stop_request("Local", station.now_ms)
    station.serve()
    for _ in range(2):
        station = Station(**station.kept)
        station.kept = dict(station.charge_point.settings.stored)
        station.mute = {"StopTransaction"}
        station.online().see(PLUGGED)
        assert len(stops(station)) == 1
    station.mute = set()
    station.wait(41)
    assert station.kept[KEY] == ""


def test_a_stop_that_the_csms_always_refuses_is_forgotten_in_the_end() -> None:
    station = charging()
    station.ask("ChangeConfiguration", key="TransactionMessageRetryInterval", value="1")
    station.refuse = {"StopTransaction"}
    station.charge_point.on_stop_request("Local", station.now_ms)
    station.wait(10)
    assert station.kept[KEY] == ""


def test_the_next_transaction_is_kept_in_its_turn() -> None:
    station = charging()
    station.charge_point.on_stop_request("Local", station.now_ms)
    station.serve()
    assert station.kept[KEY] == ""
    station.present("B")
    kept = read_kept(station.kept[KEY])
    assert kept == KeptTransaction(2, "B", 1234)


@given(st.text() | st.builds(str, st.dictionaries(st.text(), st.integers())))
@example("[" * 100_000)
@example('{"transaction_id": 1, "id_tag": "A", "meter_wh": "1"}')
@example('{"transaction_id": 1, "id_tag": "A", "meter_wh": 1, "reason": "Whim"}')
@example('{"transaction_id": 1, "id_tag": "A", "meter_wh": 1, "reason": 5}')
def test_a_stored_text_that_is_not_ours_is_none(text: str) -> None:
    assert read_kept(text) is None
    Station(**{KEY: text}).online().see(PLUGGED)
