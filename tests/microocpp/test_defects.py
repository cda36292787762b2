# SPDX-License-Identifier: GPL-3.0-or-later
"""Each defect of MicroOcpp 1.2.0 that is kept off the wire (docs/firmware.md), with the library."""

from __future__ import annotations

from typing import Any

import pytest
from microocpp.plain_csms import PlainCsms
from microocpp.unit import Unit

SCHEDULE = {
    "chargingRateUnit": "A",
    "startSchedule": "2024-05-01T11:00:00Z",
    "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 10}],
}


def charge(unit: Unit, csms: PlainCsms, tag: str = "TAG") -> None:
    """A transaction by card, and energy flows."""
    starts = len(csms.sent("StartTransaction"))
    unit.bench.command("plug_in")
    unit.until(lambda: unit.state["plugged"] == "1", "the vehicle")
    unit.step(f"card {tag}")
    unit.until(lambda: len(csms.sent("StartTransaction")) > starts, "a start")
    unit.until(lambda: unit.state["energised"] == "1", "energy")


def profile(**more: Any) -> dict[str, Any]:
    return {
        "connectorId": 0,
        "csChargingProfiles": {
            "chargingProfileId": 1,
            "stackLevel": 0,
            "chargingProfilePurpose": "ChargePointMaxProfile",
            "chargingProfileKind": "Absolute",
            "chargingSchedule": SCHEDULE,
        }
        | more,
    }


def test_d3_clear_cache_loses_no_transaction(unit: Unit, csms: PlainCsms) -> None:
    csms.mute |= {"StartTransaction", "StopTransaction"}
    charge(unit, csms)
    unit.step("card TAG")
    unit.run(1)
    assert csms.ask("ClearCache") == {"status": "Accepted"}
    unit.kill()
    csms.mute.clear()
    unit.boot()
    unit.until(lambda: csms.sent("StopTransaction"), "the end of what was kept", 300)


def test_d4_a_stop_that_was_refused_is_sent_again(unit: Unit, csms: PlainCsms) -> None:
    charge(unit, csms)
    csms.refuse.add("StopTransaction")
    unit.step("card TAG")
    unit.until(lambda: len(csms.sent("StopTransaction")) == 1, "a stop")
    csms.refuse.clear()
    unit.until(lambda: len(csms.sent("StopTransaction")) == 2, "another one", 200)
    unit.run(200)
    first, second = csms.sent("StopTransaction")
    assert first == second, "the same, and once it is accepted no more"


def test_d6_an_answer_to_an_unknown_id_drops_nothing(unit: Unit, csms: PlainCsms) -> None:
    csms.mute.add("Authorize")
    unit.bench.command("plug_in")
    unit.step("card TAG")
    unit.until(lambda: csms.sent("Authorize"), "Authorize")
    for kind in ([3, "unknown", {}], [4, "unknown", "InternalError", "", {}]):
        csms.say(kind)
    csms.say([3, csms.ids[-1], {"idTagInfo": {"status": "Accepted"}}])
    unit.until(lambda: csms.sent("StartTransaction"), "the transaction that it allows", 5)


@pytest.mark.parametrize(("parent", "ends"), [("PARENT", True), ("ANOTHER", False), (None, False)])
def test_d7_another_card_ends_it_by_the_same_parent(
    unit: Unit, csms: PlainCsms, parent: str | None, ends: bool
) -> None:
    accepted = {"status": "Accepted"}
    csms.replies["Authorize"] = {"idTagInfo": accepted | {"parentIdTag": "PARENT"}}
    charge(unit, csms)
    csms.replies["Authorize"] = {
        "idTagInfo": accepted | ({"parentIdTag": parent} if parent else {})
    }
    unit.step("card OTHER")
    unit.run(3)
    assert [call["idTag"] for call in csms.sent("Authorize")] == ["TAG", "OTHER"]
    if not ends:
        assert unit.state["transaction"] == "1"
        unit.step("card TAG")
        unit.until(lambda: csms.sent("StopTransaction"), "the end by the card that began it")
    [stop] = csms.sent("StopTransaction")
    assert (stop["reason"], stop["idTag"]) == ("Local", "OTHER" if ends else "TAG")


@pytest.mark.parametrize("message", ["StartTransaction", "Authorize", "LogStatusNotification", "x"])
def test_d8_d9_what_cannot_be_triggered(unit: Unit, csms: PlainCsms, message: str) -> None:
    calls = len(csms.calls)
    answer = csms.ask("TriggerMessage", requestedMessage=message)
    assert answer == {"status": "NotImplemented"}
    unit.run(3)
    assert len(csms.calls) == calls


@pytest.mark.parametrize(
    "action",
    ["Authorize", "BootNotification", "Heartbeat", "MeterValues", "StartTransaction",
     "StatusNotification", "StopTransaction"],
)  # fmt: skip
def test_d10_calls_that_only_a_central_system_answers(csms: PlainCsms, action: str) -> None:
    assert csms.ask(action, idTag="TAG") == "NotSupported"


def test_d11_remote_stop_of_minus_one(unit: Unit, csms: PlainCsms) -> None:
    csms.replies["StartTransaction"] = {"idTagInfo": {"status": "Accepted"}}  # no transactionId
    charge(unit, csms)
    unit.run(1)
    assert csms.ask("RemoteStopTransaction", transactionId=-1) == {"status": "Rejected"}
    assert unit.state["transaction"] == "1"


def test_d16_a_time_with_a_zone_is_that_instant(unit: Unit, csms: PlainCsms) -> None:
    csms.replies["Heartbeat"] = {"currentTime": "2024-05-01T14:30:00+02:00"}
    csms.ask("TriggerMessage", requestedMessage="Heartbeat")
    unit.run(1)
    csms.ask("TriggerMessage", requestedMessage="StatusNotification", connectorId=1)
    unit.run(1)
    assert csms.sent("StatusNotification")[-1]["timestamp"].startswith("2024-05-01T12:30:0")


def test_d24_a_remote_start_breaks_no_reservation(unit: Unit, csms: PlainCsms) -> None:
    reserved = csms.ask(
        "ReserveNow",
        connectorId=1,
        idTag="MINE",
        reservationId=5,
        expiryDate="2024-05-01T13:00:00Z",
    )
    assert reserved == {"status": "Accepted"}
    assert csms.ask("RemoteStartTransaction", idTag="YOURS", connectorId=1)["status"] == "Rejected"
    unit.run(2)
    assert csms.statuses(1)[-1] == "Reserved"
    assert csms.ask("RemoteStartTransaction", idTag="MINE", connectorId=1)["status"] == "Accepted"


def test_d28_no_stack_level_that_a_restart_loses(unit: Unit, csms: PlainCsms) -> None:
    assert csms.ask("SetChargingProfile", profile(stackLevel=8)) == "PropertyConstraintViolation"
    told = csms.ask("GetConfiguration", key=["ChargeProfileMaxStackLevel"])
    assert told["configurationKey"][0]["value"] == "7"
    assert csms.ask("SetChargingProfile", profile(stackLevel=7)) == {"status": "Accepted"}
    unit.kill()
    unit.boot()
    unit.run(6)
    asked = csms.ask("GetCompositeSchedule", connectorId=0, duration=60, chargingRateUnit="A")
    assert asked["chargingSchedule"]["chargingSchedulePeriod"][0]["limit"] == 10


def test_d29_a_reset_of_an_unknown_type(unit: Unit, csms: PlainCsms) -> None:
    assert csms.ask("Reset", type="Medium") == "PropertyConstraintViolation"
    assert csms.ask("Reset") == "FormationViolation"
    unit.run(15)
    assert unit.off is None
    assert csms.ask("Reset", type="Hard") == {"status": "Accepted"}
    unit.until(lambda: unit.off == "restart", "the restart")


def test_d33_reasons_are_those_of_ocpp(unit: Unit, csms: PlainCsms) -> None:
    charge(unit, csms)
    unit.step("key 74")  # t, the console's stop
    unit.until(lambda: csms.sent("StopTransaction"), "the end")
    assert csms.sent("StopTransaction")[0]["reason"] == "Local"  # the schema checks all of them


def test_d36_a_status_without_an_answer_silences_nobody(unit: Unit, csms: PlainCsms) -> None:
    csms.mute.add("StatusNotification")
    unit.bench.command("plug_in")
    unit.until(lambda: csms.statuses(1)[-1] == "Preparing", "a status")
    csms.ask("TriggerMessage", requestedMessage="Heartbeat")
    unit.run(30)
    assert not csms.sent("Heartbeat")
    unit.until(lambda: csms.sent("Heartbeat"), "another message", 15)


def test_d36_and_a_connection_that_was_lost_meanwhile(unit: Unit, csms: PlainCsms) -> None:
    csms.mute.add("StatusNotification")
    unit.bench.command("plug_in")
    unit.until(lambda: csms.statuses(1)[-1] == "Preparing", "a status")
    csms.mute.clear()
    csms.drop()
    unit.run(100)
    assert csms.statuses(1) == ["Available", "Preparing"]
    csms.online = True
    unit.until(lambda: csms.statuses(1) == ["Available", "Preparing", "Preparing"], "it again", 6)
    assert len(csms.ids) == len(set(csms.ids)), "under an id of its own"
    unit.step("card TAG")
    unit.until(lambda: csms.sent("StartTransaction"), "everything else", 10)


def test_d38_an_error_that_is_not_a_fault_clears_with_a_word(unit: Unit, csms: PlainCsms) -> None:
    unit.bench.command("module silent")
    unit.until(lambda: csms.sent("StatusNotification")[-1]["errorCode"] != "NoError", "an error")
    assert csms.sent("StatusNotification")[-1]["status"] == "Available"
    unit.bench.command("module normal")
    unit.until(lambda: csms.sent("StatusNotification")[-1]["errorCode"] == "NoError", "its end")


@pytest.mark.parametrize(
    ("key", "value"),
    [("HeartbeatInterval", "0"), ("HeartbeatInterval", "-1"), ("TransactionMessageAttempts", "0"),
     ("ConnectionTimeOut", "-1"), ("MinimumStatusDuration", "-5"), ("ResetRetries", "-1")],
)  # fmt: skip
def test_d40_values_that_flood_or_lose(unit: Unit, csms: PlainCsms, key: str, value: str) -> None:
    assert csms.ask("ChangeConfiguration", key=key, value=value) == {"status": "Rejected"}
    unit.run(5)
    assert not csms.sent("Heartbeat")


def test_d42_a_refused_authorize_ends_by_the_offline_rules(unit: Unit, csms: PlainCsms) -> None:
    csms.refuse.add("Authorize")
    unit.bench.command("plug_in")
    unit.step("card TAG")
    unit.until(lambda: csms.sent("Authorize"), "Authorize")
    csms.refuse.clear()
    unit.run(25)
    assert not csms.sent("StartTransaction")
    unit.step("card TAG")
    unit.until(lambda: csms.sent("StartTransaction"), "the next attempt of the same card", 5)


def test_a_transaction_outlives_the_one_that_was_given_up_before_it(
    unit: Unit, csms: PlainCsms
) -> None:
    csms.replies["Authorize"] = {"idTagInfo": {"status": "Blocked"}}
    csms.mute.add("StatusNotification")  # so that the queue is not free
    unit.step("card BAD")
    unit.until(lambda: csms.statuses(1)[-1] == "Preparing", "a status that holds back the rest")
    unit.bench.command("plug_in")
    unit.run(1)
    assert csms.ask("RemoteStartTransaction", idTag="TAG", connectorId=1)["status"] == "Accepted"
    unit.until(lambda: unit.state["energised"] == "1", "energy")
    csms.drop()
    unit.step("card TAG")
    unit.until(lambda: unit.state["transaction"] == "0", "its end")
    unit.step("card LATER")  # offline, and unknown
    unit.run(5)
    csms.mute.clear()
    csms.online = True
    unit.until(lambda: csms.sent("StopTransaction"), "the one in between")
    assert [each["idTag"] for each in csms.sent("StartTransaction")] == ["TAG"]


def test_ids_are_of_their_boot_and_their_place(unit: Unit, csms: PlainCsms) -> None:
    unit.kill()
    unit.boot()
    unit.run(6)
    boots = {unique_id.partition("-")[0] for unique_id in csms.ids}
    assert boots == {f"{1:016x}", f"{2:016x}"}
    assert len(csms.ids) == len(set(csms.ids))


def test_a_preset_is_a_value_that_the_unit_starts_with(unit: Unit, csms: PlainCsms) -> None:
    said: list[str] = []
    unit.on_answer = said.append

    def preset(key: str, value: str) -> None:
        unit.step(f"preset {key} {value.encode().hex() or '-'}")

    preset("ConnectionTimeOut", "77")
    preset("ConnectionTimeOut", "soon")
    preset("HeartbeatInterval", "0")
    preset("AuthorizeRemoteTxRequests", "true")
    preset("AuthorizeRemoteTxRequests", "1")
    preset("NumberOfConnectors", "1")
    preset("NumberOfConnectors", "2")
    preset("StopTxnSampledData", "")
    preset("NoSuchKey", "1")
    assert said == [
        "preset ConnectionTimeOut Accepted",
        "preset ConnectionTimeOut Rejected",
        "preset HeartbeatInterval Rejected",
        "preset AuthorizeRemoteTxRequests Accepted",
        "preset AuthorizeRemoteTxRequests Rejected",
        "preset NumberOfConnectors Accepted",
        "preset NumberOfConnectors Rejected",
        "preset StopTxnSampledData Accepted",
        "preset NoSuchKey NotSupported",
    ]
    unit.kill()
    unit.boot()
    unit.until(lambda: len(csms.sent("BootNotification")) == 2, "the next boot")
    answer = csms.ask("GetConfiguration", key=["ConnectionTimeOut", "AuthorizeRemoteTxRequests"])
    values = {entry["key"]: entry["value"] for entry in answer["configurationKey"]}
    assert values == {"ConnectionTimeOut": "77", "AuthorizeRemoteTxRequests": "true"}
