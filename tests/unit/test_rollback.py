# SPDX-License-Identifier: GPL-3.0-or-later
"""New images on probation, crashes from outside, and power that goes in the middle of it."""

from __future__ import annotations

import struct
import zlib

import pytest
from board_images import APP1, OTADATA, application, flash_image, parts
from hypothesis import given, settings
from hypothesis import strategies as st
from machine_bench import SYNC, Bench

from evtool.protocol.esp_loader import Op, block_checksum
from evtool.virtual.board import Crash, Mode
from evtool.virtual.boot.otadata import SlotState
from evtool.virtual.effects import StopApp
from evtool.virtual.flash_chip import SECTOR_SIZE, FlashChip, PowerCutError

UPDATED = parts() | {APP1: application(version="2.0.0")}


def entry(sequence: int, state: int) -> bytes:
    word = struct.pack("<I", sequence)
    return word + b"\xff" * 20 + struct.pack("<II", state, zlib.crc32(word, 0xFFFFFFFF))


def updated(state: int = SlotState.NEW, *, second: bool = True) -> Bench:
    """A board whose second slot was just written; the first one started before."""
    data = entry(1, SlotState.VALID).ljust(SECTOR_SIZE, b"\xff") + entry(2, state)
    contents = UPDATED if second else parts()
    return Bench(flash_image(contents | {OTADATA: data}))


def version(bench: Bench) -> str:
    return bench.apps()[-1].version


def state(bench: Bench) -> int:
    """Of the second sector's entry."""
    return int.from_bytes(bench.flash.read(OTADATA + SECTOR_SIZE + 24, 4), "little")


def crash_and_restart(bench: Bench) -> None:
    bench.board.crash(Crash.PANIC, bench.now_ms)
    bench.wait(500).wait(50)


def test_a_new_image_that_proves_itself_stays() -> None:
    bench = updated().start()
    assert (version(bench), state(bench)) == ("2.0.0", SlotState.PENDING_VERIFY)
    assert bench.board.mark_application(True, bench.now_ms)
    assert state(bench) == SlotState.VALID
    crash_and_restart(bench)
    assert (version(bench), state(bench)) == ("2.0.0", SlotState.VALID)


def test_a_new_image_that_crashes_first_is_given_up() -> None:
    bench = updated().start()
    crash_and_restart(bench)
    assert (version(bench), state(bench)) == ("1.2.3", SlotState.ABORTED)
    crash_and_restart(bench)
    assert version(bench) == "1.2.3"


def test_a_new_image_may_give_itself_up() -> None:
    bench = updated().start()
    assert bench.board.mark_application(False, bench.now_ms)
    bench.wait(500).wait(50)
    assert (version(bench), state(bench)) == ("1.2.3", SlotState.INVALID)


@pytest.mark.parametrize("kept", [SlotState.VALID, SlotState.UNDEFINED])
def test_an_image_without_probation_is_left_alone(kept: SlotState) -> None:
    bench = updated(kept).start()
    crash_and_restart(bench)
    assert (version(bench), state(bench)) == ("2.0.0", kept)


def test_nothing_can_be_marked_where_no_application_runs() -> None:
    bench = Bench(flash_image({})).start()
    assert not bench.board.mark_application(True, bench.now_ms)
    assert not Bench(flash_image(parts())).start().board.mark_application(True, 0)


@settings(deadline=None)
@given(cut=st.integers(0, 3 * SECTOR_SIZE), mark=st.booleans())
def test_a_power_cut_at_any_byte_of_the_change_leaves_a_board_that_boots(
    cut: int, mark: bool
) -> None:
    bench = updated()
    bench.flash.cut_after(cut)
    bench.start()
    if mark and bench.mode() is Mode.APP:
        bench.board.mark_application(True, bench.now_ms)
        bench.collect()
    was_cut = bench.mode() is Mode.OFF
    assert bool(bench.reports("power_cut")) == was_cut
    bench.flash.cut_after(None)
    bench.board.power_on(bench.now_ms)
    bench.wait(50)
    assert bench.mode() is Mode.APP
    assert version(bench) in {"1.2.3", "2.0.0"}


@pytest.mark.parametrize(
    ("how", "words", "reason"),
    [
        (Crash.PANIC, "Guru Meditation Error", "panic"),
        (Crash.WATCHDOG, "TG1WDT_SYS_RESET", "watchdog"),
        (Crash.BROWNOUT, "Brownout detector was triggered", "brownout"),
    ],
)
def test_a_crash_from_outside_restarts_the_firmware(how: Crash, words: str, reason: str) -> None:
    bench = Bench(flash_image(parts())).start()
    bench.effects.clear()
    bench.board.crash(how, bench.now_ms)
    bench.wait(500).wait(50)
    assert any(isinstance(each, StopApp) for each in bench.effects)
    assert words in bench.console()
    assert bench.reports("app")[-1]["reset"] == reason
    assert f"boot reset={reason}" in bench.apps()[-1].lines


def test_a_board_without_power_hears_nothing() -> None:
    bench = Bench(flash_image(parts())).start()
    bench.board.power_off()
    bench.collect()
    bench.effects.clear()
    bench.serial(SYNC)
    bench.board.press_reset(bench.now_ms)
    bench.board.on_lines(False, True, bench.now_ms)
    bench.board.on_lines(False, False, bench.now_ms)
    bench.wait(10_000)
    assert bench.mode() is Mode.OFF
    assert bench.sent() == b""
    assert bench.start().mode() is Mode.APP


@settings(deadline=None)
@given(cut=st.integers(0, 9_000))
def test_power_cut_after_so_many_bytes_of_a_download(cut: int) -> None:
    bench = Bench(flash_image({0x8000: b"\0" * 0x2000}))
    bench.start().serial(SYNC)
    bench.request(Op.SPI_ATTACH, bytes(8))
    bench.flash.cut_after(cut)
    bench.request(Op.FLASH_BEGIN, struct.pack("<4I", 0x1000, 1, 0x800, 0x8000))
    data = bytes(range(256)) * 8
    block = struct.pack("<4I", len(data), 0, 0, 0) + data
    bench.request(Op.FLASH_DATA, block, block_checksum(data))
    written = min(max(cut - SECTOR_SIZE, 0), len(data))
    assert bench.flash.read(0x8000, written) == data[:written]
    erased = min(cut, SECTOR_SIZE)
    assert bench.flash.read(0x8000 + written, erased - written) == b"\xff" * (erased - written)
    assert (bench.mode() is Mode.OFF) == (cut < SECTOR_SIZE + len(data))


def test_a_dead_sector_changes_no_more() -> None:
    flash = FlashChip(memoryview(bytearray(b"\x55" * 0x10000)))
    flash.wear_out(0x2345)
    flash.erase(0x1000, 0x3000)
    flash.program(0x2000, bytes(16))
    assert flash.read(0x1000, 0x1000) == b"\xff" * 0x1000
    assert flash.read(0x2000, 0x1000) == b"\x55" * 0x1000


def test_nothing_happens_to_a_flash_after_its_power_was_cut_once() -> None:
    flash = FlashChip(memoryview(bytearray(b"\xff" * 0x10000)))
    flash.cut_after(3)
    with pytest.raises(PowerCutError):
        flash.program(0x100, b"\0" * 10)
    assert flash.read(0x100, 5) == b"\0\0\0\xff\xff"
    flash.program(0x100, b"\0" * 10)
    assert flash.read(0x100, 10) == bytes(10)
