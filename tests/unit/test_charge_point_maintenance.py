# SPDX-License-Identifier: GPL-3.0-or-later
"""Updates, logs, certificates, security and shared limits of a whole charge point."""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime
from typing import Any

import pytest
from certificates import Authority
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from station_rig import NOON, PLUGGED, UNPLUGGED, Station

from evtool.link.private_key import new_private_key_pem
from evtool.protocol import ocpp16
from evtool.reference_impl.charge_point import MICROOCPP_1_2_0, STRICT
from evtool.reference_impl.charge_point.effects import (
    Abandon,
    Download,
    Install,
    MakeKey,
    Upload,
)
from evtool.reference_impl.charge_point.security.certificates import read_revocation_lists

BEGIN = datetime(2024, 1, 1, tzinfo=UTC)
ROOT = Authority(BEGIN, days=365)
PEM = ROOT.root.pem().decode()
IMAGE = b"image"
DIGEST = hashlib.sha256(IMAGE).digest()
SIGNATURE = base64.b64encode(ROOT.root.key.sign(IMAGE, ec.ECDSA(hashes.SHA256()))).decode()
KEY = "0123456789abcdef"


def ready(**more: Any) -> Station:
    station = Station(**more).online()
    for number in range(more.get("connectors", 1)):
        station.see(UNPLUGGED, number + 1)
    station.heard()
    return station


def statuses(station: Station, action: str) -> list[str]:
    return [payload["status"] for name, payload in station.sent if name == action]


def restarted(station: Station, **more: Any) -> Station:
    return Station(stored=station.kept, **more).online()


# Firmware.


def update(station: Station) -> None:
    answer = station.ask("UpdateFirmware", location="ftp://u:p@h/f", retrieveDate=NOON)
    assert answer == {}
    station.wait(1)


def downloaded(station: Station) -> None:
    ticket = next(each.ticket for each in station.work if isinstance(each, Download))
    station.charge_point.maintenance.on_downloaded(ticket, DIGEST, station.now_ms)
    station.serve()


def installed(station: Station, outcome: Any) -> None:
    ticket = next(each.ticket for each in station.work if isinstance(each, Install))
    station.charge_point.maintenance.on_installed(ticket, outcome, station.now_ms)
    station.serve()


def test_an_update_waits_for_the_transaction_and_takes_the_others_out_of_use() -> None:
    station = ready(connectors=2)
    station.see(PLUGGED, 1)
    station.ask("RemoteStartTransaction", idTag="A", connectorId=1)
    update(station)
    station.heard()
    downloaded(station)
    assert station.heard() == ["FirmwareStatusNotification", "0:Unavailable", "2:Unavailable"]
    answer = station.ask("RemoteStartTransaction", idTag="B", connectorId=2)
    assert answer == {"status": "Rejected"}
    station.wait(60)
    assert not any(isinstance(each, Install) for each in station.work)
    station.ask("RemoteStopTransaction", transactionId=1)
    station.wait(1)
    assert statuses(station, "FirmwareStatusNotification") == ["Installing"]
    station.heard()
    installed(station, "failed")
    assert "2:Available" in station.heard()


def test_an_update_over_a_power_cut() -> None:
    station = ready()
    update(station)
    station = restarted(station)
    station.wait(1)
    assert statuses(station, "FirmwareStatusNotification") == ["Downloading"]
    downloaded(station)
    station.wait(1)
    installed(station, "needs_restart")
    station.wait(11)
    assert station.restarts == ["Soft"]
    station = restarted(station)
    station.wait(1)
    assert statuses(station, "FirmwareStatusNotification") == ["Installed"]
    assert "FirmwareUpdated" in station.security_events
    station = restarted(station)
    station.wait(1)
    assert statuses(station, "FirmwareStatusNotification") == []


def test_microocpp_stays_unavailable_from_the_first_attempt_on() -> None:
    station = ready(mode=MICROOCPP_1_2_0)
    update(station)
    assert station.heard() == ["FirmwareStatusNotification", "0:Unavailable", "1:Unavailable"]


def test_triggers_say_what_is_going_on() -> None:
    station = ready()
    update(station)
    station.ask("GetDiagnostics", location="ftp://h")
    station.wait(1)
    station.heard()
    for name in ("FirmwareStatusNotification", "DiagnosticsStatusNotification"):
        station.ask("TriggerMessage", requestedMessage=name)
    assert statuses(station, "FirmwareStatusNotification") == ["Downloading"]
    assert statuses(station, "DiagnosticsStatusNotification") == ["Uploading"]
    code = station.ask("UpdateFirmware", location="x", retrieveDate="some day")
    assert code == "PropertyConstraintViolation"


def test_diagnostics_and_logs() -> None:
    station = ready()
    name = station.ask("GetDiagnostics", location="ftp://h")["fileName"]
    log = {"remoteLocation": "ftp://h", "oldestTimestamp": NOON}
    answer = station.ask("GetLog", logType="SecurityLog", requestId=1, log=log)
    assert answer["status"] == "Accepted"
    station.wait(1)
    uploads = [each for each in station.work if isinstance(each, Upload)]
    assert [each.file_name for each in uploads] == [name, answer["filename"]]
    again = station.ask("GetLog", logType="SecurityLog", requestId=2, log=log)
    assert again["status"] == "AcceptedCanceled"
    assert Abandon(uploads[1].ticket, uploads[1].key) in station.work
    station.wait(1)
    for upload in (uploads[0], station.work[-1]):
        assert isinstance(upload, Upload)
        station.charge_point.maintenance.on_uploaded(upload, "Uploaded", station.now_ms)
        station.serve()
    assert statuses(station, "DiagnosticsStatusNotification") == ["Uploading", "Uploaded"]
    assert statuses(station, "LogStatusNotification") == ["Uploading", "Uploading", "Uploaded"]
    assert "StartupOfTheDevice" in station.charge_point.maintenance.log.render()


# Security.


def install_root(station: Station, use: str) -> str:
    answer = station.ask("InstallCertificate", certificateType=use, certificate=PEM)
    return str(answer["status"])


def test_a_signed_update() -> None:
    station = ready()
    firmware = {
        "location": "https://h/f",
        "retrieveDateTime": NOON,
        "signingCertificate": PEM,
        "signature": SIGNATURE,
    }
    answer = station.ask("SignedUpdateFirmware", requestId=5, firmware=firmware)
    assert answer == {"status": "InvalidCertificate"}
    station.wait(1)
    assert station.security_events[-1] == "InvalidFirmwareSigningCertificate"
    assert install_root(station, "ManufacturerRootCertificate") == "Accepted"
    answer = station.ask("SignedUpdateFirmware", requestId=5, firmware=firmware)
    assert answer == {"status": "Accepted"}
    station.wait(1)
    downloaded(station)
    station.wait(1)
    installed(station, "installed")
    station.wait(1)
    assert statuses(station, "SignedFirmwareStatusNotification") == [
        "Downloading",
        "Downloaded",
        "SignatureVerified",
        "Installing",
        "Installed",
    ]
    assert station.security_events[-1] == "FirmwareUpdated"
    station.sent.clear()
    station.ask("ExtendedTriggerMessage", requestedMessage="FirmwareStatusNotification")
    assert station.sent == [("SignedFirmwareStatusNotification", {"status": "Idle"})]


def test_a_revoked_certificate_signs_no_firmware() -> None:
    begin = datetime(2024, 4, 1, tzinfo=UTC)
    maker = Authority(begin, days=300, name="Maker")
    good, bad = (maker.issue(host, begin, days=300) for host in ("good", "bad"))
    impostor = Authority(begin, days=300, name="Maker")
    lists = maker.revoke(bad, begin=begin) + impostor.revoke(good, begin=begin)

    def order(station: Station, pem: bytes) -> str:
        root = maker.root.pem().decode()
        use = "ManufacturerRootCertificate"
        station.ask("InstallCertificate", certificateType=use, certificate=root)
        firmware = {
            "location": "https://h/f",
            "retrieveDateTime": NOON,
            "signingCertificate": pem.decode(),
            "signature": SIGNATURE,
        }
        answer = station.ask("SignedUpdateFirmware", requestId=5, firmware=firmware)
        station.wait(1)
        return str(answer["status"])

    station = Station(revocation_lists=lists.decode()).online()
    assert order(station, bad.pem()) == "RevokedCertificate"
    assert station.security_events[-1] == "InvalidFirmwareSigningCertificate"
    assert order(station, impostor.issue("x", begin, days=9).pem()) == "InvalidCertificate"
    assert order(station, good.pem()) == "Accepted", "an impostor's list says nothing"
    assert order(Station().online(), bad.pem()) == "Accepted", "without a list nobody knows"


def test_a_revocation_list_that_cannot_be_read_is_named() -> None:
    assert read_revocation_lists("nothing of the kind") == []
    text = "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n"
    with pytest.raises(ValueError, match="cannot be read"):
        read_revocation_lists(text)


def test_extended_triggers() -> None:
    station = ready()
    for name, expected in [
        ("BootNotification", ["BootNotification"]),
        ("LogStatusNotification", ["LogStatusNotification"]),
        ("FirmwareStatusNotification", ["SignedFirmwareStatusNotification"]),
        ("Heartbeat", ["Heartbeat"]),
        ("MeterValues", ["MeterValues"]),
        ("StatusNotification", ["0:Available", "1:Available"]),
    ]:
        answer = station.ask("ExtendedTriggerMessage", requestedMessage=name)
        assert answer == {"status": "Accepted"}, name
        assert station.heard() == expected


def test_a_certificate_is_requested_and_signed() -> None:
    station = ready(presets={"CpoName": "Operator"})
    install_root(station, "CentralSystemRootCertificate")
    answer = station.ask("ExtendedTriggerMessage", requestedMessage="SignChargePointCertificate")
    assert answer == {"status": "Accepted"}
    assert isinstance(station.work[-1], MakeKey)
    private = new_private_key_pem()
    station.charge_point.maintenance.on_key(private, station.now_ms)
    station.serve()
    action, payload = station.sent[-1]
    assert action == "SignCertificate"
    request = x509.load_pem_x509_csr(payload["csr"].encode())
    assert request.subject.rfc4514_string() == "CN=SN-1,O=Operator"
    root = ROOT.root.certificate
    builder = x509.CertificateBuilder(
        root.subject,
        request.subject,
        request.public_key(),
        1,
        root.not_valid_before_utc,
        root.not_valid_after_utc,
    )
    signed = builder.sign(ROOT.root.key, hashes.SHA256())
    chain = signed.public_bytes(serialization.Encoding.PEM).decode()
    assert station.ask("CertificateSigned", certificateChain=PEM) == {"status": "Rejected"}
    station.wait(1)
    assert station.security_events[-1] == "InvalidChargePointCertificate"
    assert station.ask("CertificateSigned", certificateChain=chain) == {"status": "Accepted"}
    again = restarted(station).charge_point.maintenance.client.installed()
    assert again == (chain, private)
    shown = repr(station.noticed) + repr(station.work) + repr(station.charge_point.settings)
    assert "PRIVATE KEY" not in shown + station.charge_point.maintenance.log.render()


def test_a_root_that_the_connection_needs_stays() -> None:
    station = ready(presets={"AuthorizationKey": KEY})
    install_root(station, "CentralSystemRootCertificate")
    answer = station.ask(
        "GetInstalledCertificateIds", certificateType="CentralSystemRootCertificate"
    )
    (identifier,) = answer["certificateHashData"]
    assert station.ask("ChangeConfiguration", key="SecurityProfile", value="2") == {
        "status": "Accepted"
    }
    answer = station.ask("DeleteCertificate", certificateHashData=identifier)
    assert answer == {"status": "Failed"}


@pytest.mark.parametrize(("over_tls", "status"), [(True, "Failed"), (False, "Accepted")])
def test_the_last_root_stays_where_the_url_is_wss(over_tls: bool, status: str) -> None:
    station = Station(over_tls=over_tls).online()
    install_root(station, "CentralSystemRootCertificate")
    answer = station.ask(
        "GetInstalledCertificateIds", certificateType="CentralSystemRootCertificate"
    )
    (identifier,) = answer["certificateHashData"]
    answer = station.ask("DeleteCertificate", certificateHashData=identifier)
    assert answer == {"status": status}


def test_a_profile_that_does_not_connect_is_taken_back() -> None:
    station = ready(presets={"AuthorizationKey": KEY})
    ask = station.ask
    assert ask("ChangeConfiguration", key="SecurityProfile", value="2")["status"] == "Rejected"
    assert ask("ChangeConfiguration", key="SecurityProfile", value="1")["status"] == "Accepted"
    assert station.reconnects == ["SecurityProfile"]
    station.offline()
    for _ in range(2):
        station.offline()
    assert station.charge_point.maintenance.settings().security_profile == 1
    station = restarted(station, presets={"AuthorizationKey": KEY})
    station.offline()
    assert station.charge_point.maintenance.settings().security_profile == 1, "it has connected"
    ask = station.ask
    ask("ChangeConfiguration", key="AuthorizationKey", value="f" * 32)
    for _ in range(3):
        station.offline()
    assert station.charge_point.maintenance.settings().authorization_key == KEY
    again = Station(stored=station.kept, presets={"AuthorizationKey": KEY}).charge_point
    settings = again.maintenance.settings()
    assert (settings.security_profile, settings.authorization_key) == (1, KEY)


def test_a_cut_while_new_settings_are_on_trial() -> None:
    station = ready(presets={"AuthorizationKey": KEY})
    station.ask("ChangeConfiguration", key="AuthorizationKey", value="f" * 32)
    assert "f" * 32 not in repr(station.noticed)
    station = Station(stored=station.kept, presets={"AuthorizationKey": KEY})
    for _ in range(3):
        station.offline()
    assert station.charge_point.maintenance.settings().authorization_key == KEY


def test_the_same_key_again_changes_nothing() -> None:
    station = ready()
    for _ in range(2):
        station.ask("ChangeConfiguration", key="AuthorizationKey", value=KEY)
    assert station.reconnects == ["AuthorizationKey"]


def test_security_events_reach_the_csms_once() -> None:
    station = Station()
    station.mute = {"SecurityEventNotification"}
    station.online()
    station.wait(5)
    assert station.security_events == ["StartupOfTheDevice"]
    again = restarted(station)
    again.wait(5)
    assert again.security_events == ["StartupOfTheDevice"] * 2, "that of both starts"
    last = restarted(again)
    last.refuse = {"SecurityEventNotification"}
    last.ask("Reset", type="Soft")
    last.wait(5)
    assert last.security_events == ["StartupOfTheDevice", "ResetOrReboot"]
    assert last.charge_point.maintenance.log.waiting() == 0


def test_the_clock_of_the_csms_is_a_security_event_where_it_jumps() -> None:
    station = ready()
    station.wait(200)
    assert "SettingSystemTime" not in station.security_events
    station.wait(200)
    station.wait(1)
    assert station.security_events[-1] == "SettingSystemTime", "its Heartbeat still says noon"


def test_nobody_needs_to_hear() -> None:
    station = ready(presets={"DisableSecurityEventNotifications": "true"})
    assert station.security_events == []
    assert "StartupOfTheDevice" in station.charge_point.maintenance.log.render()


def test_microocpp_has_no_security_extensions() -> None:
    station = ready(mode=MICROOCPP_1_2_0)
    for action in (
        "ExtendedTriggerMessage",
        "GetLog",
        "SignedUpdateFirmware",
        "InstallCertificate",
        "DeleteCertificate",
        "GetInstalledCertificateIds",
        "CertificateSigned",
    ):
        assert station.ask(action) == "NotImplemented"
    assert station.security_events == []


# Smart charging.


def charging_profile(purpose: str, limit: float, number: int = 1, **more: Any) -> dict[str, Any]:
    period = {"startPeriod": 0, "limit": limit}
    return {
        "chargingProfileId": number,
        "stackLevel": 0,
        "chargingProfilePurpose": purpose,
        "chargingProfileKind": "Absolute",
        "chargingSchedule": {"chargingRateUnit": "A", "chargingSchedulePeriod": [period]},
    } | more


def put(station: Station, connector: int, value: dict[str, Any]) -> Any:
    return station.ask("SetChargingProfile", connectorId=connector, csChargingProfiles=value)


def test_connectors_share_the_maximum() -> None:
    station = ready(connectors=2)
    put(station, 0, charging_profile("ChargePointMaxProfile", 32))
    put(station, 2, charging_profile("TxDefaultProfile", 6, 2))
    for number in (1, 2):
        station.see(PLUGGED, number)
        station.ask("RemoteStartTransaction", idTag=f"T{number}", connectorId=number)
    word = station.charge_point.word
    assert (word(1).limit_ma, word(2).limit_ma) == (26_000, 6_000)
    station.ask("RemoteStopTransaction", transactionId=2)
    assert word(1).limit_ma == 32_000


def test_profiles_survive_a_restart_and_a_transactions_do_not() -> None:
    station = ready()
    put(station, 0, charging_profile("ChargePointMaxProfile", 20))
    station.see(PLUGGED)
    own = charging_profile("TxProfile", 7, 2)
    answer = station.ask("RemoteStartTransaction", idTag="A", connectorId=1, chargingProfile=own)
    assert answer == {"status": "Accepted"}
    assert station.charge_point.word().limit_ma == 7_000
    again = restarted(station)
    again.see(PLUGGED)
    assert [one.profile_id for one in again.charge_point.profiles] == [1]
    assert again.charge_point.word().limit_ma == 20_000
    assert [one.profile_id for one in restarted(again).charge_point.profiles] == [1]


def test_a_transaction_that_resumes_keeps_its_profile() -> None:
    station = ready(mode=MICROOCPP_1_2_0)
    station.see(PLUGGED)
    station.present("A")
    put(station, 1, charging_profile("TxProfile", 7))
    again = Station(stored=station.kept, mode=MICROOCPP_1_2_0)
    again.online()
    again.see(PLUGGED)
    assert again.charge_point.word().limit_ma == 7_000


def test_a_remote_start_whose_profile_is_for_another_transaction_starts_nothing() -> None:
    station = ready()
    station.see(PLUGGED)
    own = charging_profile("TxProfile", 7, transactionId=99)
    answer = station.ask("RemoteStartTransaction", idTag="A", connectorId=1, chargingProfile=own)
    assert answer == {"status": "Rejected"}, "it would charge without the limit"
    assert not station.charge_point.word().transaction
    assert "charging profile refused" in [each.what for each in station.noticed]


def test_a_profile_that_overtakes_the_transactions_id_waits_for_it() -> None:
    station = ready()
    station.see(PLUGGED)
    station.mute = {"StartTransaction"}
    station.present("A")
    own = charging_profile("TxProfile", 7, transactionId=1)
    station.asked["early"] = "SetChargingProfile"
    payload = {"connectorId": 1, "csChargingProfiles": own}
    station.text([2, "early", "SetChargingProfile", payload])
    assert "early" not in station.answers
    (start,) = station.unanswered
    station.text([3, start.unique_id, station.result("StartTransaction")])
    answer = station.answers["early"]
    assert isinstance(answer, ocpp16.CallResult)
    assert answer.payload == {"status": "Accepted"}
    assert station.charge_point.word().limit_ma == 7_000


def test_the_composite_of_both_modes() -> None:
    for mode, expected in ((STRICT, 300.0), (MICROOCPP_1_2_0, -1)):
        station = ready(mode=mode)
        answer = station.ask("GetCompositeSchedule", connectorId=1, duration=60)
        assert answer["chargingSchedule"]["chargingSchedulePeriod"][0]["limit"] == expected
    put(station, 1, charging_profile("TxDefaultProfile", 5))
    assert ready().ask("GetCompositeSchedule", connectorId=0, duration=-1) == {"status": "Rejected"}
