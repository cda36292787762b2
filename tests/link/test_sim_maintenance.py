# SPDX-License-Identifier: GPL-3.0-or-later
"""What a headless charge point carries out: transfers, installations, keys, TLS."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from certificates import Authority
from charge_point_process import WAIT_S, Central, RunningChargePoint, charge_point
from ftp_server import ftp_server

from evtool.virtual.csms.faults import parse_fault

USER, PASSWORD = "bench", "a-secret-of-the-server"
NOW = "2020-01-01T00:00:00Z"


@pytest.fixture
def central() -> Iterator[Central]:
    central = Central()
    yield central
    central.close()


@pytest.fixture
def ftp(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A server's URL with user and password, and its folder."""
    folder = tmp_path / "ftp"
    with ftp_server(folder, USER, PASSWORD) as address:
        yield f"ftp://{USER}:{PASSWORD}@{address}", folder


def told(unit: Any, action: str, status: str) -> None:
    """Wait until the charge point has said so."""
    while True:
        event = unit.next("message", direction="sent", type="call", action=action)
        if event["payload"]["status"] == status:
            return


def test_updates_and_uploads_over_ftp(
    tmp_path: Path, central: Central, ftp: tuple[str, Path]
) -> None:
    url, folder = ftp
    (folder / "image.bin").write_bytes(b"an image")
    storage = tmp_path / "storage"
    with charge_point(central, storage, "--plain") as unit:
        unit.next("status", connector=1, status="Available")
        name = central.ask("GetDiagnostics", {"location": url})["fileName"]
        told(unit, "DiagnosticsStatusNotification", "Uploaded")
        text = (folder / name).read_text()
        assert '"HeartbeatInterval"' in text
        assert PASSWORD not in text
        log = {"remoteLocation": url}
        asked = {"logType": "SecurityLog", "requestId": 1, "log": log}
        name = central.ask("GetLog", asked)["filename"]
        told(unit, "LogStatusNotification", "Uploaded")
        assert "StartupOfTheDevice" in (folder / name).read_text()
        wrong = url.replace(PASSWORD, "wrong")
        central.ask("GetDiagnostics", {"location": wrong})
        told(unit, "DiagnosticsStatusNotification", "UploadFailed")
        central.ask("UpdateFirmware", {"location": f"{url}/none", "retrieveDate": NOW})
        told(unit, "FirmwareStatusNotification", "DownloadFailed")
        central.ask("UpdateFirmware", {"location": f"{url}/image.bin", "retrieveDate": NOW})
        told(unit, "FirmwareStatusNotification", "Installed")
        assert PASSWORD not in unit.seen
    images = list(storage.rglob("installed_firmware.bin"))
    assert [image.read_bytes() for image in images] == [b"an image"]
    assert images[0].stat().st_mode & 0o077 == 0


def test_an_update_goes_on_after_a_kill(
    tmp_path: Path, central: Central, ftp: tuple[str, Path]
) -> None:
    url, folder = ftp
    storage = tmp_path / "storage"
    retry = {"retries": 5, "retryInterval": 3600}
    with charge_point(central, storage, "--plain") as unit:
        unit.next("status", connector=1, status="Available")
        asked = {"location": f"{url}/image.bin", "retrieveDate": NOW, **retry}
        central.ask("UpdateFirmware", asked)
        told(unit, "FirmwareStatusNotification", "DownloadFailed")
        os.kill(unit.process.pid, signal.SIGKILL)
        unit.process.wait(WAIT_S)
    (folder / "image.bin").write_bytes(b"an image")
    with charge_point(central, storage, "--plain") as unit:
        told(unit, "FirmwareStatusNotification", "Installed")


def test_a_new_private_key_stays_in_the_storage(tmp_path: Path, central: Central) -> None:
    # This one signs nothing: with its refusal the key would go.
    central.csms.faults.add(parse_fault(["CP-1", "SignCertificate", "answer", "drop"]))
    storage = tmp_path / "storage"
    with charge_point(central, storage, "--plain") as unit:
        unit.next("status", connector=1, status="Available")
        wanted = {"requestedMessage": "SignChargePointCertificate"}
        assert central.ask("ExtendedTriggerMessage", wanted) == {"status": "Accepted"}
        event = unit.next("message", direction="sent", type="call", action="SignCertificate")
        assert "BEGIN CERTIFICATE REQUEST" in event["payload"]["csr"]
        assert "PRIVATE KEY" not in unit.seen
    kept = (storage / "ocpp.json").read_text()
    assert "PRIVATE KEY" in kept
    assert (storage / "ocpp.json").stat().st_mode & 0o077 == 0


def test_a_root_that_a_used_storage_does_not_take_is_named(
    tmp_path: Path, central: Central
) -> None:
    begin = datetime.now(UTC) - timedelta(days=1)
    for name in ("old", "new"):
        (tmp_path / f"{name}.pem").write_bytes(Authority(begin, days=9, name=name).root.pem())

    def start(name: str) -> Iterator[RunningChargePoint]:
        options = ("--plain", "--ca-certificate", str(tmp_path / f"{name}.pem"))
        with charge_point(central, tmp_path / "s", *options) as unit:
            unit.next("status", connector=1, status="Available")
            yield unit

    for unit in start("old"):
        assert "not used" not in unit.seen
    for unit in start("old"):
        assert "not used" not in unit.seen, "it is the one that is installed"
    for unit in start("new"):
        assert "--ca-certificate is not used" in unit.seen


def test_a_profile_that_does_not_connect_is_taken_back(tmp_path: Path, central: Central) -> None:
    root = Authority(datetime.now(UTC) - timedelta(days=1), days=9).root
    trusted = tmp_path / "root.pem"
    trusted.write_bytes(root.pem())
    options = ("--plain", "--ca-certificate", str(trusted))
    with charge_point(central, tmp_path / "s", *options) as unit:
        unit.next("status", connector=1, status="Available")
        profile = {"key": ["SecurityProfile"]}
        before = central.ask("GetConfiguration", profile)["configurationKey"][0]["value"]
        assert before == "1"
        wanted = {"key": "SecurityProfile", "value": "2"}
        assert central.ask("ChangeConfiguration", wanted) == {"status": "Accepted"}
        unit.next("reconnect", reason="SecurityProfile")
        reasons = [unit.next("websocket", state="closed")["reason"] for _ in range(4)]
        assert ["wss://" in str(reason) for reason in reasons] == [False, True, True, True]
        unit.next("notice", what="connection settings taken back")
        unit.next("websocket", state="open")
        after = central.ask("GetConfiguration", profile)["configurationKey"][0]["value"]
        assert after == "1"
