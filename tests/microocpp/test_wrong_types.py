# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages of a central system that hold the wrong type, nothing, or too much."""

from __future__ import annotations

from typing import Any

import pytest
from microocpp.plain_csms import PlainCsms
from microocpp.test_conformance import configure, finish
from microocpp.test_defects import charge, profile
from microocpp.unit import Unit

RESERVATION = {
    "connectorId": 1,
    "idTag": "MINE",
    "reservationId": 7,
    "expiryDate": "2024-05-01T14:00:00Z",
}


def listed(tag: Any = "GOOD", **info: Any) -> dict[str, Any]:
    entry = {"idTag": tag, "idTagInfo": {"status": "Accepted"} | info}
    return {"listVersion": 1, "updateType": "Full", "localAuthorizationList": [entry]}


@pytest.mark.parametrize(
    ("action", "payload"),
    [
        ("ReserveNow", RESERVATION | {"expiryDate": 5}),
        ("ReserveNow", RESERVATION | {"expiryDate": "soon"}),
        ("ReserveNow", RESERVATION | {"parentIdTag": {}}),
        ("SendLocalList", listed(7)),
        ("SendLocalList", listed(["GOOD"])),
        ("SendLocalList", listed(parentIdTag=7)),
        ("SendLocalList", listed(expiryDate=True)),
        ("SendLocalList", listed(expiryDate="never")),
        ("GetConfiguration", {"key": [1]}),
        ("GetConfiguration", {"key": [["HeartbeatInterval"]]}),
        ("ChangeConfiguration", {"key": "HeartbeatInterval", "value": 5}),
    ],
)
def test_what_is_no_text(csms: PlainCsms, action: str, payload: dict[str, Any]) -> None:
    assert csms.ask(action, payload) == "FormationViolation"
    assert csms.ask("GetLocalListVersion") == {"listVersion": 0}, "and it runs"


def test_null_is_as_good_as_absent(unit: Unit, csms: PlainCsms) -> None:
    configure(csms, LocalPreAuthorize="true")
    order = listed(parentIdTag=None, expiryDate=None)
    assert csms.ask("SendLocalList", order) == {"status": "Accepted"}
    reserved = csms.ask("ReserveNow", RESERVATION | {"parentIdTag": None})
    assert reserved == {"status": "Accepted"}
    assert csms.ask("CancelReservation", reservationId=7) == {"status": "Accepted"}
    charge(unit, csms, "GOOD")
    assert not csms.sent("Authorize")


@pytest.mark.parametrize("parent", [None, 7, {}, ""])
def test_what_is_no_parent_has_no_children(unit: Unit, csms: PlainCsms, parent: Any) -> None:
    info = {"status": "Accepted", "parentIdTag": parent}
    csms.replies["StartTransaction"] = {"transactionId": 7, "idTagInfo": info}
    charge(unit, csms)
    unit.run(1)
    unit.step("card OTHER")
    unit.run(3)
    assert [call["idTag"] for call in csms.sent("Authorize")] == ["TAG"]
    assert unit.state["transaction"] == "1"


@pytest.mark.parametrize("by_list", [True, False])
def test_an_empty_parent_opens_no_reservation(unit: Unit, csms: PlainCsms, by_list: bool) -> None:
    if by_list:
        assert csms.ask("SendLocalList", listed("YOURS", parentIdTag=""))["status"] == "Accepted"
    csms.replies["Authorize"] = {"idTagInfo": {"status": "Accepted", "parentIdTag": ""}}
    assert csms.ask("ReserveNow", RESERVATION) == {"status": "Accepted"}
    unit.bench.command("plug_in")
    unit.until(lambda: unit.state["plugged"] == "1", "the vehicle")
    unit.step("card YOURS")
    unit.run(4)
    assert not csms.sent("StartTransaction")


def test_years_that_the_library_cannot_read(unit: Unit, csms: PlainCsms) -> None:
    configure(csms, LocalPreAuthorize="true")
    order = profile(validFrom="0001-01-01T00:00:00Z", validTo="2099-12-31T23:59:59Z")
    assert csms.ask("SetChargingProfile", order) == {"status": "Accepted"}
    [period] = csms.ask("GetCompositeSchedule", connectorId=1, duration=60)["chargingSchedule"][
        "chargingSchedulePeriod"
    ]
    assert period["limit"] == 10
    ended = listed("GONE", expiryDate="0001-01-01T00:00:00Z")
    assert csms.ask("SendLocalList", ended) == {"status": "Accepted"}
    late = {"status": "Accepted", "expiryDate": "2099-12-31T23:59:59Z"}
    csms.replies["StopTransaction"] = {"idTagInfo": late}
    charge(unit, csms)
    finish(unit, csms)
    charge(unit, csms)
    finish(unit, csms)
    assert [call["idTag"] for call in csms.sent("Authorize")] == ["TAG"], "once, then cached"
    unit.step("card GONE")
    unit.until(lambda: len(csms.sent("Authorize")) == 2, "the question")


def test_an_answer_that_just_fits(unit: Unit, csms: PlainCsms) -> None:
    csms.mute.add("Heartbeat")
    for count in range(10, 400):
        asked = len(csms.sent("Heartbeat"))
        csms.ask("TriggerMessage", requestedMessage="Heartbeat")
        unit.run(0.2)
        if len(csms.sent("Heartbeat")) == asked:
            return  # the answer before was too dense to be looked at
        csms.say([3, csms.ids[-1], {"x": [0] * count}])
        unit.run(0.1)
    pytest.fail("nothing was too dense")


def test_an_id_of_any_length_is_answered(unit: Unit, csms: PlainCsms) -> None:
    unique_id = "i" * 900
    csms.say([2, unique_id, "RemoteStopTransaction", {"transactionId": -1}])
    unit.until(lambda: unique_id in csms.answers, "its answer", 5)
    assert csms.answers[unique_id] == {"status": "Rejected"}
