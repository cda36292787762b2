# SPDX-License-Identifier: GPL-3.0-or-later
"""Fuses: burned once, protected for ever, hidden from software and not from the chip."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evtool.virtual.chips import CHIPS, ESP32, ESP32C3, ESP32S3, Chip
from evtool.virtual.chips.description import FuseCoding
from evtool.virtual.fuse_coding import (
    decode_reed_solomon,
    decode_three_quarters,
    encode_reed_solomon,
    encode_three_quarters,
)
from evtool.virtual.fuse_controller import FuseController
from evtool.virtual.fuses import Fuses, factory_bits, raw_sizes

MAC = bytes.fromhex("024556000001")
KEY = bytes(range(1, 33))
CONF_BURN, CONF_READ = 0x5A5A, 0x5AA5
chips = pytest.mark.parametrize("chip", CHIPS.values(), ids=CHIPS)
later_chips = pytest.mark.parametrize("chip", [ESP32S3, ESP32C3], ids=["esp32s3", "esp32c3"])


class Bench:
    """A chip's fuses and their controller, used as espefuse uses them."""

    def __init__(self, chip: Chip) -> None:
        self.saved: list[bytes] = []
        self.fuses = Fuses(chip, factory_bits(chip, MAC), self.saved.append)
        self.layout = chip.fuses
        self.controller = FuseController(self.fuses)

    def register(self, offset: int) -> int:
        return self.controller.read(self.layout.base + offset)

    def write(self, offset: int, value: int) -> bool:
        return self.controller.write(self.layout.base + offset, value)

    def block(self, number: int) -> bytes:
        block = self.layout.blocks[number]
        words = (self.register(block.read + 4 * index) for index in range(block.words))
        return b"".join(word.to_bytes(4, "little") for word in words)

    def burn(self, number: int, data: bytes, *, key: int = CONF_BURN) -> None:
        start = self.layout.blocks[number].write
        for index in range(0, len(data), 4):
            self.write(start + index, int.from_bytes(data[index : index + 4], "little"))
        self.write(self.layout.configuration, key)
        self.write(self.layout.command, 2 | number << 2)
        for index in range(0, len(data), 4):
            self.write(start + index, 0)

    def burn_bits(self, bits: int) -> None:
        size = 4 * self.layout.blocks[0].words
        self.burn(0, bits.to_bytes(size, "little"))
        self.refresh()

    def burn_key(self, number: int) -> None:
        coded = self.layout.coding is FuseCoding.REED_SOLOMON
        self.burn(number, encode_reed_solomon(KEY) if coded else KEY)
        self.refresh()

    def refresh(self) -> None:
        self.write(self.layout.configuration, CONF_READ)
        assert self.write(self.layout.command, 1)


def key_block(chip: Chip) -> int:
    return chip.security.first_key_block


@chips
def test_what_was_burned_is_read_after_the_read_command(chip: Chip) -> None:
    bench = Bench(chip)
    number = key_block(chip)
    coded = chip.fuses.coding is FuseCoding.REED_SOLOMON
    bench.burn(number, encode_reed_solomon(KEY) if coded else KEY)
    assert bench.block(number) == bytes(32)
    bench.refresh()
    assert bench.block(number) == KEY
    assert bench.saved
    assert Fuses(chip, bench.saved[-1]).key(number) == KEY


@chips
def test_nothing_burns_without_the_word_of_the_controller(chip: Chip) -> None:
    bench = Bench(chip)
    bench.burn(key_block(chip), KEY, key=CONF_READ)
    bench.refresh()
    assert bench.block(key_block(chip)) == bytes(32)
    assert not bench.saved


@chips
def test_a_read_protected_key_is_hidden_and_still_there(chip: Chip) -> None:
    bench = Bench(chip)
    number = key_block(chip)
    bench.burn_key(number)
    protect = chip.fuses.blocks[number].read_protect
    assert protect is not None
    bench.burn_bits(1 << (chip.fuses.rd_dis.start + protect))
    assert bench.block(number) == bytes(32)
    assert bench.fuses.key(number) == KEY


@chips
def test_a_write_protected_block_stays_as_it_is(chip: Chip) -> None:
    bench = Bench(chip)
    number = key_block(chip)
    bench.burn_key(number)
    protect = chip.fuses.blocks[number].write_protect
    assert protect is not None
    bench.burn_bits(1 << protect)
    before = bench.fuses.raw()
    bench.burn(number, b"\xff" * 32)
    bench.refresh()
    assert bench.fuses.raw() == before


@chips
def test_a_write_protected_field_stays_and_its_neighbours_do_not(chip: Chip) -> None:
    bench = Bench(chip)
    counter = chip.security.flash_encryption
    protect = next(bit for bit, mask in chip.fuses.protected_fields if mask & counter.mask)
    bench.burn_bits(1 << protect)
    bench.burn_bits(counter.mask | chip.security.secure_boot.mask)
    assert bench.fuses.field(counter) == 0
    assert bench.fuses.field(chip.security.secure_boot) == 1


@chips
@settings(deadline=None)
@given(data=st.data())
def test_no_burn_ever_clears_a_fuse(chip: Chip, data: st.DataObject) -> None:
    fuses = Fuses(chip, factory_bits(chip, MAC))
    sizes = raw_sizes(chip)
    for _ in range(4):
        before = int.from_bytes(fuses.raw(), "little")
        number = data.draw(st.integers(0, len(sizes) - 1))
        fuses.burn(number, data.draw(st.binary(max_size=sizes[number])))
        assert int.from_bytes(fuses.raw(), "little") & before == before


@later_chips
def test_a_second_burn_breaks_the_code_and_the_controller_tells(chip: Chip) -> None:
    bench = Bench(chip)
    bench.burn_key(4)
    bench.burn(4, encode_reed_solomon(KEY[::-1]))
    bench.refresh()
    near, _ = chip.fuses.block_errors or (0, 0)
    assert bench.register(near) >> (4 * 3 + chip.fuses.fail_shift) & 1
    bench.fuses.blank()
    bench.refresh()
    assert bench.register(near) == 0


@later_chips
def test_a_few_broken_fuses_are_mended_and_counted(chip: Chip) -> None:
    bench = Bench(chip)
    bench.burn_key(5)
    bench.burn(5, bytes([0x80, 0x40, 0x20]))
    bench.refresh()
    near, _ = chip.fuses.block_errors or (0, 0)
    assert bench.block(5) == KEY
    assert bench.register(near) >> 4 * 4 & 7 == 3


def test_the_three_quarters_code_of_the_esp32() -> None:
    bench = Bench(ESP32)
    coding = ESP32.security.coding_scheme
    assert coding is not None
    bench.burn_bits(1 << coding.start)
    bench.burn(1, encode_three_quarters(KEY[:24]))
    bench.refresh()
    assert bench.block(1) == KEY[:24] + bytes(8)
    assert bench.fuses.key(1) == KEY[:24]
    assert bench.register(ESP32.fuses.decode_status or 0) == 0
    bench.burn(1, b"\xff" * 8)
    bench.refresh()
    assert bench.register(ESP32.fuses.decode_status or 0) == 1


@chips
def test_a_blank_chip_has_lost_everything_but_its_revision(chip: Chip) -> None:
    bench = Bench(chip)
    bench.burn_key(key_block(chip))
    bench.fuses.blank()
    assert bench.fuses.raw() == factory_bits(chip, None)
    assert bench.saved[-1] == bench.fuses.raw()


def test_fuses_of_another_chip_are_refused() -> None:
    with pytest.raises(ValueError, match="are not the fuses of an ESP32-C3"):
        Fuses(ESP32C3, factory_bits(ESP32, MAC))


@settings(deadline=None)
@given(st.binary(min_size=24, max_size=24))
def test_the_three_quarters_code_reads_back(data: bytes) -> None:
    decoded = decode_three_quarters(encode_three_quarters(data))
    assert (decoded.data, decoded.errors, decoded.failed) == (data, 0, False)


@settings(deadline=None)
@given(
    data=st.binary(min_size=32, max_size=32),
    broken=st.sets(st.integers(0, 43), max_size=6),
)
def test_reed_solomon_mends_six_bytes(data: bytes, broken: set[int]) -> None:
    raw = bytearray(encode_reed_solomon(data))
    for index in broken:
        raw[index] ^= 0x55
    decoded = decode_reed_solomon(bytes(raw))
    assert (decoded.data, decoded.errors, decoded.failed) == (data, len(broken), False)
