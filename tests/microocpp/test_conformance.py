# SPDX-License-Identifier: GPL-3.0-or-later
"""What OCPP 1.6 asks for and MicroOcpp has not, as the adapter gives it (docs/conformance.md)."""

from __future__ import annotations

from typing import Any

import pytest
from microocpp.plain_csms import NOON_MS, PlainCsms
from microocpp.test_defects import charge, profile
from microocpp.unit import Unit

from evtool.protocol import ocpp16


def configure(csms: PlainCsms, **values: str) -> None:
    for key, value in values.items():
        assert csms.ask("ChangeConfiguration", key=key, value=value) == {"status": "Accepted"}


def finish(unit: Unit, csms: PlainCsms, tag: str = "TAG") -> None:
    """End it by its card, and the vehicle leaves."""
    stops = len(csms.sent("StopTransaction"))
    unit.step(f"card {tag}")
    unit.until(lambda: len(csms.sent("StopTransaction")) > stops, "a stop")
    unit.bench.command("plug_out")
    unit.until(lambda: csms.statuses()[-1] == "Available", "the connector")


def tags(csms: PlainCsms) -> list[str]:
    return [call["idTag"] for call in csms.sent("Authorize")]


def test_a_card_without_a_parent_is_not_asked_about(unit: Unit, csms: PlainCsms) -> None:
    charge(unit, csms)
    unit.step("card OTHER")
    unit.run(3)
    assert tags(csms) == ["TAG"]
    assert unit.state["transaction"] == "1"


def test_a_card_waits_until_the_one_before_it_is_refused(unit: Unit, csms: PlainCsms) -> None:
    csms.replies["Authorize"] = {"idTagInfo": {"status": "Invalid"}}
    unit.bench.command("plug_in")
    unit.until(lambda: unit.state["plugged"] == "1", "the vehicle")
    unit.step("card FIRST", "card SECOND")
    unit.until(lambda: len(csms.sent("Authorize")) == 2, "the second one's turn")
    unit.run(3)
    assert tags(csms) == ["FIRST", "SECOND"]
    assert not csms.sent("StartTransaction")


def test_a_card_that_waited_is_forgotten_where_the_first_one_begins(
    unit: Unit, csms: PlainCsms
) -> None:
    unit.bench.command("plug_in")
    unit.until(lambda: unit.state["plugged"] == "1", "the vehicle")
    unit.step("card FIRST", "card SECOND")
    unit.until(lambda: csms.sent("StartTransaction"), "a start")
    finish(unit, csms, "FIRST")
    unit.run(3)
    assert tags(csms) == ["FIRST"]


def test_a_tag_in_the_cache_needs_no_authorize(unit: Unit, csms: PlainCsms) -> None:
    configure(csms, LocalPreAuthorize="true")
    for _ in range(2):
        charge(unit, csms)
        finish(unit, csms)
    assert tags(csms) == ["TAG"]
    assert csms.ask("ClearCache") == {"status": "Accepted"}
    charge(unit, csms)
    assert tags(csms) == ["TAG", "TAG"]


@pytest.mark.parametrize(
    ("key", "value"), [("LocalPreAuthorize", "false"), ("AuthorizationCacheEnabled", "false")]
)
def test_the_cache_is_asked_only_where_it_may_be(
    unit: Unit, csms: PlainCsms, key: str, value: str
) -> None:
    configure(csms, **({"LocalPreAuthorize": "true"} | {key: value}))
    for _ in range(2):
        charge(unit, csms)
        finish(unit, csms)
    assert tags(csms) == ["TAG", "TAG"]


@pytest.mark.parametrize(
    "info",
    [
        {"status": "Blocked"},
        {"status": "Accepted", "expiryDate": "2024-05-01T12:00:10Z"},
        {"status": "Accepted", "expiryDate": "soon"},
        {"status": "Accepted", "parentIdTag": "P" * 21},
    ],
)
def test_the_newest_word_of_a_tag_counts(unit: Unit, csms: PlainCsms, info: dict[str, Any]) -> None:
    configure(csms, LocalPreAuthorize="true")
    charge(unit, csms)
    csms.replies["StopTransaction"] = {"idTagInfo": info}
    finish(unit, csms)
    unit.run(10)
    unit.step("card TAG")
    unit.until(lambda: len(csms.sent("Authorize")) == 2, "the question")


def test_a_cached_tag_charges_without_the_csms(unit: Unit, csms: PlainCsms) -> None:
    configure(csms, LocalAuthorizeOffline="true", AllowOfflineTxForUnknownId="false")
    charge(unit, csms)
    finish(unit, csms)
    csms.drop()
    unit.run(1)
    unit.bench.command("plug_in")
    unit.until(lambda: unit.state["plugged"] == "1", "the vehicle")
    unit.step("card STRANGER")
    unit.run(3)
    assert unit.state["transaction"] == "0"
    unit.step("card TAG")
    unit.until(lambda: unit.state["energised"] == "1", "energy")


def test_d1_a_listed_tag_needs_no_authorize(unit: Unit, csms: PlainCsms) -> None:
    configure(csms, LocalPreAuthorize="true")
    entries = [
        {"idTag": "GOOD", "idTagInfo": {"status": "Accepted", "parentIdTag": "P"}},
        {
            "idTag": "LATE",
            "idTagInfo": {"status": "Accepted", "expiryDate": "2024-01-01T00:00:00Z"},
        },
    ]
    listed = {"listVersion": 1, "updateType": "Full", "localAuthorizationList": entries}
    assert csms.ask("SendLocalList", listed) == {"status": "Accepted"}
    charge(unit, csms, "GOOD")
    assert tags(csms) == []
    finish(unit, csms, "GOOD")
    unit.step("card LATE")
    unit.until(lambda: tags(csms) == ["LATE"], "the question")


@pytest.mark.parametrize(("left", "reason"), [(True, "PowerLoss"), (False, "EVDisconnected")])
def test_a_vehicle_that_left_without_power_ends_it(
    unit: Unit, csms: PlainCsms, left: bool, reason: str
) -> None:
    charge(unit, csms)
    unit.kill()
    if left:
        unit.bench.command("plug_out")
    unit.run(5)
    unit.boot()
    unit.until(lambda: len(csms.sent("BootNotification")) == 2, "the next boot")
    unit.run(5)
    unit.bench.command("plug_out")
    unit.until(lambda: csms.sent("StopTransaction"), "the end")
    assert csms.sent("StopTransaction")[0]["reason"] == reason


@pytest.mark.parametrize(
    ("action", "payload", "answer"),
    [
        ("RemoteStartTransaction", {"idTag": "TAG", "connectorId": 0}, "Rejected"),
        (
            "RemoteStartTransaction",
            {"idTag": "TAG", "connectorId": 1, "chargingProfile": profile()["csChargingProfiles"]},
            "Rejected",
        ),
        ("SetChargingProfile", profile(chargingProfileKind="Recurring"), "Rejected"),
        ("TriggerMessage", {"requestedMessage": "MeterValues", "connectorId": 2}, "Rejected"),
        ("ReserveNow", {"connectorId": 1, "reservationId": 1, "idTag": "T" * 21}, None),
        ("ChangeConfiguration", {"key": "k" * 51, "value": "1"}, None),
        ("ChangeConfiguration", {"key": "Cst_FreeVendIdTag", "value": "v" * 501}, None),
        ("GetConfiguration", {"key": ["HeartbeatInterval", "k" * 51]}, None),
        ("SendLocalList", {"localAuthorizationList": [{"idTag": "T" * 21}]}, None),
    ],
)
def test_what_is_refused(
    csms: PlainCsms, action: str, payload: dict[str, Any], answer: str | None
) -> None:
    assert csms.ask(action, payload) == ({"status": answer} if answer else "FormationViolation")


def test_what_is_not_json_is_answered(unit: Unit, csms: PlainCsms) -> None:
    csms.say("[2,")
    unit.until(lambda: "-1" in csms.answers, "an answer")
    assert csms.answers["-1"] == "GenericError"
    csms.say("[3,")
    csms.say("[4,")
    csms.answers.clear()
    unit.run(3)
    assert csms.answers == {}, "what might have been an answer gets none"


def test_d25_connector_zero_is_the_one_that_there_is(unit: Unit, csms: PlainCsms) -> None:
    order = {"connectorId": 0, "idTag": "MINE", "reservationId": 7}
    order["expiryDate"] = "2024-05-01T14:00:00Z"
    assert csms.ask("ReserveNow", order) == {"status": "Accepted"}
    unit.until(lambda: csms.statuses()[-1] == "Reserved", "the status")
    charge(unit, csms, "MINE")
    assert csms.sent("StartTransaction")[0]["reservationId"] == 7


def test_a_remote_start_may_use_a_parents_reservation(unit: Unit, csms: PlainCsms) -> None:
    configure(csms, AuthorizeRemoteTxRequests="true")
    order = {"connectorId": 1, "idTag": "MINE", "parentIdTag": "P", "reservationId": 7}
    order["expiryDate"] = "2024-05-01T14:00:00Z"
    assert csms.ask("ReserveNow", order) == {"status": "Accepted"}
    unit.bench.command("plug_in")
    csms.replies["Authorize"] = {"idTagInfo": {"status": "Accepted", "parentIdTag": "ELSE"}}
    assert csms.ask("RemoteStartTransaction", idTag="CHILD") == {"status": "Accepted"}
    unit.run(3)
    assert not csms.sent("StartTransaction"), "of another parent"
    csms.replies["Authorize"] = {"idTagInfo": {"status": "Accepted", "parentIdTag": "P"}}
    assert csms.ask("RemoteStartTransaction", idTag="CHILD") == {"status": "Accepted"}
    unit.until(lambda: csms.sent("StartTransaction"), "a start")
    assert csms.sent("StartTransaction")[0]["reservationId"] == 7


def composite(csms: PlainCsms, **more: Any) -> dict[str, Any]:
    answer = csms.ask("GetCompositeSchedule", connectorId=1, **more)
    assert answer["status"] == "Accepted"
    schedule: dict[str, Any] = answer["chargingSchedule"]
    return schedule


def test_d27_a_composite_schedule_has_limits_and_phases(unit: Unit, csms: PlainCsms) -> None:
    nothing = composite(csms, duration=100)
    assert nothing["chargingRateUnit"] == "A"
    [period] = nothing["chargingSchedulePeriod"]
    most = period["limit"]
    assert period == {"startPeriod": 0, "limit": most, "numberPhases": 3}
    assert most > 0, "what the hardware can do, not -1"
    periods = [
        {"startPeriod": 0, "limit": 10},
        {"startPeriod": 20, "limit": 10},
        {"startPeriod": 40, "limit": 12, "numberPhases": 1},
    ]
    schedule = {
        "chargingRateUnit": "A",
        "duration": 60,
        "startSchedule": csms.now(),
        "chargingSchedulePeriod": periods,
    }
    order = profile(chargingSchedule=schedule)
    assert csms.ask("SetChargingProfile", order) == {"status": "Accepted"}
    said = composite(csms, duration=100)["chargingSchedulePeriod"]
    assert [(each["limit"], each["numberPhases"]) for each in said] == [
        (10, 3),
        (12, 1),
        (most, 3),
    ]
    in_watt = composite(csms, duration=100, chargingRateUnit="W")
    assert in_watt["chargingRateUnit"] == "W"
    ratio = in_watt["chargingSchedulePeriod"][0]["limit"] / 10
    assert [each["limit"] for each in in_watt["chargingSchedulePeriod"]] == pytest.approx(
        [10 * ratio, 12 * ratio, most * ratio]
    )


def test_a_composite_schedule_of_nothing_is_an_empty_list(csms: PlainCsms) -> None:
    assert composite(csms, duration=0)["chargingSchedulePeriod"] == []


@pytest.mark.parametrize("unit_of_rate", ["A", "W"])
def test_a_composite_schedule_has_one_digit_after_the_point(
    csms: PlainCsms, unit_of_rate: str
) -> None:
    schedule = {
        "chargingRateUnit": "A",
        "startSchedule": "2024-05-01T11:00:00Z",
        "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 10.1}],
    }
    order = profile(chargingSchedule=schedule)
    assert csms.ask("SetChargingProfile", order) == {"status": "Accepted"}
    [period] = composite(csms, duration=60, chargingRateUnit=unit_of_rate)["chargingSchedulePeriod"]
    assert period["limit"] == round(period["limit"], 1)
    assert unit_of_rate == "W" or period["limit"] == 10.1


def test_a_limit_of_nothing_suspends(unit: Unit, csms: PlainCsms) -> None:
    charge(unit, csms)
    unit.until(lambda: csms.statuses()[-1] == "Charging", "Charging")
    nothing = {"chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 0}]}
    nothing["startSchedule"] = csms.now()
    order = profile(chargingSchedule=nothing)
    assert csms.ask("SetChargingProfile", order) == {"status": "Accepted"}
    unit.until(lambda: csms.statuses()[-1] == "SuspendedEVSE", "SuspendedEVSE", 5)
    assert csms.ask("ClearChargingProfile", id=1) == {"status": "Accepted"}
    unit.until(lambda: csms.statuses()[-1] == "Charging", "Charging again", 5)


def test_d43_a_profile_ends_when_it_ceases_to_be_valid(unit: Unit, csms: PlainCsms) -> None:
    charge(unit, csms)
    most = unit.state["limit_ma"]
    until = ocpp16.render_timestamp(NOON_MS + unit.now_ms + 6_000)
    low = {"chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 8}]}
    low["startSchedule"] = csms.now()
    order = profile(validTo=until, chargingSchedule=low)
    assert csms.ask("SetChargingProfile", order) == {"status": "Accepted"}
    unit.until(lambda: unit.state["limit_ma"] == "8000", "the limit", 3)
    unit.until(lambda: unit.state["limit_ma"] == most, "its end", 9)


def test_the_power_on_offer_is_measured(unit: Unit, csms: PlainCsms) -> None:
    configure(csms, MeterValuesSampledData="Power.Offered,Current.Offered")
    charge(unit, csms)
    csms.ask("TriggerMessage", requestedMessage="MeterValues", connectorId=1)
    unit.until(lambda: csms.sent("MeterValues"), "values")
    [value] = csms.sent("MeterValues")[0]["meterValue"]
    samples = {each["measurand"]: float(each["value"]) for each in value["sampledValue"]}
    volts = samples["Power.Offered"] / samples["Current.Offered"]
    assert volts == pytest.approx(int(unit.state["requested_mv"]) / 1000, rel=0.02)


def test_keys_are_found_in_any_case(csms: PlainCsms) -> None:
    configure(csms, connectiontimeout="12")
    answer = csms.ask("GetConfiguration", key=["CONNECTIONTIMEOUT", "NoSuchKey"])
    assert answer["unknownKey"] == ["NoSuchKey"]
    [entry] = answer["configurationKey"]
    assert (entry["key"], entry["value"]) == ("ConnectionTimeOut", "12")
    refused = csms.ask("ChangeConfiguration", key="heartbeatinterval", value="0")
    assert refused == {"status": "Rejected"}, "the rules hold for it as well"


def test_a_call_for_a_transaction_waits_for_its_id(unit: Unit, csms: PlainCsms) -> None:
    csms.mute.add("StartTransaction")
    unit.bench.command("plug_in")
    unit.until(lambda: unit.state["plugged"] == "1", "the vehicle")
    unit.step("card TAG")
    unit.until(lambda: csms.sent("StartTransaction"), "a start")
    unanswered = csms.ids[-1]
    csms.say([2, "stop", "RemoteStopTransaction", {"transactionId": 7}])
    unit.run(1)
    assert "stop" not in csms.answers
    csms.say([3, unanswered, {"transactionId": 7, "idTagInfo": {"status": "Accepted"}}])
    unit.until(lambda: "stop" in csms.answers, "its answer", 2)
    assert csms.answers["stop"] == {"status": "Accepted"}
    unit.until(lambda: csms.sent("StopTransaction"), "the end")


def test_and_not_for_ever(unit: Unit, csms: PlainCsms) -> None:
    csms.mute.add("StartTransaction")
    unit.bench.command("plug_in")
    unit.until(lambda: unit.state["plugged"] == "1", "the vehicle")
    unit.step("card TAG")
    unit.until(lambda: csms.sent("StartTransaction"), "a start")
    csms.say([2, "stop", "RemoteStopTransaction", {"transactionId": 7}])
    unit.until(lambda: "stop" in csms.answers, "an answer", 6)
    assert csms.answers["stop"] == {"status": "Rejected"}


def test_a_new_key_is_kept_and_used(unit: Unit) -> None:
    unit.key, changed = "cd" * 20, "ab" * 20
    csms = PlainCsms(unit)
    unit.boot()
    unit.until(lambda: csms.statuses(1) == ["Available"], "registration")
    assert csms.credentials == b"CP-1:".hex() + unit.key
    for wrong in ("AB", "x" * 32, "A" * 33, "A" * 42):
        answer = csms.ask("ChangeConfiguration", key="AuthorizationKey", value=wrong)
        assert answer == {"status": "Rejected"}
    configure(csms, AuthorizationKey=changed)
    assert csms.ask("GetConfiguration", key=["AuthorizationKey"]).get("configurationKey") == []
    unit.until(lambda: csms.connects == 2, "the next connection")
    assert csms.credentials == b"CP-1:".hex() + changed
    for given, used in ((unit.key, changed), ("ef" * 20, "ef" * 20)):
        unit.kill()
        unit.key, csms.credentials = given, ""
        unit.boot()
        unit.until(lambda: csms.credentials, "the next boot")
        assert csms.credentials == b"CP-1:".hex() + used, "a new key of the factory wins"


def test_a_fault_hides_no_transaction_from_change_availability(unit: Unit, csms: PlainCsms) -> None:
    charge(unit, csms)
    unit.step("error GroundFailure")
    unit.until(lambda: csms.statuses()[-1] == "Faulted", "Faulted")
    for connector in (1, 0):
        order = {"connectorId": connector, "type": "Inoperative"}
        assert csms.ask("ChangeAvailability", order) == {"status": "Scheduled"}
    unit.step("error -")
    unit.until(lambda: unit.state["energised"] == "1", "energy again")
    unit.step("card TAG")
    unit.until(lambda: csms.statuses()[-1] == "Unavailable", "its end")
    assert len(csms.sent("StopTransaction")) == 1
    order = {"connectorId": 1, "type": "Inoperative"}
    assert csms.ask("ChangeAvailability", order) == {"status": "Accepted"}


def test_an_id_that_comes_again_gets_its_own_answer(unit: Unit, csms: PlainCsms) -> None:
    charge(unit, csms)
    csms.say([2, "again", "ChangeAvailability", {"connectorId": 7, "type": "Inoperative"}])
    unit.until(lambda: csms.answers.get("again") == "PropertyConstraintViolation", "a CALLERROR")
    csms.say([2, "again", "GetLocalListVersion", {}])
    unit.until(lambda: csms.answers["again"] == {"listVersion": 0}, "the version")
