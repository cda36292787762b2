# SPDX-License-Identifier: GPL-3.0-or-later
"""The ROM's loader and the flasher stub, byte by byte."""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evtool.protocol.can_frame import Malformed
from evtool.protocol.esp_loader import (
    SYNC_DATA,
    SYNC_WORD,
    Op,
    Request,
    block_checksum,
    decode_request,
    is_sync,
)
from evtool.virtual.chips import ESP32, ESP32S3, Chip
from evtool.virtual.flash_chip import FlashChip
from evtool.virtual.fuses import Fuses, factory_bits, mac_crc8
from evtool.virtual.loaders.loader import Next, Reply
from evtool.virtual.loaders.rom import RomLoader
from evtool.virtual.loaders.stub import StubLoader
from evtool.virtual.soc import Soc
from evtool.virtual.spi_bus import SpiBus

MAC = bytes.fromhex("024556000001")
SIZE = 4 << 20


class Bench:
    """A chip and one of its loaders."""

    def __init__(
        self, kind: type[RomLoader] | type[StubLoader], size: int = SIZE, chip: Chip = ESP32
    ) -> None:
        self.flash = FlashChip(memoryview(bytearray(b"\xff" * size)))
        self.soc = Soc(Fuses(chip, factory_bits(chip, MAC)), SpiBus(self.flash))
        self.registers = self.soc.registers
        self.loader: RomLoader | StubLoader = kind(self.soc)
        self.status_length = 4 if kind is RomLoader else 2

    def ask(self, op: int, data: bytes = b"", checksum: int = 0) -> Reply:
        return self.loader.handle(Request(op, data, checksum))

    def status(self, reply: Reply) -> bytes:
        return reply.frames[0][8:][-self.status_length :][:2]

    def words(self, op: int, *words: int) -> bytes:
        return self.status(self.ask(op, struct.pack(f"<{len(words)}I", *words)))

    def block(self, op: int, seq: int, data: bytes, *, spoil: int = 0) -> bytes:
        header = struct.pack("<IIII", len(data), seq, 0, 0)
        return self.status(self.ask(op, header + data, block_checksum(data) ^ spoil))

    def read_register(self, address: int) -> int:
        frame = self.ask(Op.READ_REG, struct.pack("<I", address)).frames[0]
        return int.from_bytes(frame[4:8], "little")

    def write_register(self, address: int, value: int) -> None:
        self.ask(Op.WRITE_REG, struct.pack("<IIII", address, value, 0xFFFFFFFF, 0))

    def flash_id(self, spi: int = 0x3FF42000) -> int:
        self.write_register(spi + 0x2C, 23)
        self.write_register(spi + 0x1C, 1 << 31 | 1 << 28)
        self.write_register(spi + 0x24, 7 << 28 | 0x9F)
        self.write_register(spi + 0x80, 0)
        self.write_register(spi, 1 << 18)
        assert self.read_register(spi) & 1 << 18 == 0
        return self.read_register(spi + 0x80)


def rom(*, attached: bool = True) -> Bench:
    bench = Bench(RomLoader)
    if attached:
        bench.words(Op.SPI_ATTACH, 0, 0)
        bench.words(Op.SPI_SET_PARAMS, 0, SIZE, 0x10000, 0x1000, 0x100, 0xFFFF)
    return bench


def stub() -> Bench:
    return Bench(StubLoader)


@pytest.mark.parametrize("kind", [RomLoader, StubLoader])
@settings(deadline=None)
@given(op=st.integers(0, 255), data=st.binary(max_size=80), checksum=st.integers(0, 2**32 - 1))
def test_no_request_raises(
    kind: type[RomLoader] | type[StubLoader], op: int, data: bytes, checksum: int
) -> None:
    bench = Bench(kind, size=0x10000)
    bench.ask(op, data, checksum)
    bench.loader.handle_raw(data)


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_any_frame_is_a_request_or_malformed(frame: bytes) -> None:
    assert isinstance(decode_request(frame), Request | Malformed)


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_the_folded_checksum_is_the_exclusive_or_of_all_bytes(data: bytes) -> None:
    expected = 0xEF
    for byte in data:
        expected ^= byte
    assert block_checksum(data) == expected


def test_sync_is_told_from_everything_else() -> None:
    frame = struct.pack("<BBHI", 0, 8, 36, 0) + SYNC_DATA
    assert is_sync(frame)
    assert not is_sync(frame[:-1])
    assert not is_sync(frame[:-1] + b"V")
    assert not is_sync(b"\x01" + frame[1:])


def test_sync_is_answered_eight_times_and_tells_the_rom_from_the_stub() -> None:
    for bench, value in ((rom(), SYNC_WORD), (stub(), 0)):
        frames = bench.ask(Op.SYNC, SYNC_DATA).frames
        assert len(frames) == 8
        assert {int.from_bytes(frame[4:8], "little") for frame in frames} == {value}
        assert {len(frame) for frame in frames} == {8 + bench.status_length}


def test_unknown_commands_fail_as_on_the_chip() -> None:
    frames = rom().ask(0x14).frames
    assert len(frames) == 8
    assert all(frame[1] != 0x14 and frame[8:10] == b"\x01\x05" for frame in frames)
    assert stub().ask(0x77).frames[0][1:2] + stub().ask(0x77).frames[0][8:] == b"\x77\x01\xff"


@pytest.mark.parametrize("op", [Op.ERASE_FLASH, Op.ERASE_REGION, Op.READ_FLASH])
def test_the_rom_has_none_of_the_stubs_commands(op: Op) -> None:
    bench = rom()
    bench.flash.program(0, b"kept")
    assert len(bench.ask(op, bytes(16)).frames) == 8
    assert bench.flash.read(0, 4) == b"kept"


def test_the_fuses_hold_the_mac_with_its_crc_and_revision_3() -> None:
    bench = rom()
    low, high = bench.read_register(0x3FF5A004), bench.read_register(0x3FF5A008)
    assert struct.pack(">HI", high & 0xFFFF, low) == MAC
    assert high >> 16 == mac_crc8(MAC)
    # The check value of CRC-8/MAXIM-DOW.
    assert mac_crc8(b"123456789") == 0xA1
    assert bench.read_register(0x40001000) == 0x00F01D83


def test_an_esp32s_peripherals_are_at_the_ahbs_addresses_too() -> None:
    bench = rom()
    assert bench.flash_id(0x60002000) == bench.flash_id() == 0x1640EF
    assert bench.read_register(0x6001A004) == bench.read_register(0x3FF5A004) != 0
    assert bench.read_register(0x60000078) == 0x15122500
    other = Bench(RomLoader, chip=ESP32S3)
    other.write_register(0x60000078, 1)
    assert other.read_register(0x3FF40078) == 0


def test_flash_is_invisible_to_the_rom_until_it_is_attached() -> None:
    bench = rom(attached=False)
    assert bench.flash_id() == 0xFFFFFF
    assert bench.words(Op.SPI_FLASH_MD5, 0, 16)[0] == 1
    bench.words(Op.SPI_ATTACH, 0, 0)
    assert bench.flash_id() == 0x1640EF
    assert stub().flash_id() == 0x1640EF


def test_the_rom_believes_in_two_megabytes_until_it_is_told() -> None:
    bench = rom(attached=False)
    bench.words(Op.SPI_ATTACH, 0, 0)
    assert bench.words(Op.FLASH_BEGIN, 0x1000, 4, 0x400, 2 << 20) == b"\x01\x06"
    bench.words(Op.SPI_SET_PARAMS, 0, SIZE, 0x10000, 0x1000, 0x100, 0xFFFF)
    assert bench.words(Op.FLASH_BEGIN, 0x1000, 4, 0x400, 2 << 20) == b"\x00\x00"


@settings(deadline=None)
@given(data=st.binary(min_size=1, max_size=9000), offset=st.sampled_from([0x1000, 0x1010, 0x2FFC]))
def test_the_stub_writes_what_it_is_sent_and_erases_only_the_sectors_it_needs(
    data: bytes, offset: int
) -> None:
    bench = stub()
    bench.flash.program(0, b"\0" * 0x8000)
    bench.words(Op.FLASH_BEGIN, len(data), 1, 0x4000, offset, 0)
    assert bench.block(Op.FLASH_DATA, 0, data.ljust(0x4000, b"\xff")) == b"\0\0"
    assert bench.words(Op.FLASH_END, 1) == b"\0\0"
    start, end = offset & ~0xFFF, (offset + len(data) + 0xFFF) & ~0xFFF
    expected = bytearray(b"\0" * 0x8000)
    expected[start:end] = b"\xff" * (end - start)
    expected[offset : offset + len(data)] = data
    assert bench.flash.read(0, 0x8000) == expected


@pytest.mark.parametrize("make", [rom, stub])
@settings(deadline=None)
@given(data=st.binary(min_size=1, max_size=20_000), block=st.sampled_from([0x40, 0x400, 0x4000]))
def test_compressed_blocks_of_any_size_arrive(
    make: Callable[[], Bench], data: bytes, block: int
) -> None:
    bench = make()
    bench.flash.program(0x1000, b"\0" * 0x6000)
    packed = zlib.compress(data)
    bench.words(Op.FLASH_DEFL_BEGIN, len(data), 0, block, 0x1000)
    for seq, start in enumerate(range(0, len(packed), block)):
        piece = packed[start : start + block]
        assert bench.block(Op.FLASH_DEFL_DATA, seq, piece) == b"\0\0"
        # The host did not hear the answer and sends it again: it counts once.
        assert bench.block(Op.FLASH_DEFL_DATA, seq, piece) == b"\0\0"
    assert bench.flash.read(0x1000, len(data)) == data


def test_a_spoilt_or_missing_block_is_refused_and_can_be_sent_again() -> None:
    for bench, wrong, missing in (
        (rom(), b"\x01\x07", b"\x01\x06"),
        (stub(), b"\x01\xc1", b"\x01\xc0"),
    ):
        assert bench.block(Op.FLASH_DATA, 0, b"x" * 16)[0] == 1  # nothing was begun
        bench.words(Op.FLASH_BEGIN, 0x800, 2, 0x400, 0)
        assert bench.block(Op.FLASH_DATA, 0, b"a" * 0x400, spoil=1) == wrong
        assert bench.block(Op.FLASH_DATA, 1, b"b" * 0x400) == missing
        assert bench.block(Op.FLASH_DATA, 0, b"a" * 0x400) == b"\0\0"
        assert bench.block(Op.FLASH_DATA, 1, b"b" * 0x400) == b"\0\0"
        assert bench.flash.read(0, 0x800) == b"a" * 0x400 + b"b" * 0x400


def test_the_stub_tells_of_a_broken_stream_on_the_next_command() -> None:
    bench = stub()
    bench.words(Op.FLASH_DEFL_BEGIN, 100, 1, 0x4000, 0)
    assert bench.block(Op.FLASH_DEFL_DATA, 0, b"not zlib") == b"\0\0"
    assert bench.words(Op.FLASH_DEFL_END, 1) == b"\x01\xc7"


def test_the_stub_misses_data_that_was_announced_and_refuses_more_than_that() -> None:
    bench = stub()
    bench.words(Op.FLASH_DEFL_BEGIN, 100, 1, 0x4000, 0)
    assert bench.words(Op.FLASH_DEFL_END, 1) == b"\x01\xc8"
    bench.words(Op.FLASH_DEFL_BEGIN, 10, 1, 0x4000, 0)
    bench.block(Op.FLASH_DEFL_DATA, 0, zlib.compress(b"x" * 11))
    assert bench.words(Op.FLASH_DEFL_END, 1) == b"\x01\xc9"


def test_md5_is_hex_from_the_rom_and_binary_from_the_stub() -> None:
    for bench in (rom(), stub()):
        bench.flash.program(0x100, b"content")
        digest = hashlib.md5(b"content", usedforsecurity=False)
        expected = digest.digest() if bench.status_length == 2 else digest.hexdigest().encode()
        frame = bench.ask(Op.SPI_FLASH_MD5, struct.pack("<IIII", 0x100, 7, 0, 0)).frames[0]
        assert frame[8 : -bench.status_length] == expected


def test_slow_reads_always_give_64_bytes() -> None:
    bench = rom()
    bench.flash.program(0x40, b"abc")
    frame = bench.ask(Op.READ_FLASH_SLOW, struct.pack("<II", 0x40, 3)).frames[0]
    assert frame[8:-4] == b"abc".ljust(64, b"\xff")
    assert bench.words(Op.READ_FLASH_SLOW, 0, 65) == b"\x01\x0a"


@settings(deadline=None)
@given(length=st.integers(1, 5000), packet=st.integers(1, 600), window=st.integers(1, 70))
def test_a_stream_never_has_more_than_its_window_unacknowledged_and_ends_with_the_md5(
    length: int, packet: int, window: int
) -> None:
    bench = stub()
    content = bytes(index * 7 % 251 for index in range(length))
    bench.flash.program(0, content)
    reply = bench.ask(Op.READ_FLASH, struct.pack("<IIII", 0, length, packet, window))
    waiting = list(reply.frames[1:])
    received, digest = b"", None
    while digest is None:
        assert 0 < len(waiting) <= min(window, 64)
        received += waiting.pop(0)
        more = bench.loader.handle_raw(struct.pack("<I", len(received)))
        assert more is not None
        waiting += more.frames
        if len(received) == length:
            (digest,) = waiting
    assert received == content
    assert digest == hashlib.md5(content, usedforsecurity=False).digest()
    assert bench.loader.handle_raw(b"\0\0\0\0") is None


def test_a_new_command_ends_a_stream_that_the_host_abandoned() -> None:
    bench = stub()
    bench.ask(Op.READ_FLASH, struct.pack("<IIII", 0, 0x10000, 0x1000, 1))
    frame = struct.pack("<BBHI", 0, Op.SYNC, 36, 0) + SYNC_DATA
    assert bench.loader.handle_raw(frame) is None
    assert bench.loader.handle_raw(b"\0\0\0\0") is None


def test_erase_commands_of_the_stub() -> None:
    bench = stub()
    bench.flash.program(0, b"\0" * 0x3000)
    assert bench.words(Op.ERASE_REGION, 0x1000, 0x1000) == b"\0\0"
    assert bench.flash.read(0, 0x3000) == b"\0" * 0x1000 + b"\xff" * 0x1000 + b"\0" * 0x1000
    assert bench.words(Op.ERASE_REGION, SIZE - 0x1000, 0x2000)[0] == 1
    assert bench.status(bench.ask(Op.ERASE_FLASH)) == b"\0\0"
    assert bench.flash.read(0, SIZE) == b"\xff" * SIZE


@pytest.mark.parametrize(
    ("text", "then"), [(b"..OHAI..", Next.STUB), (b"any code", Next.UNKNOWN_CODE)]
)
def test_code_in_ram_is_a_stub_if_it_holds_the_greeting(text: bytes, then: Next) -> None:
    bench = rom()
    for address, data in ((0x40090000, b"code" * 4), (0x3FFB0000, text)):
        bench.words(Op.MEM_BEGIN, len(data), 1, 0x1800, address)
        assert bench.block(Op.MEM_DATA, 0, data) == b"\0\0"
    assert bench.ask(Op.MEM_END, struct.pack("<II", 1, 0)).then is Next.STAY
    assert bench.ask(Op.MEM_END, struct.pack("<II", 0, 0x40090004)).then is then
    # A jump to where nothing was loaded is not a stub's start, whatever else is in memory.
    assert bench.ask(Op.MEM_END, struct.pack("<II", 0, 0x40000000)).then is Next.UNKNOWN_CODE


def test_what_runs_after_flash_end() -> None:
    assert rom().ask(Op.FLASH_END, b"\0\0\0\0").then is Next.BOOT
    for argument, then in ((0, Next.ROM), (1, Next.STAY)):
        bench = stub()
        bench.words(Op.FLASH_BEGIN, 0, 0, 0x4000, 0)
        assert bench.ask(Op.FLASH_END, struct.pack("<I", argument)).then is then
