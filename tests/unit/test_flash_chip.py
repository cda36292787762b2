# SPDX-License-Identifier: GPL-3.0-or-later
"""NOR flash: programming only clears bits, erasing sets whole sectors, nothing else changes."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evtool.virtual.flash_chip import SECTOR_SIZE, FlashChip

SIZE = 0x10000


def chip(fill: int = 0xFF) -> FlashChip:
    return FlashChip(memoryview(bytearray([fill]) * SIZE))


@given(
    offset=st.integers(0, SIZE - 1),
    first=st.binary(max_size=700),
    second=st.binary(max_size=700),
)
def test_programming_twice_leaves_the_bits_that_are_set_in_both(
    offset: int, first: bytes, second: bytes
) -> None:
    first, second = first[: SIZE - offset], second[: SIZE - offset]
    flash = chip()
    flash.program(offset, first)
    flash.program(offset, second)
    expected = bytearray(b"\xff" * SIZE)
    for data in (first, second):
        for index, byte in enumerate(data):
            expected[offset + index] &= byte
    assert flash.read(0, SIZE) == expected


@given(offset=st.integers(0, SIZE), length=st.integers(0, 3 * SECTOR_SIZE))
def test_erasing_clears_every_sector_that_is_touched_and_no_other(offset: int, length: int) -> None:
    length = min(length, SIZE - offset)
    flash = chip(0)
    flash.erase(offset, length)
    content = flash.read(0, SIZE)
    for sector in range(SIZE // SECTOR_SIZE):
        start = sector * SECTOR_SIZE
        is_touched = length > 0 and start < offset + length and offset < start + SECTOR_SIZE
        assert content[start : start + SECTOR_SIZE] == (
            (b"\xff" if is_touched else b"\0") * SECTOR_SIZE
        )


def test_the_end_of_the_chip_is_a_wall_for_writing_and_wraps_for_reading() -> None:
    flash = chip()
    match = r"do not fit|bits 0 to 7"
    with pytest.raises(ValueError, match=match):
        flash.program(SIZE - 1, b"ab")
    with pytest.raises(ValueError, match=match):
        flash.erase(SIZE - 1, 2)
    with pytest.raises(ValueError, match=match):
        flash.erase(-1, 1)
    with pytest.raises(ValueError, match=match):
        flash.flip(SIZE, 0)
    with pytest.raises(ValueError, match=match):
        flash.flip(0, 8)
    flash.program(0, b"start")
    assert flash.read(SIZE - 1, 6) == b"\xffstart"
    assert flash.read(0, SIZE) == b"start" + b"\xff" * (SIZE - 5)


@pytest.mark.parametrize("size", [0, 0x8000, 0x10001, 0x30000])
def test_a_chip_has_a_size_that_chips_have(size: int) -> None:
    with pytest.raises(ValueError, match="size of a flash chip"):
        FlashChip(memoryview(bytearray(size)))


def test_identification_names_the_capacity() -> None:
    assert FlashChip(memoryview(bytearray(4 << 20))).command(0x9F, 0, b"", 3) == b"\xef\x40\x16"
    assert chip().command(0x5A, 0, b"", 4) == b"SFDP"


def test_status_registers_keep_what_is_written_but_not_the_busy_and_enable_bits() -> None:
    flash = chip()
    flash.command(0x06, 0, b"", 0)
    assert flash.command(0x05, 0, b"", 1) == b"\x02"
    flash.command(0x01, 0, b"\xff\x42", 0)
    assert flash.command(0x05, 0, b"", 1) == b"\xfc"
    assert flash.command(0x35, 0, b"", 1) == b"\x42"
    assert flash.command(0x15, 0, b"", 1) == b"\x00"


def test_a_flipped_bit_changes_the_digest_of_its_region_only() -> None:
    flash = chip()
    before = flash.md5(0, 16)
    assert before == hashlib.md5(b"\xff" * 16, usedforsecurity=False).digest()
    flash.flip(16, 3)
    assert flash.md5(0, 16) == before
    assert flash.md5(0, 17) != hashlib.md5(b"\xff" * 17, usedforsecurity=False).digest()
    flash.flip(16, 3)
    assert flash.read(0, SIZE) == b"\xff" * SIZE
