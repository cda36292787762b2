# SPDX-License-Identifier: GPL-3.0-or-later
"""The charge point alone: every text that it sends conforms, whatever it hears and sees."""

from __future__ import annotations

import json
from typing import Any

import pytest
from station_rig import NOON, PLUGGED, UNPLUGGED, Station, profile

from evtool.reference_impl.charge_point import (
    MICROOCPP_1_2_0,
    STRICT,
    Inputs,
    Mode,
    Persist,
    Settings,
)


@pytest.fixture
def station() -> Station:
    online = Station().online()
    online.see(UNPLUGGED)
    assert online.heard() == ["BootNotification", "0:Available", "1:Available"]
    return online


@pytest.mark.parametrize(("mode", "pause_s"), [(STRICT, 10), (MICROOCPP_1_2_0, 60)])
def test_boot_is_repeated_until_accepted_and_not_after_a_reconnect(
    mode: Mode, pause_s: int
) -> None:
    station = Station(mode=mode)
    station.mute = {"BootNotification"}
    station.online()
    station.wait(2 * pause_s + 5)
    assert station.heard() == ["BootNotification"] * 3
    station.mute = set()
    station.wait(pause_s)
    assert station.heard() == ["BootNotification", "0:Available", "1:Available"]
    assert station.kept_keys() == {"HeartbeatInterval"}
    station.offline()
    station.online()
    assert station.heard() == []
    station.wait(301)
    assert station.heard() == ["Heartbeat"]


@pytest.mark.parametrize("mode", [STRICT, MICROOCPP_1_2_0])
@pytest.mark.parametrize("status", ["Pending", "Rejected"])
def test_a_boot_that_is_not_accepted_waits_its_interval(status: str, mode: Mode) -> None:
    station = Station(mode=mode)
    station.charge_point.on_open(0)
    station.collect()
    payload = {"currentTime": NOON, "interval": 5, "status": status}
    station.text([3, station.calls.popleft().unique_id, payload])
    if status == "Rejected" and mode is STRICT:
        station.text([2, "c", "GetConfiguration", {}])
        assert station.answers == {}, "no message at all while rejected (OCPP 1.6, 4.2)"
    else:
        assert station.ask("RemoteStartTransaction", idTag="A") == {"status": "Rejected"}
        assert "configurationKey" in station.ask("GetConfiguration")
    assert not station.charge_point.word().connected
    station.heard()
    station.wait(4)
    assert station.heard() == []
    station.wait(2)
    assert station.heard()[0] == "BootNotification"


def test_plug_identify_charge_stop_at_the_station(station: Station) -> None:
    station.see(PLUGGED)
    assert station.heard() == ["1:Preparing"]
    station.present("LOCAL-1")
    assert station.heard() == ["Authorize", "1:Charging", "StartTransaction"]
    word = station.charge_point.word()
    assert (word.connected, word.transaction, word.permitted) == (True, True, True)
    station.charge_point.on_stop_request("Local", station.now_ms, id_tag="LOCAL-1")
    station.serve()
    assert station.sent[-1][1] == {
        "transactionId": 1,
        "idTag": "LOCAL-1",
        "meterStop": 1234,
        "timestamp": NOON,
        "reason": "Local",
    }
    assert station.heard() == ["1:Finishing", "StopTransaction"]
    assert not station.charge_point.word().permitted
    station.see(UNPLUGGED)
    assert station.heard() == ["1:Available"]


def test_remote_start_meter_values_remote_stop(station: Station) -> None:
    assert station.ask("RemoteStartTransaction", idTag="A", connectorId=1)["status"] == "Accepted"
    assert station.heard() == ["1:Preparing"]
    station.see(PLUGGED)
    assert station.heard() == ["1:Charging", "StartTransaction"]
    station.ask("ChangeConfiguration", key="MeterValueSampleInterval", value="10")
    charging = Inputs(True, True, True, 2_000_999, 2_139_000, 71_955, 29_745, 30_000, 41_230, 551)
    station.see(charging)
    station.wait(20)
    action, payload = station.sent[-1]
    assert action == "MeterValues"
    assert payload["transactionId"] == 1
    values = {v["measurand"]: v["value"] for v in payload["meterValue"][0]["sampledValue"]}
    assert values == {
        "Energy.Active.Import.Register": "2000",
        "Power.Active.Import": "2139.00",
        "Voltage": "71.96",
        "Current.Import": "29.75",
        "Current.Offered": "30.00",
        "Power.Offered": "2158.65",
        "Temperature": "41.23",
        "SoC": "55.10",
    }
    assert station.heard() == ["MeterValues", "MeterValues"]
    assert station.ask("RemoteStopTransaction", transactionId=7)["status"] == "Rejected"
    assert station.ask("RemoteStopTransaction", transactionId=1)["status"] == "Accepted"
    assert station.sent[-1][1]["reason"] == "Remote"
    assert "idTag" not in station.sent[-1][1]
    assert station.heard() == ["1:Finishing", "StopTransaction"]


def test_unplugging_ends_the_transaction(station: Station) -> None:
    station.see(PLUGGED)
    station.present("A")
    station.heard()
    station.see(UNPLUGGED)
    assert station.sent[-1][1]["reason"] == "EVDisconnected"
    assert station.heard() == ["1:Available", "StopTransaction"]


def test_unplugging_suspends_where_it_is_configured_to(station: Station) -> None:
    station.ask("ChangeConfiguration", key="StopTransactionOnEVSideDisconnect", value="False")
    station.see(PLUGGED)
    station.present("A")
    station.see(UNPLUGGED)
    station.see(PLUGGED)
    assert station.heard()[-2:] == ["1:SuspendedEV", "1:Charging"]


@pytest.mark.parametrize("status", ["Blocked", "Expired", "Invalid", "ConcurrentTx"])
def test_a_refused_tag_starts_nothing(station: Station, status: str) -> None:
    station.see(PLUGGED)
    station.id_tag_status = status
    station.present("A")
    assert station.heard() == ["1:Preparing", "Authorize"]
    assert not station.charge_point.word().transaction
    station.id_tag_status = "Accepted"
    station.present("A")
    assert station.charge_point.word().permitted


@pytest.mark.parametrize("kind", ["mute", "refuse"])
def test_authorize_without_an_answer_leaves_nothing_open(station: Station, kind: str) -> None:
    station.see(PLUGGED)
    setattr(station, kind, {"Authorize"})
    station.present("A")
    station.wait(21)
    assert not station.charge_point.word().transaction
    assert station.ask("RemoteStartTransaction", idTag="B")["status"] == "Accepted"
    assert station.charge_point.word().permitted


def test_a_tag_refused_at_the_start_gets_no_energy(station: Station) -> None:
    station.see(PLUGGED)
    station.id_tag_status = "Invalid"
    station.ask("RemoteStartTransaction", idTag="A")
    assert station.sent[-1][1]["reason"] == "DeAuthorized"
    assert not station.charge_point.word().permitted


def test_it_stays_suspended_where_the_refused_are_not_stopped(station: Station) -> None:
    station.ask("ChangeConfiguration", key="StopTransactionOnInvalidId", value="false")
    station.see(PLUGGED)
    station.id_tag_status = "Invalid"
    station.ask("RemoteStartTransaction", idTag="A")
    assert station.heard()[-1] == "1:SuspendedEVSE"
    word = station.charge_point.word()
    assert (word.transaction, word.permitted) == (True, False)


def test_connection_time_out(station: Station) -> None:
    station.ask("RemoteStartTransaction", idTag="A")
    station.wait(29)
    assert station.heard() == ["1:Preparing"]
    station.wait(1)
    assert station.heard() == ["1:Available"]
    station.see(PLUGGED)
    assert not station.charge_point.word().transaction


def test_offline_transaction_messages_are_replayed_in_order(station: Station) -> None:
    station.ask("ChangeConfiguration", key="AllowOfflineTxForUnknownId", value="true")
    station.ask("ChangeConfiguration", key="MeterValueSampleInterval", value="10")
    station.offline()
    station.see(PLUGGED)
    station.present("A")
    assert station.charge_point.word().permitted
    assert not station.charge_point.word().connected
    station.wait(25)
    station.see(UNPLUGGED)
    station.see(PLUGGED)
    station.present("B")
    assert station.heard() == []
    station.wait(5)
    station.now_ms += 86_400_000
    station.online()
    heard = [entry for entry in station.heard() if not entry.startswith(("1:", "Heartbeat"))]
    assert heard[:6] == [
        "StartTransaction", "MeterValues", "MeterValues", "StopTransaction",
        "StartTransaction", "MeterValues",
    ]  # fmt: skip


def test_replayed_messages_carry_the_time_of_their_event(station: Station) -> None:
    station.ask("ChangeConfiguration", key="AllowOfflineTxForUnknownId", value="true")
    station.offline()
    station.see(PLUGGED)
    station.present("A")
    station.wait(60)
    station.sent.clear()
    station.online()
    start = next(payload for action, payload in station.sent if action == "StartTransaction")
    assert start["timestamp"] == NOON


def test_a_start_under_way_when_the_socket_closes_is_sent_again(station: Station) -> None:
    station.see(PLUGGED)
    station.mute = {"StartTransaction"}
    station.present("A")
    station.offline()
    station.mute = set()
    station.heard()
    station.online()
    assert station.heard() == ["StartTransaction"]


def test_an_unknown_tag_offline_is_refused(station: Station) -> None:
    station.offline()
    station.see(PLUGGED)
    station.present("A")
    assert not station.charge_point.word().transaction


@pytest.mark.parametrize("mode", [STRICT, MICROOCPP_1_2_0])
def test_a_refused_stop_is_tried_again_and_a_refused_start_given_up(mode: Mode) -> None:
    station = Station(mode=mode).online()
    station.ask("ChangeConfiguration", key="TransactionMessageRetryInterval", value="2")
    station.see(PLUGGED)
    station.refuse = {"StopTransaction"}
    station.present("A")
    station.charge_point.on_stop_request("Local", station.now_ms)
    station.wait(10)
    assert station.heard().count("StopTransaction") == 3
    station.refuse = {"StartTransaction"}
    station.present("B")
    station.wait(20)
    heard = station.heard()
    assert heard.count("StartTransaction") == 3
    running = mode is STRICT
    assert station.charge_point.word().permitted is running
    station.see(UNPLUGGED)
    stops = [payload for action, payload in station.sent if action == "StopTransaction"]
    assert [stop["transactionId"] for stop in stops] == [-1] * running
    assert not [key for key in station.kept if key.startswith(("transaction.", "message."))]


def test_an_answer_to_nothing_changes_nothing(station: Station) -> None:
    station.see(PLUGGED)
    station.mute = {"Authorize"}
    station.present("A")
    unique_id = station.unanswered[-1].unique_id
    station.text([3, "stray", {}])
    station.text([4, "stray", "GenericError", "", {}])
    station.text([3, unique_id, {"idTagInfo": {"status": "Accepted"}}])
    station.serve()
    assert station.charge_point.word().permitted


def test_statuses_follow_the_vehicle_and_the_faults(station: Station) -> None:
    station.see(PLUGGED)
    station.present("A")
    station.heard()
    station.see(Inputs(True, False, True))
    station.see(Inputs(True, True, False, error="PowerSwitchFailure"))
    assert station.sent[-1][1]["errorCode"] == "PowerSwitchFailure"
    station.see(Inputs(True, True, False, faulted=True, error="HighTemperature"))
    assert station.sent[-1][1]["errorCode"] == "HighTemperature"
    assert station.charge_point.word().transaction, "a fault does not end the transaction"
    station.see(PLUGGED)
    assert station.sent[-1][1]["errorCode"] == "NoError"
    assert station.heard() == ["1:SuspendedEV", "1:SuspendedEVSE", "1:Faulted", "1:Charging"]


def test_a_status_must_last(station: Station) -> None:
    station.ask("ChangeConfiguration", key="MinimumStatusDuration", value="5")
    station.see(PLUGGED)
    station.wait(3)
    station.see(UNPLUGGED)
    station.wait(10)
    assert station.heard() == []
    station.see(PLUGGED)
    station.wait(6)
    assert station.sent[-1][1]["timestamp"] == "2024-05-01T12:00:13Z"
    assert station.heard() == ["1:Preparing"]


def test_availability(station: Station) -> None:
    station.see(PLUGGED)
    station.present("A")
    station.heard()
    answer = station.ask("ChangeAvailability", connectorId=1, type="Inoperative")
    assert answer == {"status": "Scheduled"}
    station.ask("RemoteStopTransaction", transactionId=1)
    assert station.heard() == ["1:Unavailable", "StopTransaction"]
    assert station.ask("RemoteStartTransaction", idTag="A")["status"] == "Rejected"
    again = Station(stored=station.kept).online()
    assert again.heard()[1:] == ["0:Available", "1:Unavailable"]
    answer = again.ask("ChangeAvailability", connectorId=0, type="Operative")
    assert answer == {"status": "Accepted"}
    assert again.heard() == ["1:Available"]
    answer = again.ask("ChangeAvailability", connectorId=2, type="Operative")
    assert answer == {"status": "Rejected"}


@pytest.mark.parametrize("kind", ["Soft", "Hard"])
def test_reset_stops_tells_and_restarts(station: Station, kind: str) -> None:
    station.see(PLUGGED)
    station.present("A")
    assert station.ask("Reset", type=kind) == {"status": "Accepted"}
    assert station.sent[-1][1]["reason"] == f"{kind}Reset"
    station.wait(9)
    assert station.restarts == []
    station.ask("Reset", type="Soft")
    station.wait(2)
    assert station.restarts == [kind], "a second Reset puts nothing off"


@pytest.mark.parametrize(
    ("key", "value", "status"),
    [
        ("HeartbeatInterval", "60", "Accepted"),
        ("heartbeatinterval", "60", "Accepted"),
        ("HeartbeatInterval", "0", "Rejected"),
        ("HeartbeatInterval", "-1", "Rejected"),
        ("HeartbeatInterval", "5.5", "Rejected"),
        ("HeartbeatInterval", "", "Rejected"),
        ("NumberOfConnectors", "2", "Rejected"),
        ("MeterValuesSampledData", "SoC,Voltage", "Accepted"),
        ("MeterValuesSampledData", "", "Accepted"),
        ("MeterValuesSampledData", "Frequency", "Rejected"),
        ("AuthorizeRemoteTxRequests", "1", "Rejected"),
        ("AuthorizationKey", "short", "Rejected"),
        ("AuthorizationKey", "A" * 16, "Accepted"),
        ("NoSuchKey", "x", "NotSupported"),
    ],
)
def test_configuration(station: Station, key: str, value: str, status: str) -> None:
    assert station.ask("ChangeConfiguration", key=key, value=value) == {"status": status}
    assert (len(station.kept_keys()) > 1 or station.kept["HeartbeatInterval"] == "60") == (
        status == "Accepted"
    )


def test_the_key_is_never_read_back(station: Station) -> None:
    station.ask("ChangeConfiguration", key="AuthorizationKey", value="0123456789abcdef")
    assert "0123456789abcdef" not in json.dumps(station.ask("GetConfiguration"))
    answer = station.ask("GetConfiguration", key=["AuthorizationKey", "heartbeatinterval"])
    assert answer["unknownKey"] == ["AuthorizationKey"]
    assert answer["configurationKey"][0]["key"] == "HeartbeatInterval"
    kept = {"AuthorizationKey": "0123456789abcdef"}
    assert "0123456789abcdef" not in repr(Persist("AuthorizationKey", "0123456789abcdef"))
    assert "0123456789abcdef" not in repr(Settings("v", "m", stored=kept, presets=kept))


def test_triggers(station: Station) -> None:
    for name, expected in [
        ("BootNotification", ["BootNotification"]),
        ("Heartbeat", ["Heartbeat"]),
        ("StatusNotification", ["0:Available", "1:Available"]),
        ("MeterValues", ["MeterValues"]),
        ("FirmwareStatusNotification", ["FirmwareStatusNotification"]),
        ("DiagnosticsStatusNotification", ["DiagnosticsStatusNotification"]),
    ]:
        answer = station.ask("TriggerMessage", requestedMessage=name)
        assert answer == {"status": "Accepted"}, name
        assert station.heard() == expected
    code = station.ask("TriggerMessage", requestedMessage="StartTransaction")
    assert code == "PropertyConstraintViolation"


def test_what_is_not_offered(station: Station) -> None:
    assert station.ask("UnlockConnector", connectorId=1) == {"status": "NotSupported"}
    assert station.ask("DataTransfer", vendorId="x") == {"status": "UnknownVendorId"}
    assert station.ask("ClearCache") == {"status": "Accepted"}
    assert station.ask("Authorize", idTag="A") == "NotSupported"
    assert station.ask("Nonsense") == "NotImplemented"
    assert station.ask("Reset") == "FormationViolation"
    assert station.ask("RemoteStartTransaction", idTag="") == "PropertyConstraintViolation"


def set_profile(station: Station, connector: int, value: dict[str, Any]) -> Any:
    answer = station.ask("SetChargingProfile", connectorId=connector, csChargingProfiles=value)
    return answer["status"] if isinstance(answer, dict) else answer


def test_the_smallest_limit_counts(station: Station) -> None:
    assert station.charge_point.word().limit_ma is None
    assert set_profile(station, 0, profile("ChargePointMaxProfile", 20.0)) == "Accepted"
    assert station.charge_point.word().limit_ma == 20_000
    default = profile("TxDefaultProfile", 16.5, profile_id=2)
    assert set_profile(station, 1, default) == "Accepted"
    assert station.charge_point.word().limit_ma == 20_000, "no transaction, no default"
    assert set_profile(station, 1, profile("TxProfile", 6, profile_id=3)) == "Rejected"
    station.see(PLUGGED)
    station.present("A")
    assert station.charge_point.word().limit_ma == 16_500
    zero = profile("TxProfile", 0, profile_id=3)
    station.heard()
    assert set_profile(station, 1, zero) == "Accepted"
    assert station.charge_point.word().limit_ma == 0
    assert station.heard() == ["1:SuspendedEVSE"]
    assert station.ask("ClearChargingProfile", id=3) == {"status": "Accepted"}
    assert station.ask("ClearChargingProfile", id=3) == {"status": "Unknown"}
    assert station.heard() == ["1:Charging"]
    station.ask("ClearChargingProfile")
    assert station.charge_point.word().limit_ma is None


def test_schedules_run(station: Station) -> None:
    periods = [{"startPeriod": 0, "limit": 10}, {"startPeriod": 60, "limit": 5}]
    steps = profile(
        "TxDefaultProfile",
        0,
        chargingProfileKind="Relative",
        schedule={"chargingSchedulePeriod": periods, "duration": 120},
    )
    daily = profile(
        "ChargePointMaxProfile",
        0,
        profile_id=2,
        chargingProfileKind="Recurring",
        recurrencyKind="Daily",
        schedule={
            "startSchedule": "2024-04-01T12:00:30+00:00",
            "duration": 3600,
            "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 8}],
        },
    )
    assert set_profile(station, 0, steps) == "Accepted"
    assert set_profile(station, 0, daily) == "Accepted"
    station.see(PLUGGED)
    station.present("A")
    composite = station.ask("GetCompositeSchedule", connectorId=1, duration=86_400 * 2)
    assert composite["chargingSchedule"]["chargingSchedulePeriod"][:6] == [
        {"startPeriod": 0, "limit": 10.0},
        {"startPeriod": 30, "limit": 8.0},
        {"startPeriod": 60, "limit": 5.0},
        {"startPeriod": 120, "limit": 8.0},
        {"startPeriod": 3630, "limit": 300.0},
        {"startPeriod": 86_430, "limit": 8.0},
    ]
    limits = []
    for _ in range(5):
        limits.append(station.charge_point.word().limit_ma)
        station.wait(31)
    assert limits == [10_000, 8_000, 5_000, 5_000, 8_000]


@pytest.mark.parametrize(
    ("connector", "value"),
    [
        (1, profile("ChargePointMaxProfile", 10)),
        (0, profile("TxProfile", 10)),
        (1, profile("TxDefaultProfile", 10, level=8)),
        (1, profile("TxDefaultProfile", -1)),
        (1, profile("TxDefaultProfile", 10, validFrom="soon")),
        (1, profile("TxDefaultProfile", 10, chargingProfileKind="Recurring")),
        (1, profile("TxDefaultProfile", 10, schedule={"chargingSchedulePeriod": []})),
        (
            1,
            profile(
                "TxDefaultProfile",
                10,
                schedule={"chargingSchedulePeriod": [{"startPeriod": 5, "limit": 1}]},
            ),
        ),
    ],
)
def test_wrong_profiles(station: Station, connector: int, value: dict[str, Any]) -> None:
    assert set_profile(station, connector, value) == "Rejected"
    theirs = Station(mode=MICROOCPP_1_2_0).online()
    level = value["stackLevel"]
    value |= {"stackLevel": level + 1 if level == 8 else level}
    assert set_profile(theirs, connector, value) == "PropertyConstraintViolation"
