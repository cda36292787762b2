# SPDX-License-Identifier: GPL-3.0-or-later
"""Payloads for updates, logs, certificates and profiles that are none: nothing raises."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from certificates import Authority
from hypothesis import given, settings
from hypothesis import strategies as st
from station_rig import NOON, Station

from evtool.reference_impl.charge_point import MICROOCPP_1_2_0, STRICT

PEM = Authority(datetime(2024, 1, 1, tzinfo=UTC), days=365).root.pem().decode()
PROFILE = {
    "chargingProfileId": 1,
    "stackLevel": 0,
    "chargingProfilePurpose": "TxDefaultProfile",
    "chargingProfileKind": "Absolute",
    "chargingSchedule": {
        "chargingRateUnit": "A",
        "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 5}],
    },
}
words = st.sampled_from(["", "x", "Accepted", "SHA256", NOON, "ftp://h", PEM, "A", "\ud800"])
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | words,
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["location", "log", "firmware", "retrieveDateTime", "signature"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=6,
)
FIELDS = [
    "location", "retrieveDate", "retries", "retryInterval", "startTime", "logType", "requestId",
    "log", "firmware", "certificateType", "certificate", "certificateHashData",
    "certificateChain", "requestedMessage", "connectorId", "csChargingProfiles", "duration",
]  # fmt: skip
ACTIONS = [
    "UpdateFirmware", "GetDiagnostics", "GetLog", "SignedUpdateFirmware", "InstallCertificate",
    "DeleteCertificate", "GetInstalledCertificateIds", "CertificateSigned",
    "ExtendedTriggerMessage", "SetChargingProfile", "GetCompositeSchedule",
]  # fmt: skip
GOOD: dict[str, Any] = {
    "UpdateFirmware": {"location": "ftp://h", "retrieveDate": NOON},
    "GetDiagnostics": {"location": "ftp://h"},
    "GetLog": {"logType": "SecurityLog", "requestId": 1, "log": {"remoteLocation": "ftp://h"}},
    "SignedUpdateFirmware": {
        "requestId": 1,
        "firmware": {
            "location": "x",
            "retrieveDateTime": NOON,
            "signingCertificate": PEM,
            "signature": "x",
        },
    },
    "InstallCertificate": {"certificateType": "ManufacturerRootCertificate", "certificate": PEM},
    "CertificateSigned": {"certificateChain": PEM},
    "ExtendedTriggerMessage": {"requestedMessage": "SignChargePointCertificate"},
    "GetCompositeSchedule": {"connectorId": 1, "duration": 60},
    "SetChargingProfile": {
        "connectorId": 1,
        "csChargingProfiles": PROFILE,
    },
}


@settings(max_examples=150)
@given(
    st.sampled_from(ACTIONS),
    st.dictionaries(st.sampled_from(FIELDS), values, max_size=3),
    st.sampled_from([STRICT, MICROOCPP_1_2_0]),
)
def test_hostile_payloads_never_raise(action: str, broken: dict[str, Any], mode: Any) -> None:
    station = Station(mode=mode).online()
    station.ask(action, **GOOD.get(action, {}) | broken)
    station.wait(2)
    again = Station(stored=station.kept, mode=mode).online()
    again.wait(2)
    assert again.charge_point.registered
    code = again.ask("GetConfiguration", key=["HeartbeatInterval"])
    assert code["configurationKey"][0]["value"] == "300"
