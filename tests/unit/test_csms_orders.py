# SPDX-License-Identifier: GPL-3.0-or-later
"""The convenient commands become payloads that conform to their schemas."""

from __future__ import annotations

import json
import shlex

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evtool.protocol import ocpp16
from evtool.virtual.csms import Csms
from evtool.virtual.csms.authorization import IdTag, LocalList
from evtool.virtual.csms.certificates import Authority, make_authority
from evtool.virtual.csms.handlers import HANDLERS
from evtool.virtual.csms.orders import COMMANDS, Desk, make_order

# A busy machine is no fault.
SLOWLY = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

NOON_MS = 1_714_564_800_000
PROFILE = {
    "chargingProfileId": 1,
    "stackLevel": 0,
    "chargingProfilePurpose": "TxProfile",
    "chargingProfileKind": "Absolute",
    "chargingSchedule": {
        "chargingRateUnit": "A",
        "startSchedule": "now",
        "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 16.0}],
    },
}


class Files:
    """A profile, an image and an upload folder."""

    def read(self, name: str) -> bytes:
        texts = {"slow": json.dumps(PROFILE), "bad": "[]", "worse": "{"}
        if name not in texts:
            raise ValueError(f"{name}: no such file")
        return texts[name].encode()

    def firmware(self, name: str) -> bytes:
        return name.encode()

    def firmware_url(self, name: str) -> str:
        return f"http://127.0.0.1/firmware/{name}"

    def upload_url(self, station: str) -> str:
        return f"http://127.0.0.1/uploads/{station}"


def desk() -> Desk:
    csms = Csms(
        {},
        open_to_all=True,
        clock=lambda: NOON_MS,
        report=lambda _: None,
        authority=Authority(make_authority("lab", None, NOON_MS)),
    )
    csms.start_transaction("CP", 1, "TAG", 0, "2024-05-01T12:00:00Z")
    csms.id_tags["TAG"] = IdTag("Accepted", "2030-01-01T00:00:00Z", "PARENT")
    return Desk(csms, Files())


LINES = [
    "remote_start CP TAG",
    "remote_start CP TAG any",
    "remote_start CP TAG 2 slow",
    "remote_stop CP",
    "remote_stop CP 7",
    "reset CP",
    "reset CP Hard",
    "unlock CP",
    "unlock CP 2",
    "change_availability CP 0 Inoperative",
    "get_configuration CP",
    "get_configuration CP HeartbeatInterval NumberOfConnectors",
    "set_configuration CP MeterValuesSampledData Voltage,SoC",
    "clear_cache CP",
    "trigger CP StatusNotification 1",
    "trigger CP Heartbeat",
    "extended_trigger CP LogStatusNotification",
    "renew_certificate CP",
    "get_local_list_version CP",
    "send_local_list CP",
    "send_local_list CP Full 7",
    "send_local_list CP Differential",
    "set_charging_profile CP 1 slow",
    "clear_charging_profile CP",
    "clear_charging_profile CP 1",
    "composite CP 1 3600",
    "composite CP 1 3600 W",
    "reserve CP 1 TAG",
    "reserve CP 0 TAG 60 4",
    "cancel CP",
    "cancel CP 4",
    "update_firmware CP image.bin",
    "update_firmware CP ftp://host/image.bin",
    "signed_update CP image.bin",
    "signed_update CP image.bin 3",
    "get_diagnostics CP",
    "get_diagnostics CP http://host/there",
    "get_log CP",
    "get_log CP SecurityLog http://host/there",
    "data_transfer CP Vendor",
    "data_transfer CP Vendor Message some data",
    "install_certificate CP CentralSystemRootCertificate",
    "certificates CP ManufacturerRootCertificate",
    "delete_certificate CP SHA256 aa bb 01",
]


@pytest.mark.parametrize("line", LINES)
def test_what_is_ordered_conforms(line: str) -> None:
    name, *words = line.split()
    order = make_order(desk(), name, words)
    assert order.station == "CP"
    assert ocpp16.find_violation(order.action, order.payload) is None


def test_every_operation_of_a_central_system_has_a_command() -> None:
    ordered = {make_order(desk(), name, words).action for name, *words in map(str.split, LINES)}
    # CertificateSigned answers SignCertificate, by itself.
    assert ordered | {"CertificateSigned"} == ocpp16.ACTIONS - set(HANDLERS) | {"DataTransfer"}
    assert {line.split()[0] for line in LINES} == set(COMMANDS)


def test_the_details_of_some() -> None:
    start = make_order(desk(), "remote_start", ["CP", "TAG", "2", "slow"]).payload
    schedule = start["chargingProfile"]["chargingSchedule"]
    assert schedule["startSchedule"] == "2024-05-01T12:00:00Z", "now is the present"
    assert make_order(desk(), "remote_stop", ["CP"]).payload == {"transactionId": 1}
    reserve = make_order(desk(), "reserve", ["CP", "1", "TAG", "60", "4"]).payload
    assert reserve["expiryDate"] == "2024-05-01T13:00:00Z"
    assert reserve["parentIdTag"] == "PARENT"
    at = desk()
    at.csms.local_lists["CP"] = LocalList(4, {"OLD": {"status": "Accepted"}})
    update = make_order(at, "send_local_list", ["CP", "Differential"]).payload
    assert update["listVersion"] == 5
    assert [entry["idTag"] for entry in update["localAuthorizationList"]] == ["TAG", "OLD"]


@pytest.mark.parametrize(
    "line",
    [
        "remote_start CP",
        "remote_stop CP-2",
        "remote_stop CP x",
        "unlock CP 1x",
        "set_charging_profile CP 1 bad",
        "set_charging_profile CP 1 worse",
        "set_charging_profile CP 1 missing",
        "reset CP Hard now",
    ],
)
def test_wrong_words_are_refused(line: str) -> None:
    name, *words = line.split()
    with pytest.raises(ValueError, match=r"."):
        make_order(desk(), name, words)


@SLOWLY
@given(st.sampled_from(sorted(COMMANDS)), st.lists(st.text(max_size=10), max_size=6))
def test_no_words_break_it(name: str, words: list[str]) -> None:
    try:
        order = make_order(desk(), name, words)
    except ValueError:
        return
    json.dumps(order.payload)
    shlex.join(words)
