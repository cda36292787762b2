# SPDX-License-Identifier: GPL-3.0-or-later
"""The board as a machine: what it boots, what it says when it cannot, what resets it."""

from __future__ import annotations

import itertools
import struct
import zlib

import pytest
from board_images import (
    APP0,
    APP1,
    BOOTLOADER,
    EVCFG,
    NVS,
    NVS_SIZE,
    OTADATA,
    SCRIPT,
    STORAGE,
    application,
    flash_image,
    identity,
    parts,
)
from hypothesis import given
from hypothesis import strategies as st
from machine_bench import MAC, SYNC, Bench

from evtool.protocol import slip
from evtool.protocol.nvs import parse_image
from evtool.protocol.partition_table import TABLE_OFFSET
from evtool.virtual.board import BOOT_MS, Board, Mode
from evtool.virtual.chips import CHIPS, ESP32, Chip
from evtool.virtual.effects import StopApp


def bench(**changes: bytes) -> Bench:
    """A board with a whole flash; changes by offset in hex (`x9000=...`)."""
    contents = parts() | {int(name[1:], 16): data for name, data in changes.items()}
    return Bench(flash_image(contents))


def ota_entry(sequence: int, state: int = 0xFFFFFFFF, *, spoil: int = 0) -> bytes:
    word = struct.pack("<I", sequence)
    crc = zlib.crc32(word, 0xFFFFFFFF) ^ spoil
    return word + b"\xff" * 20 + struct.pack("<II", state, crc)


def test_a_whole_flash_boots_and_tells_the_application_who_it_is() -> None:
    board = bench().start()
    (app,) = board.apps()
    assert app.payload == SCRIPT
    assert "nvs evcfg cp_id str " + b"CP-0001".hex() in app.lines
    assert "nvs evcfg schema u8 01" in app.lines
    assert app.lines[-1] == "boot reset=power_on"
    assert board.board.mode is Mode.APP
    lines = board.console().split("\r\n")
    assert lines[2] == "rst:0x1 (POWERON_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)"
    assert any("boot:  2 app0             OTA app          00 10 00010000" in x for x in lines)
    assert any(x.endswith("Loaded app from partition at offset 0x10000") for x in lines)
    assert board.reports("app") == [
        {"reset": "power_on", "partition": "app0", "project": "test", "version": "1.2.3"}
    ]


def test_the_applications_first_lines_are_not_in_a_repr() -> None:
    (app,) = bench().start().apps()
    assert b"0123456789abcdef".hex() in "".join(app.lines)
    assert b"0123456789abcdef".hex() not in repr(app)


def test_an_empty_chip_says_so_for_ever_but_ever_more_slowly() -> None:
    board = Bench(bytearray(b"\xff" * 0x100000)).start()
    assert "invalid header: 0xffffffff" in board.console()
    assert board.apps() == []
    for _ in range(600):
        board.wait(100)
    restarts = board.console().count("rst:0x10 (RTCWDT_RTC_RESET)")
    assert 5 < restarts < 15
    assert board.reports("boot_failed") == [{"reason": "no boot loader at 0x1000"}]


@pytest.mark.parametrize("chip", CHIPS.values(), ids=CHIPS)
def test_a_rom_without_a_boot_loader_complains_until_its_watchdog_bites(chip: Chip) -> None:
    board = Bench(bytearray(b"\xff" * 0x100000), chip).start()
    for _ in range(40):
        board.effects.clear()
        started_ms = board.now_ms
        while (deadline_ms := board.board.deadline_ms) is not None:
            board.wait(deadline_ms - board.now_ms)
            if "rst:" in board.console():
                break
            assert board.mode() is Mode.HALTED
            assert board.console().endswith("invalid header: 0xffffffff\r\n")
            assert board.now_ms - started_ms <= 250
            started_ms = board.now_ms
        watchdog = "0x10 (RTCWDT_RTC_RESET)" if chip is ESP32 else "0x7 (TG0WDT_SYS_RST)"
        assert f"rst:{watchdog}," in board.console()
        board.wait(BOOT_MS)


def test_a_boot_loader_that_finds_nothing_to_start_says_so_once_for_each_start() -> None:
    board = bench()
    board.board.flash.erase(APP0, 0x1000)
    board.start()
    before = board.console()
    for _ in range(4):
        board.wait(100)
    assert board.mode() is Mode.HALTED
    assert board.console() == before


@pytest.mark.parametrize(
    ("offset", "bit", "says"),
    [
        (BOOTLOADER, 0, "invalid header: 0x"),
        (BOOTLOADER + 33, 4, "Checksum failed. Calculated"),
        (TABLE_OFFSET, 0, "flash_parts: partition 0 invalid magic number"),
        (TABLE_OFFSET + 8, 2, "flash_parts: calculated md5: "),
        (APP0, 7, "esp_image: image at 0x10000 has invalid magic byte"),
        (APP0 + 1, 6, "esp_image: "),
        (APP0 + 12, 0, "esp_image: mismatch chip ID, expected 0, found 1"),
        (APP0 + 400, 0, "esp_image: Checksum failed. Calculated"),
        (APP0 + 5, 3, "esp_image: Image hash failed - image is corrupt"),
    ],
)
def test_one_flipped_bit_and_no_firmware(offset: int, bit: int, says: str) -> None:
    board = bench()
    board.board.flash.flip(offset, bit)
    board.start()
    assert says in board.console()
    assert board.apps() == []
    assert board.board.mode is Mode.HALTED
    assert len(board.reports("boot_failed")) == 1
    # The bit flips back and the board is well again, without a hand on it.
    board.board.flash.flip(offset, bit)
    for _ in range(20):
        board.wait(100)
    assert len(board.apps()) == 1


@given(position=st.integers(0, 10_000_000), bit=st.integers(0, 7))
def test_no_single_bit_of_an_application_can_flip_unnoticed(position: int, bit: int) -> None:
    length = len(application())
    board = bench()
    board.board.flash.flip(APP0 + position % length, bit)
    board.start()
    started = board.apps()
    # The byte that says whether a hash follows is the one that switches the hash off; what
    # then still starts is the same program.
    assert not started or (position % length == 23 and started[0].payload == SCRIPT)
    assert started or "No bootable app partitions in the partition table" in board.console()


def test_the_other_slot_is_the_fallback() -> None:
    board = bench(x80000=application(version="9.9.9"))
    board.board.flash.flip(APP0 + 400, 0)
    board.start()
    assert "OTA app partition slot 0 is not bootable" in board.console()
    assert board.reports("app")[0]["version"] == "9.9.9"


@pytest.mark.parametrize(
    ("first", "second", "slot"),
    [
        (b"", b"", "app0"),
        (ota_entry(1), b"", "app0"),
        (ota_entry(1), ota_entry(2), "app1"),
        (ota_entry(3), ota_entry(2), "app0"),
        (ota_entry(1), ota_entry(2, spoil=1), "app0"),
        (ota_entry(1), ota_entry(2, state=4), "app0"),
        (ota_entry(1), ota_entry(2, state=2), "app1"),
    ],
)
def test_otadata_chooses_the_slot(first: bytes, second: bytes, slot: str) -> None:
    data = first.ljust(0x1000, b"\xff") + second
    board = Bench(flash_image(parts() | {OTADATA: data, APP1: application()})).start()
    assert board.reports("app")[0]["partition"] == slot


def test_an_application_for_the_chip_is_named_as_such() -> None:
    board = bench(x10000=parts()[BOOTLOADER]).start()
    assert "evtool build --env host" in board.console()
    assert board.apps() == []
    assert board.board.deadline_ms is None


@given(cuts=st.lists(st.integers(0, 200), max_size=12))
def test_a_sync_frame_in_any_chunking_resets_into_the_loader(cuts: list[int]) -> None:
    board = bench().start()
    board.effects.clear()
    wire = b"1" + SYNC + SYNC
    edges = sorted({0, len(wire), *(cut % len(wire) for cut in cuts)})
    for start, end in itertools.pairwise(edges):
        board.serial(wire[start:end])
    assert board.board.mode is Mode.ROM
    assert board.typed() == b"1"
    assert any(isinstance(each, StopApp) for each in board.effects)
    assert len(slip.Decoder().feed(board.sent())) == 16


@given(st.lists(st.one_of(st.binary(max_size=90), st.just(b"\xc0"), st.just(SYNC[:-3]))))
def test_everything_but_a_sync_reaches_the_application(chunks: list[bytes]) -> None:
    board = bench().start()
    for chunk in chunks:
        board.serial(chunk)
    # What may still become a SYNC waits; two ENDs settle that.
    board.serial(b"\xc0" * 2)
    assert board.board.mode is Mode.APP
    everything = b"".join(chunks) + b"\xc0\xc0"
    assert everything.startswith(board.typed())
    assert len(everything) - len(board.typed()) <= 1


def test_the_last_close_resets_a_loader_and_nothing_else() -> None:
    board = bench().start()
    board.board.on_last_close(board.now_ms)
    board.collect()
    assert board.board.mode is Mode.APP
    board.serial(SYNC)
    board.board.on_last_close(board.now_ms)
    board.wait(BOOT_MS)
    assert board.board.mode is Mode.APP
    assert len(board.apps()) == 2


def test_dtr_and_rts_reset_as_on_a_development_board() -> None:
    board = bench().start()
    board.effects.clear()

    def lines(*steps: tuple[bool, bool]) -> None:
        for dtr, rts in steps:
            board.board.on_lines(dtr, rts, board.now_ms)
        board.collect()

    lines((True, False), (True, True), (False, False))
    assert board.mode() is Mode.APP
    assert board.effects == []
    # esptool's classic reset, as it was seen on the wire: through (1, 1) before (1, 0).
    lines((False, False), (True, True), (False, True))
    assert board.mode() is Mode.HELD
    lines((True, True))
    assert board.mode() is Mode.HELD
    lines((True, False))
    assert board.mode() is Mode.ROM
    assert "boot:0x3 (DOWNLOAD_BOOT" in board.console()
    assert board.console().endswith("waiting for download\r\n")
    lines((False, False))
    assert board.mode() is Mode.ROM
    lines((False, True), (False, False))
    board.wait(BOOT_MS)
    assert board.mode() is Mode.APP


def test_a_crash_is_a_panic_and_a_restart_with_its_reason() -> None:
    board = bench().start()
    board.wait(60_000)
    board.board.on_app_exit(-11, "SIGSEGV", board.now_ms)
    board.collect()
    assert "Guru Meditation Error: Core  1 panic'ed (SIGSEGV)" in board.console()
    for _ in range(6):
        board.wait(100)
    assert board.apps()[-1].lines[-1] == "boot reset=panic"
    assert "rst:0xc (SW_CPU_RESET)" in board.console()


def test_a_program_that_crashes_at_once_is_started_ever_more_slowly() -> None:
    board = bench().start()
    for _ in range(1200):
        if board.board.mode is Mode.APP:
            board.board.on_app_exit(1, "exit code 1", board.now_ms)
        board.wait(50)
    assert 5 < len(board.apps()) < 15


def test_a_restart_that_the_firmware_asked_for_is_no_panic() -> None:
    board = bench().start()
    board.board.on_app_exit(0, "exit code 0", board.now_ms)
    for _ in range(12):
        board.wait(50)
    assert board.apps()[-1].lines[-1] == "boot reset=software"
    assert "Guru" not in board.console()


def test_what_the_firmware_stores_is_there_after_a_restart() -> None:
    board = bench().start()
    assert board.board.on_app_store("energy_mwh", 2**63), "done"
    assert not board.board.on_app_store("a_key_of_16_byte", 1)
    board.start()
    line = "nvs evstate energy_mwh u64 " + (2**63).to_bytes(8, "little").hex()
    assert line in board.apps()[-1].lines


class PowerCut(Exception):
    """The power went at this write."""


def test_a_power_cut_at_any_write_leaves_the_old_value_or_the_new_one() -> None:
    board = bench().start()
    flash = board.board.flash
    values = [*range(1, 300, 3)]
    write = flash._store
    cuts = 0
    for old, new in itertools.pairwise(values):
        board.board.on_app_store("energy_mwh", old)
        before = bytes(board.image)
        for allowed in range(100):
            board.image[:] = before
            left = [allowed]

            def store(offset: int, data: bytes, left: list[int] = left) -> None:
                if not left[0]:
                    # The page was half written when the power went.
                    write(offset, data[: len(data) // 2])
                    raise PowerCut
                left[0] -= 1
                write(offset, data)

            flash._store = store  # type: ignore[method-assign]  # the power cut itself
            try:
                board.board.on_app_store("energy_mwh", new)
                is_done = True
            except PowerCut:
                is_done = False
                cuts += 1
            finally:
                flash._store = write  # type: ignore[method-assign]  # power again
            found = parse_image(bytes(board.image[NVS : NVS + NVS_SIZE]))
            assert found.get("evstate", "energy_mwh") == new or (
                not is_done and found.get("evstate", "energy_mwh") == old
            )
            if is_done:
                break
    assert cuts > 100


def test_the_file_systems_name_lasts_until_its_partition_is_erased() -> None:
    board = bench()
    names = iter([b"a" * 8, b"b" * 8])
    board.board = Board(board.board.flash, MAC, lambda _: next(names))
    board.start()
    board.start()
    board.board.flash.erase(STORAGE, 0x1000)
    board.start()
    assert [app.storage for app in board.apps()] == [name.hex() for name in (
        b"a" * 8, b"a" * 8, b"b" * 8)]  # fmt: skip


def test_flash_with_another_identity_tells_the_application_so() -> None:
    board = Bench(flash_image(parts() | {EVCFG: identity("CP-0002")})).start()
    assert "nvs evcfg cp_id str " + b"CP-0002".hex() in board.apps()[0].lines
