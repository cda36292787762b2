# SPDX-License-Identifier: GPL-3.0-or-later
"""Several connectors: cards and remote starts that find theirs, availability, locks."""

from __future__ import annotations

import pytest
from station_rig import PLUGGED, UNPLUGGED, Station

from evtool.protocol import ocpp16
from evtool.reference_impl.charge_point import MICROOCPP_1_2_0, STRICT, Inputs, Mode

FAULTED = Inputs(plugged=False, evse_ready=False, faulted=True, error="GroundFailure")


@pytest.fixture
def station() -> Station:
    return two()


def two(**how: object) -> Station:
    online = Station(connectors=2, **how).online()  # type: ignore[arg-type]  # Station's own options
    online.see(UNPLUGGED)
    online.see(UNPLUGGED, 2)
    assert online.heard() == ["BootNotification", "0:Available", "1:Available", "2:Available"]
    return online


def payloads(station: Station, action: str) -> list[ocpp16.Payload]:
    return [payload for sent, payload in station.sent if sent == action]


def test_a_card_goes_with_the_connector_that_is_plugged_in(station: Station) -> None:
    station.swipe("A")
    assert station.heard() == ["Authorize", "1:Preparing"]
    station.see(PLUGGED, 2)
    assert set(station.heard()) == {"1:Available", "2:Charging", "StartTransaction"}
    assert not station.charge_point.word(1).permitted
    assert station.charge_point.word(2).permitted


def test_a_card_at_one_reader_stays_there(station: Station) -> None:
    station.swipe("A", 1)
    station.heard()
    station.see(PLUGGED, 2)
    assert station.heard() == ["2:Preparing"]
    station.see(PLUGGED, 1)
    assert payloads(station, "StartTransaction")[0]["connectorId"] == 1


def test_each_card_ends_its_own_transaction(station: Station) -> None:
    station.see(PLUGGED, 1)
    station.swipe("A")
    station.see(PLUGGED, 2)
    station.swipe("B")
    assert [start["connectorId"] for start in payloads(station, "StartTransaction")] == [1, 2]
    station.swipe("A")
    [stop] = payloads(station, "StopTransaction")
    assert (stop["transactionId"], stop["reason"], stop["idTag"]) == (1, "Local", "A")
    station.heard()
    station.swipe("A")
    assert station.heard() == [], "held to the reader twice"
    station.see(UNPLUGGED, 1)
    station.see(PLUGGED, 1)
    station.swipe("A")
    assert "StartTransaction" in station.heard()
    assert station.charge_point.word(2).permitted, "nobody ended B's"


def test_a_card_of_the_same_parent_ends_a_transaction() -> None:
    station = Station().online()
    station.parent = "FAMILY"
    station.see(PLUGGED)
    station.swipe("A")
    station.heard()
    station.swipe("B")
    assert station.sent[-1][1]["idTag"] == "B"
    assert station.heard() == ["Authorize", "1:Finishing", "StopTransaction"]


def test_without_a_parent_another_card_asks_nobody() -> None:
    station = Station().online()
    station.see(PLUGGED)
    station.swipe("A")
    station.heard()
    station.swipe("B")
    assert station.heard() == []
    assert station.charge_point.word().permitted


def test_the_same_card_takes_a_session_back(station: Station) -> None:
    station.swipe("A", 1)
    station.swipe("A", 1)
    station.see(PLUGGED, 1)
    assert not station.charge_point.word(1).transaction


def test_remote_start_finds_a_connector(station: Station) -> None:
    assert station.ask("RemoteStartTransaction", idTag="A") == {"status": "Accepted"}
    station.see(PLUGGED, 2)
    assert payloads(station, "StartTransaction")[0]["connectorId"] == 2
    assert station.ask("RemoteStartTransaction", idTag="A") == {"status": "Accepted"}
    station.see(PLUGGED, 1)
    assert payloads(station, "StartTransaction")[1]["connectorId"] == 1
    assert station.ask("RemoteStartTransaction", idTag="B") == {"status": "Rejected"}
    assert station.ask("RemoteStopTransaction", transactionId=1) == {"status": "Accepted"}
    assert station.charge_point.word(1).permitted
    assert not station.charge_point.word(2).permitted


@pytest.mark.parametrize(("mode", "status"), [(STRICT, "Rejected"), (MICROOCPP_1_2_0, "Accepted")])
def test_remote_start_on_connector_0(mode: Mode, status: str) -> None:
    station = two(mode=mode)
    assert station.ask("RemoteStartTransaction", idTag="A", connectorId=0) == {"status": status}
    assert station.ask("RemoteStartTransaction", idTag="A", connectorId=3)["status"] == "Rejected"


def test_a_stop_that_overtakes_the_answer_to_the_start() -> None:
    station = Station().online()
    station.see(PLUGGED)
    station.mute = {"StartTransaction"}
    station.present("A")
    station.asked["early"] = "RemoteStopTransaction"
    station.text([2, "early", "RemoteStopTransaction", {"transactionId": 9}])
    assert "early" not in station.answers
    info = {"transactionId": 9, "idTagInfo": {"status": "Accepted"}}
    station.text([3, station.unanswered[0].unique_id, info])
    station.serve()
    answer = station.answers["early"]
    assert isinstance(answer, ocpp16.CallResult)
    assert answer.payload == {"status": "Accepted"}
    assert payloads(station, "StopTransaction")[0]["transactionId"] == 9


def test_a_faulted_connector_starts_nothing(station: Station) -> None:
    station.see(FAULTED, 1)
    answer = station.ask("RemoteStartTransaction", idTag="A", connectorId=1)
    assert answer == {"status": "Rejected"}
    station.swipe("A")
    assert station.heard() == ["1:Faulted", "Authorize", "2:Preparing"]


def test_unavailable_waits_for_who_prepares(station: Station) -> None:
    station.see(PLUGGED, 1)
    station.heard()
    answer = station.ask("ChangeAvailability", connectorId=0, type="Inoperative")
    assert answer == {"status": "Scheduled"}
    assert station.heard() == ["0:Unavailable", "2:Unavailable"]
    station.see(UNPLUGGED, 1)
    assert station.heard() == ["1:Unavailable"]
    again = Station(connectors=2, stored=station.kept).online()
    assert again.heard()[1:] == ["0:Unavailable", "1:Unavailable", "2:Unavailable"]
    again.ask("ChangeAvailability", connectorId=0, type="Operative")
    assert again.heard() == ["0:Available", "1:Available", "2:Available"]


def test_the_library_takes_a_connector_that_prepares_out_at_once() -> None:
    station = two(mode=MICROOCPP_1_2_0)
    station.see(PLUGGED, 1)
    answer = station.ask("ChangeAvailability", connectorId=1, type="Inoperative")
    assert answer == {"status": "Accepted"}
    assert station.heard() == ["1:Preparing", "1:Unavailable"]


@pytest.mark.parametrize("result", ["Unlocked", "UnlockFailed", "no answer"])
def test_unlocking_ends_the_transaction_and_waits_for_the_lock(result: str) -> None:
    station = two(has_lock=True)
    station.see(PLUGGED, 2)
    station.swipe("A", 2)
    station.asked["u"] = "UnlockConnector"
    station.text([2, "u", "UnlockConnector", {"connectorId": 2}])
    station.serve()
    assert payloads(station, "StopTransaction")[0]["reason"] == "UnlockCommand"
    assert station.unlocks == [2]
    assert "u" not in station.answers
    assert station.ask("UnlockConnector", connectorId=2) == {"status": "UnlockFailed"}, "busy"
    if result == "no answer":
        station.wait(11)
    else:
        station.charge_point.on_unlocked(2, result == "Unlocked", station.now_ms)
        station.collect()
    answer = station.answers["u"]
    assert isinstance(answer, ocpp16.CallResult)
    assert answer.payload["status"] == ("Unlocked" if result == "Unlocked" else "UnlockFailed")


def test_there_is_nothing_to_unlock() -> None:
    assert two().ask("UnlockConnector", connectorId=1) == {"status": "NotSupported"}
    assert two(has_lock=True).ask("UnlockConnector", connectorId=3) == {"status": "NotSupported"}


def test_the_plug_is_released_when_the_vehicle_side_is_unplugged() -> None:
    station = two(has_lock=True)
    station.see(PLUGGED, 1)
    station.swipe("A", 1)
    station.see(UNPLUGGED, 1)
    assert station.unlocks == [1]


def test_triggers_concern_one_connector_or_all(station: Station) -> None:
    station.see(PLUGGED, 2)
    station.swipe("A", 2)
    station.heard()
    station.ask("TriggerMessage", requestedMessage="MeterValues")
    told = payloads(station, "MeterValues")
    assert [values["connectorId"] for values in told] == [1, 2]
    assert ["transactionId" in values for values in told] == [False, True]
    station.heard()
    station.ask("TriggerMessage", requestedMessage="StatusNotification", connectorId=2)
    assert station.heard() == ["2:Charging"]
    answer = station.ask("TriggerMessage", requestedMessage="MeterValues", connectorId=3)
    assert answer == {"status": "Rejected"}


def test_while_pending_only_what_is_triggered_is_sent() -> None:
    station = Station(connectors=2)
    station.charge_point.on_open(0)
    station.collect()
    payload = {"currentTime": "2024-05-01T12:00:00Z", "interval": 50, "status": "Pending"}
    station.text([3, station.calls.popleft().unique_id, payload])
    station.see(PLUGGED, 1)
    station.heard()
    assert station.ask("TriggerMessage", requestedMessage="Heartbeat") == {"status": "Accepted"}
    station.ask("TriggerMessage", requestedMessage="StatusNotification", connectorId=1)
    assert station.heard() == ["Heartbeat", "1:Preparing"]
    station.wait(60)
    assert station.heard() == [
        "BootNotification", "0:Available", "1:Preparing", "2:Available",
    ]  # fmt: skip


def test_clock_aligned_values_come_from_every_connector(station: Station) -> None:
    station.ask("ChangeConfiguration", key="ClockAlignedDataInterval", value="60")
    station.wait(125)
    told = payloads(station, "MeterValues")
    assert [values["connectorId"] for values in told] == [1, 2, 1, 2]
    contexts = {
        value["context"]
        for values in told
        for sample in values["meterValue"]
        for value in sample["sampledValue"]
    }
    assert contexts == {"Sample.Clock"}


def test_a_refused_tag_may_draw_what_it_is_allowed() -> None:
    station = Station().online()
    station.ask("ChangeConfiguration", key="StopTransactionOnInvalidId", value="false")
    station.ask("ChangeConfiguration", key="MaxEnergyOnInvalidId", value="5")
    station.see(PLUGGED)
    station.id_tag_status = "Invalid"
    station.ask("RemoteStartTransaction", idTag="A")
    assert station.charge_point.word().permitted
    station.see(Inputs(True, True, True, 1_238_000))
    station.wait(180)  # samples tell the register meanwhile
    assert "MeterValues" in station.heard()
    assert station.charge_point.word().permitted
    station.see(Inputs(True, True, True, 1_240_000))
    assert not station.charge_point.word().permitted
    assert station.heard()[-1] == "1:SuspendedEVSE"
