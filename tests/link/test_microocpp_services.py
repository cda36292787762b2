# SPDX-License-Identifier: GPL-3.0-or-later
"""Reconnecting, firmware and diagnostics by the real MicroOcpp (see microocpp_rig)."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from microocpp_rig import IDENTITY, Files, Station, program_with_microocpp, station

PAST = "2026-01-01T00:00:00Z"


def image(size: int = 60_000) -> bytes:
    header = bytes([0xE9, 1, 2, 0]) + bytes(28)
    descriptor = (0xABCD5432).to_bytes(4, "little") + bytes(44) + b"evcharger".ljust(32, b"\0")
    head = header + descriptor
    return head + bytes(i * 7 % 251 for i in range(size - len(head)))


@pytest.fixture(scope="module")
def payload() -> bytes:
    return program_with_microocpp()


@pytest.fixture
def files() -> Iterator[Files]:
    files = Files({"/fw.bin": image()})
    yield files
    files.close()


def location(files: Files, content: bytes, path: str = "/fw.bin") -> str:
    return f"{files.url}{path}#sha256={hashlib.sha256(content).hexdigest()}"


def update(unit: Station, where: str, **more: object) -> None:
    assert unit.ask("UpdateFirmware", location=where, retrieveDate=PAST, **more) == {}


def _connector_0(unit: Station) -> list[str]:
    told = unit.sent("StatusNotification")
    return [str(each["status"]) for each in told if each["connectorId"] == 0]


def test_a_reconnect_brings_no_second_boot_notification(payload: bytes, tmp_path: Path) -> None:
    with station(payload, tmp_path) as unit:
        unit.drop()
        unit.until(lambda: unit.connects >= 2, "an attempt in vain")
        unit.online = True
        unit.until(lambda: unit.connects >= 3, "a connection")
        assert unit.ask("TriggerMessage", requestedMessage="Heartbeat") == {"status": "Accepted"}
        unit.until(lambda: unit.sent("Heartbeat"), "a message on the new connection")
        assert len(unit.sent("BootNotification")) == 1


def test_an_update_is_installed_by_a_restart_and_then_told(
    payload: bytes, tmp_path: Path, files: Files
) -> None:
    with station(payload, tmp_path) as unit:
        update(unit, location(files, image()))
        unit.until_ended()
        assert unit.statuses("FirmwareStatusNotification") == [
            "Downloading", "Downloaded", "Installing",
        ]  # fmt: skip
    with station(payload, tmp_path) as unit:
        unit.until(lambda: unit.sent("FirmwareStatusNotification"), "the outcome")
        assert unit.statuses("FirmwareStatusNotification") == ["Installed"]
        unit.until(lambda: "update state=kept" in unit.console, "the end of the trial")
        record = tmp_path / "firmware" / "slots"
        unit.until(lambda: record.read_text() == "1 -1 0 0\n", "that it was told to be kept")
    with station(payload, tmp_path) as unit:
        unit.run(3)
        assert not unit.sent("FirmwareStatusNotification"), "told once"


def test_a_trial_that_is_cut_short_is_told_as_failed(
    payload: bytes, tmp_path: Path, files: Files
) -> None:
    with station(payload, tmp_path) as unit:
        update(unit, location(files, image()))
        unit.until_ended()
    early = Station(payload, tmp_path, online=False)
    early.until(lambda: "update state=on_trial" in early.console, "the trial")
    early.stop()
    with station(payload, tmp_path) as unit:
        unit.until(lambda: unit.sent("FirmwareStatusNotification"), "the outcome")
        assert unit.statuses("FirmwareStatusNotification") == ["InstallationFailed"]


def test_a_power_cut_in_a_download_leaves_everything_as_it_was(
    payload: bytes, tmp_path: Path, files: Files
) -> None:
    with station(payload, tmp_path) as unit:
        update(unit, location(files, image()))
        slot = tmp_path / "firmware" / "slot1.bin"
        unit.until(lambda: slot.exists() and slot.stat().st_size > 0, "the first bytes")
        assert slot.stat().st_size < len(image())
    with station(payload, tmp_path) as unit:
        unit.run(3)
        assert not unit.sent("FirmwareStatusNotification")
        assert "update state" not in unit.console


def test_an_update_waits_for_the_charge_to_end(
    payload: bytes, tmp_path: Path, files: Files
) -> None:
    with station(payload, tmp_path) as unit:
        unit.charge()
        update(unit, location(files, image()))
        unit.until(lambda: unit.sent("FirmwareStatusNotification"), "the beginning")
        unit.run(6)
        assert not files.got, "nothing is written beside a module that is on"
        assert unit.ask("RemoteStopTransaction", transactionId=7) == {"status": "Accepted"}
        unit.until_ended()
        assert unit.statuses("FirmwareStatusNotification")[-1] == "Installing"
        assert len(unit.sent("StopTransaction")) == 1


@pytest.mark.parametrize("retries", [0, 1])
def test_a_failed_update_is_told_once_and_the_unit_is_available_again(
    payload: bytes, tmp_path: Path, files: Files, retries: int
) -> None:
    with station(payload, tmp_path) as unit:
        update(unit, location(files, b"another"), retries=retries)
        unit.until(
            lambda: "DownloadFailed" in unit.statuses("FirmwareStatusNotification"), "the failure"
        )
        unit.until(lambda: _connector_0(unit)[-2:] == ["Unavailable", "Available"], "connector 0")
        unit.run(3)
        assert unit.statuses("FirmwareStatusNotification") == ["Downloading", "DownloadFailed"]


def test_an_order_for_later_takes_the_place_of_one_that_begins(
    payload: bytes, tmp_path: Path, files: Files
) -> None:
    with station(payload, tmp_path) as unit:
        update(unit, location(files, image()))
        unit.until(lambda: unit.sent("FirmwareStatusNotification"), "the beginning")
        later = "2030-01-01T00:00:00Z"
        unit.ask("UpdateFirmware", location=location(files, image()), retrieveDate=later)
        unit.until(lambda: _connector_0(unit)[-2:] == ["Unavailable", "Available"], "connector 0")
        unit.run(4)
        assert not files.got
        assert unit.statuses("FirmwareStatusNotification") == ["Downloading"]


def test_the_second_attempt_may_succeed(payload: bytes, tmp_path: Path, files: Files) -> None:
    files.served.clear()
    with station(payload, tmp_path) as unit:
        update(unit, location(files, image()), retries=2, retryInterval=1)
        unit.until(
            lambda: "DownloadFailed" in unit.statuses("FirmwareStatusNotification"), "the failure"
        )
        files.served["/fw.bin"] = image()
        unit.until_ended()
        assert unit.statuses("FirmwareStatusNotification") == [
            "Downloading", "DownloadFailed", "Downloading", "Downloaded", "Installing",
        ]  # fmt: skip


def test_diagnostics_are_uploaded_without_a_secret(
    payload: bytes, tmp_path: Path, files: Files
) -> None:
    with station(payload, tmp_path) as unit:
        answer = unit.ask("GetDiagnostics", location=files.url + "/in", retries=0)
        assert answer == {"fileName": "diagnostics-CP-0001.txt"}
        unit.until(
            lambda: "Uploaded" in unit.statuses("DiagnosticsStatusNotification"), "the upload"
        )
    assert unit.statuses("DiagnosticsStatusNotification") == ["Uploading", "Uploaded"]
    [(path, body)] = files.put
    assert path == "/in/diagnostics-CP-0001.txt"
    for expected in (b"charge_point=CP-0001", b"[event] boot ", b"HeartbeatInterval=3600"):
        assert expected in body
    for secret in (IDENTITY["wifi_pass"].encode(), bytes.fromhex(IDENTITY["auth_key"])):
        for form in (secret, secret.hex().encode(), base64.b64encode(secret).rstrip(b"=")):
            assert form.lower() not in body.lower()


def test_an_upload_is_repeated_as_often_as_was_asked(
    payload: bytes, tmp_path: Path, files: Files
) -> None:
    files.refuse_puts = 2
    with station(payload, tmp_path) as unit:
        unit.ask("GetDiagnostics", location=files.url, retries=3, retryInterval=1)
        unit.until(
            lambda: "Uploaded" in unit.statuses("DiagnosticsStatusNotification"), "the upload"
        )
        assert unit.statuses("DiagnosticsStatusNotification") == ["Uploading", "Uploaded"]
    assert len(files.put) == 3


def test_an_upload_that_fails_is_told_once(payload: bytes, tmp_path: Path, files: Files) -> None:
    with station(payload, tmp_path) as unit:
        unit.ask("GetDiagnostics", location="ftp://127.0.0.1/", retries=1)
        unit.until(
            lambda: "UploadFailed" in unit.statuses("DiagnosticsStatusNotification"), "the failure"
        )
        unit.run(3)
        told = unit.statuses("DiagnosticsStatusNotification")
        # Uploading is told where it lasts long enough for the library to look.
        assert [status for status in told if status != "Uploading"] == ["UploadFailed"]
