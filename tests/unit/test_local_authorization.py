# SPDX-License-Identifier: GPL-3.0-or-later
"""The local list, the authorization cache, and the reservations."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from station_rig import NOON, PLUGGED, UNPLUGGED, Station

from evtool.reference_impl.charge_point import MICROOCPP_1_2_0, STRICT, Inputs, Mode
from evtool.reference_impl.charge_point.authorization_cache import AuthorizationCache
from evtool.reference_impl.charge_point.id_tag_info import IdTagInfo
from evtool.reference_impl.charge_point.local_list import LocalList

LATER = "2024-05-01T13:00:00Z"


def entry(id_tag: str, status: str | None = "Accepted", **more: str) -> dict[str, Any]:
    return {"idTag": id_tag} | ({"idTagInfo": {"status": status} | more} if status else {})


def online(**keys: str) -> Station:
    station = Station(presets=keys).online()
    station.see(PLUGGED)
    station.heard()
    return station


def send_list(station: Station, *entries: dict[str, Any], version: int = 1) -> str:
    answer = station.ask(
        "SendLocalList", listVersion=version, updateType="Full",
        localAuthorizationList=list(entries),
    )  # fmt: skip
    return str(answer["status"])


@pytest.mark.parametrize("expiry", ["2030-01-01", "soon", "", "1960-01-01T00:00:00Z"])
def test_a_date_that_nobody_can_read_is_over(expiry: str) -> None:
    station = online(LocalPreAuthorize="true", LocalAuthorizeOffline="true")
    assert send_list(station, entry("A", expiryDate=expiry)) == "Accepted"
    station.offline()
    station.present("A")
    assert station.charge_point.word().transaction is False
    again = LocalList(station.kept["local_list"]).find("A")
    assert again is not None
    assert not again.is_accepted(0)


def test_a_listed_tag_needs_no_authorize() -> None:
    station = online(LocalPreAuthorize="true")
    assert send_list(station, entry("A"), entry("B", "Blocked")) == "Accepted"
    station.present("a")
    assert station.heard() == ["1:Charging", "StartTransaction"]
    station.see(UNPLUGGED)
    station.see(PLUGGED)
    station.heard()
    station.present("B")
    assert station.heard()[0] == "Authorize", "the CSMS may know better by now"


@pytest.mark.parametrize(("status", "conflicts"), [("Blocked", 1), ("Accepted", 0)])
def test_an_answer_that_disagrees_with_the_list_is_told(status: str, conflicts: int) -> None:
    station = Station(presets={"LocalPreAuthorize": "true"}).online()
    station.see(PLUGGED)
    send_list(station, entry("A"))
    station.id_tag_status = status
    station.present("A")
    told = [
        payload for action, payload in station.sent
        if action == "StatusNotification" and payload["errorCode"] == "LocalListConflict"
    ]  # fmt: skip
    assert [conflict["connectorId"] for conflict in told] == [0] * conflicts
    assert [conflict["status"] for conflict in told] == ["Available"] * conflicts
    assert station.charge_point.authorization.local_list.find("A") is not None


def test_the_library_asks_all_the_same_and_ends_what_was_wrong() -> None:
    station = Station(mode=MICROOCPP_1_2_0, presets={"LocalPreAuthorize": "true"}).online()
    station.see(PLUGGED)
    send_list(station, entry("A"))
    station.id_tag_status = "Blocked"
    station.heard()
    station.present("A")
    conflicts = [
        payload for action, payload in station.sent
        if action == "StatusNotification" and payload["errorCode"] == "LocalListConflict"
    ]  # fmt: skip
    told_of = [conflict["connectorId"] for conflict in conflicts]
    assert told_of == [0, 0], "by the answers to Authorize and to StartTransaction"
    assert station.sent[-1][1]["reason"] == "DeAuthorized"
    assert "Authorize" in station.heard()


@pytest.mark.parametrize(
    ("status", "expiry", "local", "permitted"),
    [
        ("Accepted", LATER, "true", True),
        ("Accepted", NOON, "true", False),
        ("Expired", LATER, "true", False),
        ("Accepted", LATER, "false", False),
    ],
)
def test_offline_the_list_decides(status: str, expiry: str, local: str, permitted: bool) -> None:
    station = online(LocalAuthorizeOffline=local, AllowOfflineTxForUnknownId="true")
    send_list(station, entry("A", status, expiryDate=expiry))
    station.offline()
    station.present("A")
    assert station.charge_point.word().permitted is permitted
    if not permitted:
        station.present("UNKNOWN")
        assert station.charge_point.word().permitted, "unknown is another rule"


def test_the_list_survives_a_restart_and_is_changed_by_difference() -> None:
    station = online()
    assert station.ask("GetLocalListVersion") == {"listVersion": 0}
    send_list(station, entry("A"), entry("B", parentIdTag="P"), version=3)
    again = Station(stored=station.kept).online()
    assert again.ask("GetLocalListVersion") == {"listVersion": 3}
    differ = {"listVersion": 4, "updateType": "Differential"}
    change = [entry("A", None), entry("C", "Invalid")]
    answer = again.ask("SendLocalList", **differ, localAuthorizationList=change)
    assert answer == {"status": "Accepted"}
    local_list = again.charge_point.authorization.local_list
    assert local_list.find("A") is None
    assert local_list.find("b") == IdTagInfo("Accepted", "P")
    assert local_list.find("C") == IdTagInfo("Invalid")
    answer = again.ask("SendLocalList", **differ)
    assert answer == {"status": "VersionMismatch"}
    assert again.ask("SendLocalList", listVersion=7, updateType="Full") == {"status": "Accepted"}
    assert again.ask("GetLocalListVersion") == {"listVersion": 0}, "empty"


def test_lists_that_are_too_long_or_wrong() -> None:
    station = online(LocalAuthListMaxLength="2", SendLocalListMaxLength="3")
    assert send_list(station, entry("A"), entry("B"), entry("C")) == "Failed"
    code = station.ask(
        "SendLocalList", listVersion=1, updateType="Full",
        localAuthorizationList=[entry(str(number)) for number in range(4)],
    )  # fmt: skip
    assert code == "OccurenceConstraintViolation"
    assert send_list(station, entry("A", None)) == "Failed"
    assert send_list(station, version=-1) == "Failed"
    assert station.ask("GetLocalListVersion") == {"listVersion": 0}


@pytest.mark.parametrize("how", ["disabled", "absent"])
def test_without_a_list(how: str) -> None:
    presets = (
        {"LocalAuthListEnabled": "false"}
        if how == "disabled"
        else {"SupportedFeatureProfiles": "Core"}
    )
    station = online(**presets)
    assert station.ask("GetLocalListVersion") == {"listVersion": -1}
    assert send_list(station, entry("A")) == "NotSupported"
    change = station.ask("ChangeConfiguration", key="LocalAuthListEnabled", value="true")
    assert change == {"status": "Accepted" if how == "disabled" else "NotSupported"}


def test_the_cache_remembers_what_the_csms_said() -> None:
    station = online(LocalPreAuthorize="true")
    station.present("A")
    station.see(UNPLUGGED)
    again = Station(stored=station.kept, presets={"LocalPreAuthorize": "true"}).online()
    again.see(PLUGGED)
    again.heard()
    again.present("A")
    assert again.heard() == ["1:Charging", "StartTransaction"]
    again.see(UNPLUGGED)
    assert again.ask("ClearCache") == {"status": "Accepted"}
    again.see(PLUGGED)
    again.heard()
    again.present("A")
    assert again.heard()[0] == "Authorize"


def test_a_cached_refusal_counts_offline() -> None:
    station = online(AllowOfflineTxForUnknownId="true")
    station.id_tag_status = "Blocked"
    station.present("A")
    station.offline()
    station.present("A")
    assert not station.charge_point.word().permitted


@pytest.mark.parametrize(("mode", "status"), [(STRICT, "Rejected"), (MICROOCPP_1_2_0, "Accepted")])
def test_without_a_cache(mode: Mode, status: str) -> None:
    presets = {"AuthorizationCacheEnabled": "false", "LocalPreAuthorize": "true"}
    station = Station(mode=mode, presets=presets).online()
    assert station.ask("ClearCache") == {"status": status}
    station.see(PLUGGED)
    station.present("A")
    station.see(UNPLUGGED)
    station.see(PLUGGED)
    station.heard()
    station.present("A")
    assert "Authorize" in station.heard()


def test_the_cache_is_bounded() -> None:
    cache = AuthorizationCache(100)
    for number in range(101):
        cache.put(f"TAG-{number}", IdTagInfo("Accepted"))
    assert cache.find("TAG-0") is None
    assert cache.find("tag-1") is not None


@given(st.lists(st.tuples(st.text("ab", min_size=1, max_size=3), st.booleans()), max_size=8))
def test_what_is_rendered_is_read_back(entries: list[tuple[str, bool]]) -> None:
    local_list, cache = LocalList(), AuthorizationCache(100)
    for version, (id_tag, accepted) in enumerate(entries, 1):
        status = "Accepted" if accepted else "Invalid"
        item = entry(id_tag, status, parentIdTag="P", expiryDate=LATER)
        request = {"listVersion": version, "updateType": "Differential"}
        local_list.update(request | {"localAuthorizationList": [item]}, 100)
        cache.put(id_tag, IdTagInfo(status, "P"))
    again = LocalList(local_list.render())
    assert again.version == local_list.version
    assert len(again) == len({id_tag for id_tag, _ in entries})
    for id_tag, _ in entries:
        assert again.find(id_tag) == local_list.find(id_tag)
        assert AuthorizationCache(100, cache.render()).find(id_tag) == cache.find(id_tag)


# Reservations


def reserve(station: Station, **more: Any) -> str:
    request = {"connectorId": 1, "expiryDate": LATER, "idTag": "A", "reservationId": 7} | more
    answer = station.ask("ReserveNow", **request)
    return str(answer["status"] if isinstance(answer, dict) else answer)


def free(**how: Any) -> Station:
    station = Station(**how).online()
    for number in range(1, how.get("connectors", 1) + 1):
        station.see(UNPLUGGED, number)
    station.heard()
    return station


def test_a_reserved_connector_waits_for_its_holder() -> None:
    station = free()
    assert reserve(station) == "Accepted"
    assert station.heard() == ["1:Reserved"]
    station.swipe("B")
    assert station.heard() == [], "nobody is asked"
    assert station.ask("RemoteStartTransaction", idTag="B")["status"] == "Rejected"
    again = free(stored=station.kept)
    assert again.charge_point.connectors[0].status == "Reserved"
    again.swipe("A")
    assert again.heard() == ["Authorize", "1:Preparing"]
    again.see(PLUGGED)
    start = next(payload for action, payload in again.sent if action == "StartTransaction")
    assert start["reservationId"] == 7
    assert not [key for key in again.kept if key.startswith("reservation")]
    assert again.ask("CancelReservation", reservationId=7) == {"status": "Rejected"}


def test_the_family_of_the_holder_may_use_it() -> None:
    station = free()
    station.parent = "P"
    reserve(station, parentIdTag="P")
    station.heard()
    station.see(PLUGGED)
    station.swipe("B")
    assert set(station.heard()) == {"Authorize", "1:Charging", "StartTransaction"}


def test_a_stranger_is_asked_for_but_not_let_in() -> None:
    station = free()
    station.parent = "OTHER"
    reserve(station, parentIdTag="P")
    station.see(PLUGGED)
    station.heard()
    station.swipe("B")
    assert station.heard() == ["Authorize"], "it stays Reserved all the time"
    assert not station.charge_point.word().transaction


def test_reservations_end() -> None:
    station = free()
    reserve(station, expiryDate="2024-05-01T12:00:30Z")
    station.wait(31)
    assert station.heard() == ["1:Reserved", "1:Available"]
    reserve(station)
    assert station.ask("CancelReservation", reservationId=8) == {"status": "Rejected"}
    assert station.ask("CancelReservation", reservationId=7) == {"status": "Accepted"}
    reserve(station)
    station.heard()
    station.see(Inputs(evse_ready=False, faulted=True, error="GroundFailure"))
    station.see(UNPLUGGED)
    assert station.heard() == ["1:Faulted", "1:Available"], "a fault ends it (OCPP 1.6, 8.1)"


@pytest.mark.parametrize(
    ("how", "status"),
    [("plugged", "Occupied"), ("faulted", "Faulted"), ("inoperative", "Unavailable"),
     ("reserved", "Occupied"), ("same id", "Accepted"), ("past", "Rejected"),
     ("no date", "PropertyConstraintViolation"), ("connector 2", "Rejected")],
)  # fmt: skip
def test_what_stands_against_a_reservation(how: str, status: str) -> None:
    station = free()
    more: dict[str, Any] = {}
    match how:
        case "plugged":
            station.see(PLUGGED)
        case "faulted":
            station.see(Inputs(faulted=True, error="GroundFailure"))
        case "inoperative":
            station.ask("ChangeAvailability", connectorId=1, type="Inoperative")
        case "reserved":
            reserve(station, reservationId=1)
        case "same id":
            reserve(station)
        case "past":
            more = {"expiryDate": "2024-05-01T11:00:00Z"}
        case "no date":
            more = {"expiryDate": "soon"}
        case "connector 2":
            more = {"connectorId": 2}
    assert reserve(station, **more) == status


@pytest.mark.parametrize(
    "presets",
    [{"SupportedFeatureProfiles": "Core"}, {"ReserveConnectorZeroSupported": "false"}],
)
def test_reservations_that_are_not_offered(presets: dict[str, str]) -> None:
    assert reserve(free(presets=presets), connectorId=0) == "Rejected"


def test_connector_0_reserves_any_connector() -> None:
    station = free(connectors=2)
    assert reserve(station, connectorId=0) == "Accepted"
    assert station.heard() == [], "one is free beside the one that it needs"
    station.see(PLUGGED, 1)
    station.swipe("B", 1)
    assert set(station.heard()) >= {"1:Charging", "2:Reserved"}
    assert reserve(station, connectorId=0, reservationId=8, idTag="C") == "Occupied"
    assert station.ask("RemoteStartTransaction", idTag="B", connectorId=2)["status"] == "Rejected"
    station.swipe("A")
    station.see(PLUGGED, 2)
    starts = [payload for action, payload in station.sent if action == "StartTransaction"]
    assert starts[-1]["reservationId"] == 7
