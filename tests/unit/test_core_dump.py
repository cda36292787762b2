# SPDX-License-Identifier: GPL-3.0-or-later
"""Core dumps are read as ESP-IDF writes them; what is damaged is told, and nothing raises."""

from __future__ import annotations

import struct
import zlib

import pytest
from core_dumps import Task, core_dump
from hypothesis import given
from hypothesis import strategies as st

from evtool.monitor.panic.dump_report import DumpReport
from evtool.monitor.panic.frames import Frame
from evtool.protocol.can_frame import Malformed
from evtool.protocol.core_dump import HEADER_SIZE, CoreDump, decode, length

WAY = (0x400D1F24, 0x400D2C5E, 0x4008590D)
TASKS = [Task("ocpp", WAY), Task("IDLE0", (0x40083FF2, 0x400D1E3F), 0x3FFB0000)]
DUMP = core_dump(TASKS, sha256="4d2e6c5b7")


def read(data: bytes) -> CoreDump:
    found = decode(data)
    assert isinstance(found, CoreDump), found
    return found


@pytest.mark.parametrize("version", [(1, 0), (1, 1), (1, 2), (1, 3), (1, 4)])
def test_every_version_with_an_elf_file(version: tuple[int, int]) -> None:
    dump = read(core_dump(TASKS, sha256="4d2e6c5b7", version=version) + b"\xff" * 500)
    assert (dump.chip, dump.version, dump.elf_sha256) == ("esp32", version, "4d2e6c5b7")
    assert (dump.cause, dump.fault_address) == (28, 0)
    assert [task.name for task in dump.tasks] == ["ocpp", "IDLE0"]
    assert [task.crashed for task in dump.tasks] == [True, False]


def test_the_way_to_the_crash_is_read_from_the_stack() -> None:
    assert [task.addresses for task in read(DUMP).tasks] == [WAY, (0x40083FF2, 0x400D1E3F)]


def test_what_follows_in_the_partition_is_no_part_of_it() -> None:
    assert read(DUMP + b"\xff" * 100).image == DUMP


def test_erased_flash_holds_none() -> None:
    assert decode(b"\xff" * 4096) is None
    assert length(b"\xff" * HEADER_SIZE, 65536) is None


@pytest.mark.parametrize("total", [0, 24, 5000, 0xFFFFFFFE])
def test_a_length_that_cannot_be_is_told(total: int) -> None:
    data = struct.pack("<I", total) + DUMP[4:]
    assert isinstance(decode(data[:4096]), Malformed)


@given(st.integers(8, len(DUMP) - 1), st.integers(0, 7))
def test_a_flipped_bit_is_found(at: int, bit: int) -> None:
    data = bytearray(DUMP)
    data[at] ^= 1 << bit
    found = decode(bytes(data))
    assert isinstance(found, Malformed)
    assert "CRC" in found.reason


@given(st.binary(max_size=400))
def test_any_bytes_are_a_dump_none_or_told(data: bytes) -> None:
    decode(data)


@given(st.data())
def test_a_dump_whose_inside_is_garbage_raises_nothing(data: st.DataObject) -> None:
    """With a checksum that fits."""
    body = bytearray(DUMP[:-4])
    for _ in range(data.draw(st.integers(1, 8))):
        body[data.draw(st.integers(24, len(body) - 1))] = data.draw(st.integers(0, 255))
    decode(bytes(body) + struct.pack("<I", zlib.crc32(body)))


def test_the_report_names_the_crash_and_its_cause() -> None:
    places = {WAY[0]: [Frame("ev::Gate::open", "gate.cpp", 12)]}
    report = DumpReport(read(DUMP), "a.elf", "ELF file SHA256 4d2e6c5b7", places)
    assert report.lines()[:5] == [
        "core dump of an esp32, format 1.2, ELF file SHA256 4d2e6c5b7",
        "cause: LoadProhibited, address 0x00000000: it read from an invalid address: "
        "a null or damaged pointer",
        "decoded with a.elf (ELF file SHA256 4d2e6c5b7)",
        "task ocpp, which crashed",
        "#0  0x400d1f24 ev::Gate::open at gate.cpp:12",
    ]
    panic = DumpReport(read(core_dump(TASKS, panic="abort() was called")), "", "none", {})
    assert panic.lines()[1] == "panic: abort() was called"
    assert panic.cause == ""
