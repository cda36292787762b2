# SPDX-License-Identifier: GPL-3.0-or-later
"""Every feature profile that is offered, by the real MicroOcpp (see microocpp_rig)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from microocpp_rig import Station, program_with_microocpp, station

FUTURE = "2030-01-01T00:00:00Z"


@pytest.fixture
def unit(tmp_path: Path) -> Iterator[Station]:
    with station(program_with_microocpp(), tmp_path) as unit:
        yield unit


def configuration(unit: Station, *keys: str) -> dict[str, str]:
    answer = unit.ask("GetConfiguration", key=list(keys))
    return {each["key"]: each.get("value", "") for each in answer.get("configurationKey", [])}


def limit_now(unit: Station, connector: int) -> float:
    answer = unit.ask(
        "GetCompositeSchedule", connectorId=connector, duration=600, chargingRateUnit="A"
    )
    assert answer["status"] == "Accepted"
    return float(answer["chargingSchedule"]["chargingSchedulePeriod"][0]["limit"])


def profile(purpose: str, limit: float, **more: object) -> dict[str, object]:
    schedule = {
        "chargingRateUnit": "A", "startSchedule": "2026-01-01T00:00:00Z",
        "chargingSchedulePeriod": [{"startPeriod": 0, "limit": limit}],
    }  # fmt: skip
    return {
        "chargingProfileId": 1, "stackLevel": 0, "chargingProfilePurpose": purpose,
        "chargingProfileKind": "Absolute", "chargingSchedule": schedule, **more,
    }  # fmt: skip


def test_the_profiles_are_told(unit: Station) -> None:
    told = configuration(unit, "SupportedFeatureProfiles")["SupportedFeatureProfiles"]
    assert sorted(told.split(",")) == [
        "Core", "FirmwareManagement", "LocalAuthListManagement", "RemoteTrigger", "Reservation",
        "SmartCharging",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "message",
    [
        "BootNotification", "Heartbeat", "StatusNotification", "FirmwareStatusNotification",
        "DiagnosticsStatusNotification",
    ],
)  # fmt: skip
def test_what_may_be_triggered_is_sent(unit: Station, message: str) -> None:
    before = len(unit.sent(message))
    assert unit.ask("TriggerMessage", requestedMessage=message) == {"status": "Accepted"}
    unit.until(lambda: len(unit.sent(message)) > before, message)
    if message.endswith("FirmwareStatusNotification") or message.startswith("Diagnostics"):
        assert unit.statuses(message) == ["Idle"]


@pytest.mark.parametrize("message", ["StartTransaction", "Authorize", "CustomOperation", "x"])
def test_nothing_else_is(unit: Station, message: str) -> None:
    assert unit.ask("TriggerMessage", requestedMessage=message) == {"status": "NotImplemented"}
    unit.ask("TriggerMessage", requestedMessage="Heartbeat")
    unit.until(lambda: unit.sent("Heartbeat"), "the unit to live on")
    assert not unit.sent(message)


def test_the_local_list_starts_a_transaction_without_the_csms(unit: Station) -> None:
    for key, value in (("LocalAuthListEnabled", "true"), ("LocalPreAuthorize", "true")):
        unit.ask("ChangeConfiguration", key=key, value=value)
    entry = {"idTag": "LISTED", "idTagInfo": {"status": "Accepted"}}
    answer = unit.ask(
        "SendLocalList", listVersion=3, updateType="Full", localAuthorizationList=[entry]
    )
    assert answer == {"status": "Accepted"}
    assert unit.ask("GetLocalListVersion") == {"listVersion": 3}
    answer = unit.ask("SendLocalList", listVersion=2, updateType="Differential")
    assert answer == {"status": "VersionMismatch"}
    unit.charge("LISTED")
    assert unit.sent("StartTransaction")[0]["idTag"] == "LISTED"


def test_a_reservation_holds_the_connector_for_its_card(unit: Station) -> None:
    answer = unit.ask(
        "ReserveNow", connectorId=1, expiryDate=FUTURE, idTag="HOLDER", reservationId=5
    )
    assert answer == {"status": "Accepted"}
    unit.until(
        lambda: unit.sent("StatusNotification")[-1]["status"] == "Reserved", "the reservation"
    )
    other = unit.ask("RemoteStartTransaction", idTag="OTHER", connectorId=1)
    assert other == {"status": "Rejected"}
    unit.charge("HOLDER")
    assert unit.sent("StartTransaction")[0]["reservationId"] == 5


def test_a_reservation_can_be_cancelled(unit: Station) -> None:
    unit.ask("ReserveNow", connectorId=1, expiryDate=FUTURE, idTag="HOLDER", reservationId=5)
    assert unit.ask("CancelReservation", reservationId=6) == {"status": "Rejected"}
    assert unit.ask("CancelReservation", reservationId=5) == {"status": "Accepted"}
    unit.charge("OTHER")


def test_the_composite_schedule_is_the_lowest_limit(unit: Station) -> None:
    most = profile("ChargePointMaxProfile", 40.0)
    assert unit.ask("SetChargingProfile", connectorId=0, csChargingProfiles=most) == {
        "status": "Accepted"
    }
    assert limit_now(unit, 0) == 40.0
    unit.charge()
    tx = profile("TxProfile", 16.0, chargingProfileId=2, transactionId=7)
    assert unit.ask("SetChargingProfile", connectorId=1, csChargingProfiles=tx) == {
        "status": "Accepted"
    }
    assert limit_now(unit, 1) == 16.0
    unit.until(lambda: unit.state("limit_ma") == "16000", "the limit at the controller")
    assert unit.ask("ClearChargingProfile", id=2) == {"status": "Accepted"}
    assert limit_now(unit, 1) == 40.0
    assert unit.ask("ClearChargingProfile", id=2) == {"status": "Unknown"}


def test_data_for_a_vendor_that_we_are_not(unit: Station) -> None:
    ask = {"vendorId": "ACME", "messageId": "Hello"}
    assert unit.ask("DataTransfer", **ask) == {"status": "UnknownVendorId"}
    unit.ask("ChangeConfiguration", key="Cst_DataTransferVendorId", value="ACME")
    assert unit.ask("DataTransfer", **ask) == {"status": "UnknownMessageId"}
    assert unit.ask("DataTransfer", vendorId="") == {"status": "UnknownVendorId"}


def test_a_key_of_ours_outlives_a_restart(tmp_path: Path) -> None:
    payload = program_with_microocpp()
    with station(payload, tmp_path) as unit:
        unit.ask("ChangeConfiguration", key="Cst_DataTransferVendorId", value="ACME")
    with station(payload, tmp_path) as unit:
        answer = unit.ask("DataTransfer", vendorId="ACME", messageId="Hello")
        assert answer == {"status": "UnknownMessageId"}


def test_the_authorization_key_is_never_told(unit: Station) -> None:
    answer = unit.ask("GetConfiguration", key=["AuthorizationKey"])
    assert answer.get("configurationKey", []) == []
    assert answer["unknownKey"] == ["AuthorizationKey"]
    assert "AuthorizationKey" not in configuration(unit)
