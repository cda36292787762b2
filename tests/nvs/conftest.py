# SPDX-License-Identifier: GPL-3.0-or-later
"""The reader as the release and as the lab environment compile it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from nvs.reader import SANITIZED, Reader, compile_driver
from once import Once

from evtool.codegen.secrets import SecretsInput, render_secrets
from evtool.project import ChargePoint, Secret

COMPILED_IN = SecretsInput(
    charge_point=ChargePoint("LAB-1", "Example", "EV-CAN-1", "SN-0001", "LOCAL"),
    wifi_ssid="bench",
    wifi_passphrase=Secret("correct horse"),
    csms_url="wss://bench:9000/ocpp",
    authorization_key=Secret("41" * 20),
    security_profile=2,
    ca_certificate="",
)


@pytest.fixture(scope="session")
def secrets_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a secrets.h in it: for every environment, because it may lie there."""
    folder = tmp_path_factory.mktemp("include")
    (folder / "secrets.h").write_text(render_secrets(COMPILED_IN))
    return folder


@pytest.fixture(scope="session")
def release_program(session_gxx: str, secrets_folder: Path, once: Once) -> Path:
    """The driver as `esp32dev` compiles it."""

    def make(folder: Path) -> None:
        compile_driver(session_gxx, folder / "driver", f"-I{secrets_folder}", *SANITIZED)

    return once("nvs-release", make) / "driver"


@pytest.fixture(scope="session")
def lab_program(session_gxx: str, secrets_folder: Path, once: Once) -> Path:
    """The driver as `esp32dev_lab` compiles it."""

    def make(folder: Path) -> None:
        compile_driver(session_gxx, folder / "driver", f"-I{secrets_folder}", "-DEVTOOL_LAB=1")

    return once("nvs-lab", make) / "driver"


@pytest.fixture
def reader(release_program: Path) -> Iterator[Reader]:
    """A running reader of the release."""
    running = Reader(release_program)
    yield running
    running.close()


@pytest.fixture
def lab_reader(lab_program: Path) -> Iterator[Reader]:
    """A running reader of the lab."""
    running = Reader(lab_program)
    yield running
    running.close()
