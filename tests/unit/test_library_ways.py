# SPDX-License-Identifier: GPL-3.0-or-later
"""What the reference does as MicroOcpp does it, and as the adapter around it does."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from station_rig import PLUGGED, UNPLUGGED, Station, profile

from evtool.protocol import ocpp16
from evtool.reference_impl.charge_point import MICROOCPP_1_2_0, STRICT, Inputs, Mode
from evtool.reference_impl.ocpp_lockstep import FIRMWARE, OcppLockstep

NOON_MS = 1_714_564_800_000
EVENTS = replace(FIRMWARE, takes_turns=False)
"""The firmware's mode for a rig that gives no turns."""


def online(mode: Mode, **values: str) -> Station:
    station = Station(mode=mode).online()
    station.see(UNPLUGGED)
    for key, value in values.items():
        answer = station.ask("ChangeConfiguration", key=key, value=value)
        assert answer == {"status": "Accepted"}, key
    return station


def values_told(station: Station, context: str) -> list[str]:
    """The times of the MeterValues of one context."""
    told = [payload["meterValue"][0] for action, payload in station.sent if action == "MeterValues"]
    return [each["timestamp"] for each in told if each["sampledValue"][0]["context"] == context]


@pytest.mark.parametrize(
    ("mode", "pause_s", "late"),
    [(MICROOCPP_1_2_0, 50, True), (MICROOCPP_1_2_0, 130, False), (STRICT, 50, False)],
)
def test_a_clock_value_that_fell_between_two_transactions(
    mode: Mode, pause_s: int, late: bool
) -> None:
    station = online(mode, ClockAlignedDataInterval="120", MeterValueSampleInterval="0")
    station.see(PLUGGED)
    station.present("A")
    station.wait(100)  # 12:01:40
    station.charge_point.on_stop_request("Local", station.now_ms)
    station.offline()  # without a transaction the strict one tells values too, but only online
    station.wait(pause_s)
    station.online()
    station.sent.clear()
    if mode is STRICT:
        station.wait(1)
        station.sent.clear()
    station.present("B")
    station.wait(2)
    assert bool(values_told(station, "Sample.Clock")) is late


def test_another_clock_interval_is_no_time_of_the_clock() -> None:
    station = online(STRICT, ClockAlignedDataInterval="90")
    station.see(PLUGGED)
    station.wait(50)
    station.ask("ChangeConfiguration", key="ClockAlignedDataInterval", value="40")
    station.wait(25)  # 12:01:15
    assert values_told(station, "Sample.Clock") == []
    station.wait(10)
    assert len(values_told(station, "Sample.Clock")) == 1


@pytest.mark.parametrize(("mode", "seconds"), [(MICROOCPP_1_2_0, [40, 57]), (STRICT, [40, 51])])
def test_samples_after_the_interval_has_changed(mode: Mode, seconds: list[int]) -> None:
    station = online(mode, MeterValueSampleInterval="60")
    station.see(PLUGGED)
    station.present("A")
    station.wait(40)
    station.ask("ChangeConfiguration", key="MeterValueSampleInterval", value="17")
    station.wait(20)
    assert values_told(station, "Sample.Periodic") == [
        ocpp16.render_timestamp(NOON_MS + each * 1000) for each in seconds
    ]


@pytest.mark.parametrize(("mode", "waits"), [(MICROOCPP_1_2_0, False), (STRICT, True)])
def test_connection_timeout_in_whole_seconds(mode: Mode, waits: bool) -> None:
    station = online(mode, ConnectionTimeOut="10")
    station.now_ms += 900
    station.present("A")  # at second 0 of the clock
    station.wait(9.2)  # second 10 has begun
    station.see(PLUGGED)
    assert station.charge_point.word().transaction is waits


def test_until_the_time_is_known_nothing_flows_under_a_profile() -> None:
    station = online(MICROOCPP_1_2_0)
    limited = profile("TxDefaultProfile", 10, kind="Relative", chargingProfileKind="Relative")
    limited.pop("kind")
    assert station.ask("SetChargingProfile", connectorId=0, csChargingProfiles=limited) == {
        "status": "Accepted"
    }
    station.see(PLUGGED)
    station.present("A")
    assert station.charge_point.word().limit_ma == 10_000
    again = Station(stored=dict(station.kept), mode=MICROOCPP_1_2_0)
    again.see(PLUGGED)
    word = again.charge_point.word()
    assert (word.transaction, word.limit_ma) == (True, 0)
    again.online()
    assert again.charge_point.word().limit_ma == 10_000


def test_without_a_profile_a_resumed_transaction_has_no_limit() -> None:
    station = online(MICROOCPP_1_2_0)
    station.see(PLUGGED)
    station.present("A")
    again = Station(stored=dict(station.kept), mode=MICROOCPP_1_2_0)
    again.see(PLUGGED)
    assert again.charge_point.word().transaction
    assert again.charge_point.word().limit_ma is None


def test_no_sample_is_taken_before_the_registration() -> None:
    station = online(MICROOCPP_1_2_0, MeterValueSampleInterval="10")
    station.see(PLUGGED)
    station.present("A")
    again = Station(stored=dict(station.kept), mode=MICROOCPP_1_2_0)
    again.see(PLUGGED)
    again.wait(25)
    again.online()
    again.wait(5)
    assert values_told(again, "Sample.Periodic") == [], "of 1970"
    again.wait(6)
    assert len(values_told(again, "Sample.Periodic")) == 1


def test_a_resumed_transaction_ends_once_the_time_is_known() -> None:
    station = online(MICROOCPP_1_2_0)
    station.see(PLUGGED)
    station.present("A")
    again = Station(stored=dict(station.kept), mode=MICROOCPP_1_2_0)
    again.see(PLUGGED)
    assert again.charge_point.word().permitted
    again.charge_point.on_stop_request("Local", again.now_ms)
    word = again.charge_point.word()
    assert (word.transaction, word.permitted) == (True, False)
    again.online()
    again.wait(1)
    [stop] = [payload for action, payload in again.sent if action == "StopTransaction"]
    assert (stop["reason"], stop["timestamp"]) == ("Local", "2024-05-01T12:00:00Z")


def test_the_devices_cache_does_not_outlive_a_restart() -> None:
    station = online(EVENTS, LocalPreAuthorize="true")
    station.present("A")
    station.wait(40)
    station.sent.clear()
    station.present("A")
    assert "Authorize" not in station.heard()
    again = Station(stored=dict(station.kept), mode=EVENTS).online()
    again.see(UNPLUGGED)
    again.present("A")
    assert "Authorize" in again.heard()


@pytest.mark.parametrize(
    ("mode", "status", "begins"),
    [
        (EVENTS, "Accepted", False),
        (STRICT, "Accepted", True),
        (EVENTS, "Blocked", False),
        (STRICT, "Blocked", False),
    ],
)
def test_a_cached_tag_where_authorize_gets_no_answer(mode: Mode, status: str, begins: bool) -> None:
    station = online(mode, LocalPreAuthorize="false")
    station.id_tag_status = status
    station.present("A")
    station.wait(40)
    station.mute = {"Authorize"}
    station.see(PLUGGED)
    station.present("A")
    station.wait(25)
    assert station.charge_point.word().transaction is begins


def test_a_refused_tag_is_not_unknown_where_authorize_gets_no_answer() -> None:
    station = online(EVENTS, AllowOfflineTxForUnknownId="true")
    station.id_tag_status = "Blocked"
    station.present("BAD")
    station.mute = {"Authorize"}
    station.see(PLUGGED)
    station.present("BAD")
    station.wait(25)
    assert not station.charge_point.word().transaction
    station.id_tag_status = "Accepted"
    station.present("STRANGER")
    station.wait(25)
    assert station.charge_point.word().transaction


@pytest.mark.parametrize(("mode", "held_s"), [(MICROOCPP_1_2_0, 120), (STRICT, 40)])
def test_how_long_a_triggered_sample_holds_back_the_rest(mode: Mode, held_s: int) -> None:
    station = online(mode)
    station.mute = {"MeterValues"}
    station.ask("TriggerMessage", requestedMessage="MeterValues")
    station.see(PLUGGED)
    station.sent.clear()
    station.wait(held_s - 2)
    assert station.heard() == []
    station.wait(3)
    assert "1:Preparing" in station.heard()


def test_what_was_triggered_expires_in_the_queue() -> None:
    station = online(MICROOCPP_1_2_0)
    station.mute = {"Heartbeat"}
    for message in ("Heartbeat", "Heartbeat", "StatusNotification"):
        station.ask("TriggerMessage", requestedMessage=message)
    station.sent.clear()
    station.wait(41)
    told = [action for action, _ in station.sent]
    assert "Heartbeat" not in told, "the second one's time is over too"
    assert told.count("StatusNotification") == 2


@pytest.mark.parametrize(("mode", "first"), [(MICROOCPP_1_2_0, "1:"), (STRICT, "MeterValues")])
def test_what_was_triggered_goes_before_or_behind_a_status(mode: Mode, first: str) -> None:
    station = online(mode)
    station.mute = {"Heartbeat"}
    station.ask("TriggerMessage", requestedMessage="Heartbeat")
    station.sent.clear()
    station.see(PLUGGED)
    station.ask("TriggerMessage", requestedMessage="MeterValues")
    assert station.heard() == []
    station.wait(41)
    assert station.heard()[0].startswith(first)


@pytest.mark.parametrize(("mode", "early"), [(MICROOCPP_1_2_0, True), (STRICT, False)])
def test_a_pause_in_whole_seconds(mode: Mode, early: bool) -> None:
    station = online(mode, TransactionMessageRetryInterval="10")
    station.refuse = {"StartTransaction"}
    station.see(PLUGGED)
    station.now_ms += 700
    station.present("A")
    station.sent.clear()
    station.wait(9.4)  # 10.1 s of the clock
    assert ("StartTransaction" in station.heard()) is early
    station.wait(1)
    assert ("StartTransaction" in station.heard()) is not early


@pytest.mark.parametrize("mode", [MICROOCPP_1_2_0, STRICT])
def test_another_retry_interval_holds_for_what_pauses_already(mode: Mode) -> None:
    station = online(mode, TransactionMessageRetryInterval="60")
    station.refuse = {"StartTransaction"}
    station.see(PLUGGED)
    station.present("A")
    station.wait(5)
    station.ask("ChangeConfiguration", key="TransactionMessageRetryInterval", value="20")
    station.sent.clear()
    station.wait(13)
    assert "StartTransaction" not in station.heard()
    station.wait(3)
    assert "StartTransaction" in station.heard()


def test_a_faulted_connector_takes_a_card_and_no_remote_start() -> None:
    station = online(MICROOCPP_1_2_0)
    faulted = replace(PLUGGED, faulted=True, error="GroundFailure")
    station.see(faulted)
    order = {"idTag": "A", "connectorId": 1}
    assert station.ask("RemoteStartTransaction", **order) == {"status": "Rejected"}
    station.present("A")
    assert not station.charge_point.word().transaction
    station.see(PLUGGED)
    assert station.charge_point.word().transaction


class Turns:
    """A charge point in lockstep, 100 ms a turn; the CSMS's lines are given between two."""

    def __init__(self) -> None:
        self._lockstep = OcppLockstep(FIRMWARE, nonce=1)
        self.now_ms = 0
        identity = {"cp_id": "CP", "vendor": "V", "model": "M", "csms_url": "ws://127.0.0.1:9/x"}
        for key, value in identity.items():
            self.give(f"nvs evcfg {key} str {value.encode().hex()}")
        self.give("boot reset=power_on charge_point=CP energy_mwh=0")

    def give(self, line: str) -> list[str]:
        *answer, end = self._lockstep.answer(f"@{self.now_ms} {line}")
        assert end == "ok", end
        return [each for each in answer if each.startswith("ws send ")]

    def turn(self) -> list[str]:
        self.now_ms += 100
        return self.give("tick")


def test_one_message_a_turn_and_an_answer_before_a_call() -> None:
    unit = Turns()
    unit.give("ws open")
    told = [unit.turn() for _ in range(40)]
    assert [len(each) for each in told if each] == [1]
    boot = ocpp16.parse_message(next(each for each in told if each)[0].removeprefix("ws send "))
    assert isinstance(boot, ocpp16.Call)
    accepted: dict[str, Any] = {
        "status": "Accepted", "interval": 300, "currentTime": "2024-05-01T12:00:00Z",
    }  # fmt: skip
    answer = ocpp16.render_message(ocpp16.CallResult(boot.unique_id, accepted))
    questions = [ocpp16.Call(f"q{n}", "GetLocalListVersion", {}) for n in range(3)]
    texts = [answer, *(ocpp16.render_message(each) for each in questions)]
    assert [unit.give(f"ws recv {text}") for text in texts] == [[], [], [], []]
    told = [unit.turn() for _ in range(4)]
    kinds = [
        [type(ocpp16.parse_message(each.removeprefix("ws send "))).__name__ for each in turn]
        for turn in told
    ]
    assert kinds == [["CallResult"], ["CallResult"], ["CallResult"], ["Call"]]


def test_a_card_finds_the_connection_that_has_just_opened() -> None:
    unit = Turns()
    unit.give("ws open")
    for _ in range(40):
        for text in unit.turn():
            call = ocpp16.parse_message(text.removeprefix("ws send "))
            assert isinstance(call, ocpp16.Call)
            payload = {"status": "Accepted", "interval": 300, "currentTime": "2024-05-01T12:00:00Z"}
            answer = ocpp16.CallResult(
                call.unique_id, payload if call.action == "BootNotification" else {}
            )
            unit.give("ws recv " + ocpp16.render_message(answer))
    unit.give("ws closed")
    unit.turn()
    unit.give("ws open")
    unit.give("card TAG")
    assert any('"Authorize"' in text for text in unit.turn() + unit.turn())


@pytest.mark.parametrize(
    ("mode", "said"),
    [(STRICT, "Scheduled"), (EVENTS, "Scheduled"), (MICROOCPP_1_2_0, "Accepted")],
)
def test_availability_of_a_connector_that_a_fault_interrupts(mode: Mode, said: str) -> None:
    station = online(mode)
    station.see(PLUGGED)
    station.present("A")
    station.see(Inputs(True, True, False, faulted=True, error="GroundFailure"))
    assert station.charge_point.word().transaction
    answer = station.ask("ChangeAvailability", connectorId=1, type="Inoperative")
    assert answer == {"status": said}
    answer = station.ask("ChangeAvailability", connectorId=0, type="Inoperative")
    assert answer == {"status": "Scheduled"}, "to the library a fault is not connector 0's"


@pytest.mark.parametrize(("mode", "said"), [(EVENTS, "Scheduled"), (MICROOCPP_1_2_0, "Accepted")])
def test_what_is_answered_before_the_registration(mode: Mode, said: str) -> None:
    station = online(mode)
    station.see(PLUGGED)
    station.present("A")
    again = Station(stored=dict(station.kept), mode=mode)
    again.mute = {"BootNotification"}
    again.online()
    again.see(PLUGGED)
    assert again.charge_point.word().transaction
    for connector_id in (1, 0):
        answer = again.ask("ChangeAvailability", connectorId=connector_id, type="Inoperative")
        assert answer == {"status": said}
    answer = again.ask("GetCompositeSchedule", connectorId=1, duration=60)
    assert answer == {"status": "Rejected"}, "no schedule of 1970"
