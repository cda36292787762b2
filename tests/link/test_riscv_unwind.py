# SPDX-License-Identifier: GPL-3.0-or-later
"""A RISC-V's stack is unwound by call frames as a compiler writes them into .debug_frame."""

from __future__ import annotations

import io
import struct
from typing import Any

from elftools.dwarf.callframe import CallFrameInfo
from elftools.dwarf.structs import DWARFStructs
from hypothesis import given
from hypothesis import strategies as st

from evtool.link.riscv_unwind import Unwinder

INNER, OUTER, TASK = 0x42000100, 0x42000200, 0x42000300
STACK = 0x3FC9F370
RA, SP, S0 = 1, 2, 8
DEF_CFA, DEF_CFA_OFFSET, ADVANCE, OFFSET = 0x0C, 0x0E, 0x40, 0x80


class CallFrames:
    """As pyelftools hands them on."""

    def __init__(self, data: bytes) -> None:
        structs = DWARFStructs(little_endian=True, dwarf_format=32, address_size=4)
        self._frames = CallFrameInfo(io.BytesIO(data), len(data), 0, structs)

    def has_CFI(self) -> bool:
        return True

    def has_EH_CFI(self) -> bool:
        return False

    def CFI_entries(self) -> Any:
        return list(self._frames.get_entries())


def entry(body: bytes) -> bytes:
    body = body.ljust((len(body) + 3) // 4 * 4, b"\0")
    return struct.pack("<I", len(body)) + body


def common() -> bytes:
    """At a function's first instruction the caller's stack pointer is sp."""
    head = struct.pack("<IB", 0xFFFFFFFF, 1) + b"\0" + bytes([1, 0x7C, RA])  # data factor -4
    return entry(head + bytes([DEF_CFA, SP, 0]))


def function(start: int, frame: int) -> bytes:
    """One that takes `frame` bytes of stack and keeps ra and s0 at their upper end."""
    code = bytes([ADVANCE | 2, DEF_CFA_OFFSET, frame, ADVANCE | 4, OFFSET | RA, 1, OFFSET | S0, 2])
    return entry(struct.pack("<III", 0, start, 0x80) + code)


def leaf(start: int) -> bytes:
    return entry(struct.pack("<III", 0, start, 0x80))


FRAMES = CallFrames(common() + leaf(INNER) + function(OUTER, 32) + function(TASK, 48))


def memory(words: dict[int, int]) -> list[tuple[int, bytes]]:
    data = bytearray(b"\xa5" * 256)
    for address, value in words.items():
        struct.pack_into("<I", data, address - STACK, value)
    return [(STACK, bytes(data))]


# OUTER's frame ends at STACK + 32, TASK's at STACK + 80; TASK was started by nobody.
KNOWN = memory({STACK + 28: TASK + 0x20, STACK + 24: 7, STACK + 76: 0, STACK + 72: 0})


def test_the_way_from_a_function_without_a_frame_to_the_task() -> None:
    way = Unwinder(FRAMES).way(INNER + 8, {RA: OUTER + 0x10, SP: STACK}, KNOWN)
    assert way == [INNER + 8, OUTER + 0x0E, TASK + 0x1E]


def test_within_the_first_instructions_nothing_is_saved_yet() -> None:
    way = Unwinder(FRAMES).way(OUTER, {RA: TASK + 0x20, SP: STACK + 32}, KNOWN)
    assert way == [OUTER, TASK + 0x1E]


def test_it_ends_where_memory_or_frames_end() -> None:
    unwinder = Unwinder(FRAMES)
    registers = {RA: OUTER + 0x10, SP: STACK}
    assert unwinder.way(INNER, registers, []) == [INNER, OUTER + 0x0E]
    assert unwinder.way(0x40048000, registers, KNOWN)[0] == 0x40048000
    assert unwinder.way(INNER, {SP: STACK}, KNOWN) == [INNER]
    assert unwinder.way(INNER, {}, KNOWN) == [INNER]


@given(st.dictionaries(st.integers(0, 31), st.integers(0, 2**32 - 1)), st.binary(max_size=300))
def test_any_stack_has_an_end(registers: dict[int, int], data: bytes) -> None:
    way = Unwinder(FRAMES).way(OUTER + 0x20, registers, [(STACK, data)])
    assert 1 <= len(way) <= 60
