# SPDX-License-Identifier: GPL-3.0-or-later
"""What espefuse says of a chip's fuses, on fuses of its own, and what it means."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from fuse_file import FuseFile
from hypothesis import given
from hypothesis import strategies as st

from evtool.link.chip_fuses import ChipFuses
from evtool.protocol.board_flash import (
    FLASH_ENCRYPTION,
    SECURE_BOOT,
    SECURE_DOWNLOAD,
    SECURITY,
)
from evtool.protocol.can_frame import Malformed
from evtool.protocol.chip_fuses import FuseState, parse_secured, secured

LATER = ["esp32s3", "esp32c3"]


# The emulation leaves its file open.
pytestmark = [
    pytest.mark.filterwarnings(
        "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
    ),
    pytest.mark.usefixtures("libyaml"),
]


def state(chip: str, folder: Path, *burns: tuple[str, int]) -> FuseState:
    fuses = FuseFile(chip, folder / "fuses.bin", lambda _line: None)
    for name, value in burns:
        fuses(partial(ChipFuses.burn_field, name=name, value=value))
    return fuses(ChipFuses.read)


@pytest.mark.parametrize("chip", ["esp32", *LATER])
def test_a_new_chip_has_nothing_switched_on(tmp_path: Path, chip: str) -> None:
    assert secured(state(chip, tmp_path)) == ()


@pytest.mark.parametrize(
    ("chip", "burn", "means"),
    [
        ("esp32", ("FLASH_CRYPT_CNT", 1), (FLASH_ENCRYPTION,)),
        ("esp32", ("FLASH_CRYPT_CNT", 3), ()),
        ("esp32", ("ABS_DONE_0", 1), (SECURE_BOOT,)),
        *((chip, ("SPI_BOOT_CRYPT_CNT", 7), (FLASH_ENCRYPTION,)) for chip in LATER),
        *((chip, ("SECURE_BOOT_EN", 1), (SECURE_BOOT,)) for chip in LATER),
        *((chip, ("ENABLE_SECURITY_DOWNLOAD", 1), (SECURE_DOWNLOAD,)) for chip in LATER),
    ],
)
def test_what_is_burned_means_what_it_means(
    tmp_path: Path, chip: str, burn: tuple[str, int], means: tuple[str, ...]
) -> None:
    assert secured(state(chip, tmp_path, burn)) == means


def test_blocks_are_given_as_they_stand_in_the_chip(tmp_path: Path) -> None:
    fuses = FuseFile("esp32s3", tmp_path / "fuses.bin", lambda _line: None)
    burn = ChipFuses.burn_digest
    fuses(partial(burn, block="BLOCK_KEY0", digest=bytes(range(32)), purpose="USER"))
    assert state("esp32s3", tmp_path)["BLOCK_KEY0"].data == bytes(range(32))
    assert "x04\\x05" not in repr(state("esp32s3", tmp_path))


def summary(chip: str, folder: Path) -> str:
    """What `espefuse summary` writes, as a program."""
    target = folder / "summary.json"
    subprocess.run(
        [
            *(sys.executable, "-m", "espefuse", "--chip", chip, "--virt", "--path-efuse-file"),
            *(str(folder / "fuses.bin"), "summary", "--format", "json", "--file", str(target)),
        ],
        capture_output=True,
        timeout=120,
        check=True,
    )
    return target.read_text()


@pytest.mark.parametrize(
    ("chip", "burns", "means"),
    [
        ("esp32", {"FLASH_CRYPT_CNT": 1}, (FLASH_ENCRYPTION,)),
        ("esp32s3", {"SPI_BOOT_CRYPT_CNT": 7, "SECURE_BOOT_EN": 1}, SECURITY[:2]),
        ("esp32c3", {"SPI_BOOT_CRYPT_CNT": 3, "ENABLE_SECURITY_DOWNLOAD": 1}, (SECURE_DOWNLOAD,)),
    ],
)
def test_the_program_says_the_same(
    tmp_path: Path, chip: str, burns: dict[str, int], means: tuple[str, ...]
) -> None:
    assert secured(state(chip, tmp_path, *burns.items())) == means
    text = summary(chip, tmp_path)
    assert parse_secured(text, chip) == means
    # Before 5.6 it gave the words alone.
    older = {
        name: {key: value for key, value in each.items() if key != "raw_value"}
        for name, each in json.loads(text).items()
    }
    assert parse_secured(json.dumps(older), chip) == means


@given(st.text(max_size=200) | st.recursive(st.none() | st.integers(), st.lists).map(json.dumps))
def test_anything_else_is_refused(text: str) -> None:
    assert isinstance(parse_secured(text, "esp32"), Malformed)


def test_a_summary_without_what_matters_is_refused() -> None:
    found = parse_secured(json.dumps({"MAC": {"value": "00:00:00:00:00:01 (OK)"}}), "esp32c3")
    assert isinstance(found, Malformed)
    assert "SPI_BOOT_CRYPT_CNT" in found.reason
    assert isinstance(parse_secured("{}", "esp32c6"), Malformed)
