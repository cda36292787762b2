# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of PlatformIO's results for the ESP32."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from evtool.build.artifacts import collect
from evtool.build.plan import BuildPlan
from evtool.protocol import app_image, partition_table
from evtool.protocol.app_image import AppDescription, AppImage, Segment
from evtool.protocol.host_image import virtual_bootloader
from evtool.resources import firmware_dir

EMPTY_ELF = b"\x7fELF\x01\x01\x01".ljust(18, b"\0") + (94).to_bytes(2, "little") + bytes(32)


@pytest.fixture
def plan(tmp_path: Path) -> BuildPlan:
    """A plan whose work is done."""
    description = app_image.encode_description(AppDescription("0.1.0", "evcharger"))
    app = AppImage(0x40080000, (Segment(0x3F400020, description),))
    table = partition_table.parse((firmware_dir() / "partitions.csv").read_text())
    (tmp_path / "firmware.bin").write_bytes(app_image.encode(app))
    (tmp_path / "bootloader.bin").write_bytes(app_image.encode(virtual_bootloader()))
    (tmp_path / "partitions.bin").write_bytes(partition_table.encode(table))
    return BuildPlan(
        environment="esp32dev",
        version="0.1.0",
        build_id="1a2b3c4d",
        argv=(),
        firmware=tmp_path,
        variables={},
        packages={},
        work_folder=tmp_path,
        output=tmp_path / "out",
        lock=tmp_path / "lock",
        unfinished=tmp_path / "unfinished",
        log=tmp_path / "log",
        steps=tmp_path / "steps",
        timeout_s=1.0,
    )


def named_elf(plan: BuildPlan) -> bytes:
    """The hash in the application's description."""
    data = next(artifact.data for artifact in collect(plan) if artifact.name == "firmware.bin")
    image = app_image.decode(data)
    assert isinstance(image, AppImage)
    description = app_image.decode_description(image)
    assert description is not None
    return description.elf_sha256


def test_the_application_names_its_elf_file(plan: BuildPlan) -> None:
    """So that a panic's addresses are decoded with that file and with no other."""
    (plan.work_folder / "firmware.elf").write_bytes(EMPTY_ELF)
    assert named_elf(plan) == hashlib.sha256(EMPTY_ELF).digest()


def test_without_an_elf_file_it_stays_as_it_is(plan: BuildPlan) -> None:
    assert named_elf(plan) == bytes(32)
