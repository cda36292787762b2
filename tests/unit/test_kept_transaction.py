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


def stops(station: Station) -> list[ocpp16.Payload]:
    return [payload for action, payload in station.sent if action == "StopTransaction"]


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


@pytest.mark.parametrize("way", ["period", "trigger"])
def test_the_meter_never_stops_below_what_the_csms_was_told(way: str) -> None:
    station = charging()
    station.see(replace(PLUGGED, energy_mwh=1_300_999))
    if way == "period":
        station.wait(10)
    else:
        station.ask("TriggerMessage", requestedMessage="MeterValues", connectorId=1)
    for register_mwh, meter_stop in ((1_234_567, 1300), (1_302_000, 1302)):
        again = Station(**station.kept).online()
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
