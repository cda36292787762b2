# SPDX-License-Identifier: GPL-3.0-or-later
"""What espefuse says of a chip's fuses, on fuses of its own, and what it means."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest
from fuse_file import FuseFile
from hypothesis import given
from hypothesis import strategies as st

from evtool.link.chip_fuses import ChipFuses
from evtool.protocol.board_flash import FLASH_ENCRYPTION, SECURE_BOOT, SECURE_DOWNLOAD
from evtool.protocol.can_frame import Malformed
from evtool.protocol.chip_fuses import FuseState, parse_summary, secured

LATER = ["esp32s3", "esp32c3"]


# The emulation leaves its file open.
pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)


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


@given(st.text(max_size=200) | st.recursive(st.none() | st.integers(), st.lists).map(json.dumps))
def test_anything_else_is_refused(text: str) -> None:
    assert isinstance(parse_summary(text, "esp32"), Malformed)


def test_a_summary_without_what_matters_is_refused() -> None:
    mac = {"raw_value": "0x1", "value": "00:00:00:00:00:01 (OK)", "efuse_type": "bytes:6"}
    text = json.dumps({"MAC": mac | {"readable": True, "writeable": True}})
    found = parse_summary(text, "esp32c3")
    assert isinstance(found, Malformed)
    assert "SPI_BOOT_CRYPT_CNT" in found.reason
