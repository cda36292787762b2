# SPDX-License-Identifier: GPL-3.0-or-later
"""What presets leave out of the configuration, and how long its lists may be."""

from __future__ import annotations

from station_rig import Station

from evtool.link.file_transfer import SCHEMES


def test_a_list_that_is_too_long() -> None:
    station = Station(presets={"MeterValuesSampledDataMaxLength": "2"}).online()
    for value, status in [("SoC,Voltage", "Accepted"), ("SoC,Voltage,Voltage", "Rejected")]:
        answer = station.ask("ChangeConfiguration", key="MeterValuesSampledData", value=value)
        assert answer == {"status": status}


def test_a_feature_profile_that_is_not_offered() -> None:
    station = Station(presets={"SupportedFeatureProfiles": "Core"}).online()
    assert station.ask("TriggerMessage", requestedMessage="Heartbeat") == "NotSupported"
    assert station.ask("ClearChargingProfile") == "NotSupported"
    keys = ["MaxChargingProfilesInstalled", "LocalAuthListEnabled", "HeartbeatInterval"]
    assert station.ask("GetConfiguration", key=keys)["unknownKey"] == keys[:2]


def test_every_protocol_of_transfers_is_named() -> None:
    answer = Station().online().ask("GetConfiguration", key=["SupportedFileTransferProtocols"])
    assert answer["configurationKey"][0]["value"] == ",".join(sorted(map(str.upper, SCHEMES)))
