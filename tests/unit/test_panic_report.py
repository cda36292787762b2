# SPDX-License-Identifier: GPL-3.0-or-later
"""Panics of every kind are read into reports, whatever the pieces in which their bytes come."""

from __future__ import annotations

import json
from pathlib import Path

import panic_samples as samples
import pytest
from fake_console import BOOT, RECORDS
from hypothesis import given
from hypothesis import strategies as st

from evtool.monitor.panic.frames import Decoded, Frame
from evtool.monitor.panic.listener import PanicListener
from evtool.monitor.panic.report import PanicReport
from evtool.monitor.panic.reset_reasons import ResetReason, is_fault, reset_reason, saved_pc
from evtool.monitor.panic.which_elf import ElfFile, Identity, choose
from evtool.virtual.board.panic_text import panic_text


class Heard:
    """What a listener tells."""

    def __init__(self) -> None:
        self.reports: list[tuple[PanicReport, Identity]] = []
        self.resets: list[ResetReason] = []
        self.listener = PanicListener(
            "p",
            lambda report, identity: self.reports.append((report, identity)),
            self.resets.append,
        )

    def feed(self, text: str, pieces: list[int] | None = None, now_ms: int = 0) -> Heard:
        data = text.encode()
        for size in pieces or []:
            self.listener.feed(data[:size], now_ms)
            data = data[size:]
        self.listener.feed(data, now_ms)
        return self

    @property
    def report(self) -> PanicReport:
        (found,) = self.reports
        return found[0]


_BAD_TAIL = "Bad tail at 0x3ffe04d1. Expected 0xbaad5678 got 0xcececece"


@pytest.mark.parametrize(
    ("text", "kind", "reason", "traces", "sha256"),
    [
        (
            samples.xtensa_panic((0x400D1F24, 0x400D2C5E), "ab12" * 4),
            "exception",
            "LoadProhibited",
            1,
            "ab12" * 4,
        ),
        (samples.ABORT, "abort", "", 1, "4d2e6c5b7"),
        (samples.ASSERT, "assert", "xQueueSemaphoreTake queue.c:1545 (( pxQueue ))", 1, "0" * 16),
        (samples.STACK_OVERFLOW, "stack_overflow", "ocpp", 1, ""),
        (samples.CANARY, "stack_overflow", "network", 1, ""),
        (samples.STACK_GUARD, "stack_overflow", "main", 0, ""),
        (samples.STACK_SMASHED, "stack_smashed", "", 1, ""),
        (samples.HEAP, "heap", _BAD_TAIL, 1, ""),
        (samples.HEAP_BEFORE_4_4, "heap", _BAD_TAIL, 1, ""),
        (samples.CHECK, "check", "esp_err_t 0x101 (ESP_ERR_NO_MEM) at 0x400d5a3c", 1, ""),
        (samples.ASSERT_BEFORE_4_4, "assert", samples.ASSERT_BEFORE_4_4.splitlines()[0], 1, ""),
        (samples.NOT_CAUGHT, "exception_not_caught", "std::bad_alloc", 1, ""),
        (samples.BEFORE_3_1, "exception", "LoadProhibited", 1, ""),
        (
            samples.INTERRUPT_WATCHDOG,
            "exception",
            "Interrupt wdt timeout on CPU0",
            2,
            "4d2e6c5b7a8f9e01",
        ),
        (
            samples.riscv_panic(0x420228C8, 0x4202292A, "77aa" * 4),
            "exception",
            "Load access fault",
            0,
            "77aa" * 4,
        ),
    ],
    ids=[
        *("exception", "abort", "assert", "overflow", "canary", "stack_guard", "smashed"),
        *("heap", "heap_before_4_4", "check", "assert_before_4_4", "not_caught", "before_3_1"),
        *("int_wdt", "riscv"),
    ],
)
def test_each_kind_of_panic(text: str, kind: str, reason: str, traces: int, sha256: str) -> None:
    report = Heard().feed("before\r\n" + text + "after\r\n").report
    assert (report.kind, report.reason) == (kind, reason)
    assert len(report.backtraces) == traces
    assert report.elf_sha256 == sha256
    assert report.addresses()
    assert report.headline in report.lines
    assert "after" not in report.lines
    assert "before" not in report.lines


def test_a_cause_without_an_abort_is_no_panic_and_makes_none_of_the_next() -> None:
    looked_through = samples.HEAP.splitlines()[0] + "\r\n"
    heard = Heard().feed(looked_through)
    heard.listener.finish()
    assert not heard.reports
    heard = Heard().feed(looked_through + "rst:0x1 (POWERON_RESET),boot:0x13\r\n" + samples.ABORT)
    assert heard.report.kind == "abort"
    later = Heard().feed(looked_through).feed(samples.ABORT, now_ms=5000)
    assert later.report.kind == "abort"


def test_the_addresses_innermost_first_and_each_once() -> None:
    report = Heard().feed(samples.ABORT).report
    assert report.backtraces[0].addresses == (0x40083D5D, 0x4008B1E1, 0x400D1F24)
    assert report.backtraces[0].is_corrupted
    assert report.addresses() == (0x40083D5D, 0x4008B1E1, 0x400D1F24)
    report = Heard().feed(samples.INTERRUPT_WATCHDOG).report
    assert [trace.core for trace in report.backtraces] == [0, 1]
    assert report.registers[1]["PC"] == 0x400E1234


def test_a_riscv_has_registers_and_a_stack() -> None:
    report = Heard().feed(samples.riscv_panic(0x420228C8, 0x4202292A, "77aa77aa")).report
    assert report.is_riscv
    assert report.stack[0][0] == 0x3FC9F370
    assert report.registers[0]["S0/FP"] == 0x3FC94D58
    assert report.addresses() == (0x420228C8, 0x4202292A)


def test_a_report_ends_by_itself_where_nothing_follows() -> None:
    heard = Heard().feed(samples.TASK_WATCHDOG, now_ms=100)
    assert not heard.reports
    assert heard.listener.deadline_ms == 2100
    heard.listener.tick(2099)
    assert not heard.reports
    heard.listener.tick(2100)
    assert heard.report.kind == "task_watchdog"
    heard = Heard().feed(samples.BROWNOUT)
    assert heard.report.kind == "brownout"
    assert not heard.report.addresses()
    assert "supply" in heard.report.explanation
    assert [reset.name for reset in heard.resets] == ["SW_CPU_RESET"]


def test_records_between_a_panics_lines_are_no_part_of_it() -> None:
    first, second = samples.ABORT.split("\r\n\r\n", 1)
    report = Heard().feed(f"{first}\r\n{RECORDS['1']}\r\n{second}").report
    assert len(report.backtraces) == 1
    assert RECORDS["1"] not in report.lines


ALL = [samples.ABORT, samples.ASSERT, samples.CANARY, samples.INTERRUPT_WATCHDOG, BOOT + "\r\n"]
ALL += [samples.HEAP, samples.CHECK, samples.NOT_CAUGHT, samples.STACK_GUARD]
ALL += [samples.BROWNOUT, "text\r\n", "rst:0x1 (POWERON_RESET),boot:0x13\r\n", RECORDS["1"] + "\n"]


@given(st.lists(st.sampled_from(ALL), max_size=6), st.lists(st.integers(1, 60), max_size=40))
def test_the_pieces_make_no_difference(texts: list[str], pieces: list[int]) -> None:
    text = "".join(texts)
    whole, cut = Heard().feed(text), Heard().feed(text, pieces)
    for heard in (whole, cut):
        heard.listener.finish()
    assert whole.reports == cut.reports
    assert whole.resets == cut.resets


def test_panics_without_a_reset_between_them_are_several() -> None:
    head = "Guru Meditation Error: Core  1 panic'ed (LoadProhibited). Exception was unhandled.\r\n"
    backtraces = [f"Backtrace: 0x400d{number:04x}:0x3ffb1f90\r\n" for number in range(4)]
    heard = Heard().feed("".join(head + each for each in backtraces))
    heard.listener.finish()
    assert [report.addresses() for report, _ in heard.reports] == [
        (0x400D0000 + number,) for number in range(4)
    ]
    assert all(report.kind == "exception" for report, _ in heard.reports)


def test_a_panic_has_one_backtrace_for_each_of_two_cores() -> None:
    backtraces = [f"Backtrace: 0x400d{number:04x}:0x3ffb1f90\r\n" for number in range(5)]
    heard = Heard().feed("".join(backtraces))
    heard.listener.finish()
    assert [len(report.backtraces) for report, _ in heard.reports] == [2, 2, 1]


def test_a_flood_without_an_end_is_counted_not_decoded() -> None:
    head = "Guru Meditation Error: Core  1 panic'ed (LoadProhibited). Exception was unhandled.\r\n"
    backtrace = "Backtrace: 0x400d1234:0x3ffb1f90\r\n"
    heard = Heard()
    for _ in range(300):
        heard.feed(head + backtrace, now_ms=1)
    assert len(heard.reports) == 20
    assert heard.listener.skipped == 280


def test_a_flood_is_counted_not_decoded() -> None:
    heard = Heard()
    for _ in range(500):
        heard.feed(samples.ABORT, now_ms=1)
    assert len(heard.reports) == 20
    assert heard.listener.skipped == 480
    heard.feed(samples.ABORT, now_ms=20_000)
    assert len(heard.reports) == 21


@given(st.binary(max_size=300))
def test_any_bytes_do_no_harm(data: bytes) -> None:
    heard = Heard()
    heard.listener.feed(b"Guru Meditation Error: " + data + b"\nBacktrace: " + data + b"\n", 0)
    heard.listener.tick(10_000)
    heard.listener.finish()
    assert len(heard.reports) <= 2


# --- resets ---------------------------------------------------------------------


def test_reset_reasons_are_explained() -> None:
    found = reset_reason("rst:0x8 (TG1WDT_SYS_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)")
    assert found is not None
    assert (found.code, found.fault) == (8, True)
    assert "watchdog" in found.text
    assert reset_reason("rst:0x15 (USB_UART_CHIP_RESET),boot:0x8 (SPI)") is not None
    assert reset_reason("first:0x1") is None
    assert saved_pc("Saved PC:0x40381234") == 0x40381234


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("POWERON_RESET", False),
        ("SW_CPU_RESET", False),
        ("RTC_SW_CPU_RST", False),
        ("DEEPSLEEP_RESET", False),
        ("USB_UART_CHIP_RESET", False),
        ("RTCWDT_BROWN_OUT_RESET", True),
        ("RTCWDT_RTC_RST", True),
        ("TG0_WDT_HPSYS", True),
        ("POWER_GLITCH_RESET", True),
    ],
)
def test_which_resets_nobody_wanted(name: str, fault: bool) -> None:
    assert is_fault(name) == fault


def test_where_a_watchdog_found_the_processor_is_of_the_program_before() -> None:
    rom = "rst:0x8 (TG1WDT_SYS_RST),boot:0x8 (SPI_FAST_FLASH_BOOT)\r\nSaved PC:0x420228c8\r\n"
    heard = Heard().feed(BOOT + "\r\n" + rom + BOOT.replace("1a2b", "ffff") + "\r\n")
    ((report, identity),) = heard.reports
    assert (report.kind, report.addresses()) == ("reset", (0x420228C8,))
    assert identity.build_id == "1a2b3c4d"
    wanted = rom.replace("rst:0x8 (TG1WDT_SYS_RST)", "rst:0x1 (POWERON)")
    assert not Heard().feed(BOOT + "\r\n" + wanted).reports


# --- which ELF file ---------------------------------------------------------------

A = ElfFile(Path("a.elf"), "aa11" * 16, "1a2b3c4d")
B = ElfFile(Path("b.elf"), "bb22" * 16, "99999999")


def test_the_printed_hash_decides() -> None:
    choice = choose("bb22bb22b", Identity(), [A, B])
    assert choice.elf is B
    wrong = choose("cc33cc33c", Identity(build_id="1a2b3c4d"), [A, B])
    assert wrong.elf is None, "a build id does not outweigh another program's hash"
    assert "cc33cc33c" in wrong.reason
    assert "a.elf is aa11aa11a" in wrong.reason


def test_the_boot_logs_hash_stands_in_for_the_panics() -> None:
    assert choose("", Identity("aa11aa11"), [A, B]).elf is A
    assert choose("0000000000000000", Identity("aa11aa11"), [A, B]).elf is A


def test_a_hash_of_zeros_leaves_it_to_the_build_id() -> None:
    choice = choose("0000000000000000", Identity(build_id="99999999"), [A, B])
    assert choice.elf is B
    assert choice.reason == "build 99999999"
    assert choose("", Identity(build_id="12345678"), [A, B]).elf is None


def test_never_a_guess() -> None:
    choice = choose("", Identity(), [A])
    assert choice.elf is None
    assert "has not said which program it runs" in choice.reason
    assert "none was found" in choose("aa11aa11", Identity(), []).reason


def test_the_identity_is_that_of_the_program_that_ran() -> None:
    sha = "I (25) cpu_start: ELF file SHA256:  aa11aa11aa11aa11...\r\n"
    heard = Heard().feed(sha + BOOT + "\r\n" + samples.STACK_OVERFLOW)
    assert heard.reports[0][1] == Identity("aa11aa11aa11aa11", "1a2b3c4d")
    heard = Heard().feed(
        BOOT + "\r\nrst:0x1 (POWERON_RESET),boot:0x13\r\n" + samples.STACK_OVERFLOW
    )
    assert heard.reports[0][1] == Identity()


# --- how it is shown -----------------------------------------------------------------


def test_a_decoded_panic_for_people_and_for_programs() -> None:
    report = Heard().feed(samples.ABORT).report
    places = {0x400D1F24: [Frame("peek", "gate.hpp", 7), Frame("ev::Gate::open", "gate.cpp", 12)]}
    decoded = Decoded(report, "a.elf", "build 1a2b3c4d", places)
    assert decoded.lines()[1:] == [
        "  decoded with a.elf (build 1a2b3c4d)",
        "  #0  0x40083d5d not in this program",
        "  #1  0x4008b1e1 not in this program",
        "  #2  0x400d1f24 peek at gate.hpp:7",
        "       inlined by ev::Gate::open at gate.cpp:12",
        "  the stack is corrupted: the chip could not follow it further",
    ]
    found = json.loads(json.dumps(decoded.as_dict()))
    assert found["backtraces"][0]["frames"][2]["places"][1]["line"] == 12
    undecoded = Decoded(report, "", "no ELF file here", {})
    assert "  addresses are not decoded: no ELF file here" in undecoded.lines()
    assert "  #2  0x400d1f24" in undecoded.lines()


@given(
    backtrace=st.lists(st.integers(0x40080000, 0x4040FFFF), min_size=1, max_size=20),
    riscv=st.booleans(),
    sha256=st.none() | st.binary(min_size=32, max_size=32),
)
def test_what_the_virtual_board_prints_is_read_back(
    backtrace: list[int], riscv: bool, sha256: bytes | None
) -> None:
    text = panic_text("LoadProhibited", riscv=riscv, backtrace=backtrace, elf_sha256=sha256)
    report = Heard().feed(text).report
    assert report.elf_sha256 == ("" if sha256 is None else sha256.hex()[:16])
    if riscv:
        assert report.riscv_registers[0] == backtrace[0]
        assert report.stack[0][1][:4] == backtrace[0].to_bytes(4, "little")
    else:
        assert report.backtraces[0].addresses == tuple(backtrace)


def test_people_read_each_thing_once() -> None:
    lines = Decoded(Heard().feed(samples.HEAP).report, "", "none", {}).lines()
    assert sum("Bad tail" in line for line in lines) == 1
    assert "into one that was freed" in lines[1]
    lines = Decoded(Heard().feed(samples.CANARY).report, "", "none", {}).lines()
    assert lines[1].startswith("  network: this task's stack")
