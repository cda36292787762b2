# SPDX-License-Identifier: GPL-3.0-or-later
"""Small programs in RAM: what they print, and what is left alone."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evtool.virtual.chips import CHIPS, ESP32, ESP32C3, ESP32S3, Chip
from evtool.virtual.loaders.memory import Memory
from evtool.virtual.loaders.program import Program, load_program

CODE, TEXT = 0x40080008, 0x3FFC0000
LITERALS = CODE - 8
chips = pytest.mark.parametrize("chip", CHIPS.values(), ids=CHIPS)


def loaded(code: bytes, text: bytes, literals: bytes = b"") -> Memory:
    memory = Memory()
    for address, data in ((CODE - len(literals), literals + code), (TEXT, text)):
        memory.begin(len(data), address)
        assert memory.put(0, data)
    return memory


def l32r(register: int, at: int, literal: int) -> bytes:
    offset = (literal - (at + 3 & ~3)) >> 2 & 0xFFFF
    return bytes([register << 4 | 1]) + offset.to_bytes(2, "little")


def xtensa(function: int, back_to: int) -> Memory:
    """entry; a10 = text; a8 = function; callx8 a8; j back_to."""
    code = b"\x36\x41\x00" + l32r(10, CODE + 3, LITERALS) + l32r(8, CODE + 6, LITERALS + 4)
    code += b"\xe0\x08\x00"
    jump = back_to - (CODE + len(code) + 4) & 0x3FFFF
    code += (jump << 6 | 6).to_bytes(3, "little")
    return loaded(code, b"hello\n\0", struct.pack("<II", TEXT, function))


def riscv(function: int) -> Memory:
    """a0 = text; call function; an endless loop."""
    call_at = CODE + 10
    far = (function - call_at + 0x800) & 0xFFFFF000
    near = (function - call_at - far) & 0xFFF
    code = b"\x41\x11"  # c.addi sp, -16
    code += (TEXT & 0xFFFFF000 | 10 << 7 | 0x37).to_bytes(4, "little")  # lui a0
    code += ((TEXT & 0xFFF) << 20 | 10 << 15 | 10 << 7 | 0x13).to_bytes(4, "little")  # addi a0
    code += (far | 1 << 7 | 0x17).to_bytes(4, "little")  # auipc ra
    code += (near << 20 | 1 << 15 | 1 << 7 | 0x67).to_bytes(4, "little")  # jalr ra
    code += b"\x01\xa0"  # c.j to itself
    return loaded(code, b"hello\n\0")


def program(chip: Chip, function: int | None = None) -> Memory:
    function = chip.print_function if function is None else function
    return riscv(function) if chip.riscv else xtensa(function, CODE + 3)


@chips
def test_a_program_that_prints_for_ever(chip: Chip) -> None:
    found = load_program(chip, program(chip), CODE)
    assert found is not None
    assert found.text == b"hello\n"
    assert found.period_ms > 0


@chips
def test_a_program_that_calls_something_else_is_not_followed(chip: Chip) -> None:
    assert load_program(chip, program(chip, chip.print_function + 4), CODE) is None
    assert load_program(chip, program(chip), CODE + 1) is None
    assert load_program(chip, program(chip), 0x50000000) is None


@chips
@settings(deadline=None)
@given(code=st.binary(max_size=60))
def test_no_code_raises_or_runs_for_ever(chip: Chip, code: bytes) -> None:
    found = load_program(chip, loaded(code, b"text\0"), CODE)
    assert found is None or isinstance(found, Program)


@pytest.mark.parametrize("register", [5, 15, 31])
def test_a_riscv_stub_is_known_by_the_instruction_that_loads_its_greeting(register: int) -> None:
    greets = (0x49415000 | register << 7 | 0x37).to_bytes(4, "little")
    memory = loaded(b"\x01\x00" * 3 + greets + bytes(8), b"data")
    assert memory.holds_stub(CODE)
    assert not memory.holds_stub(CODE + 0x1000)
    other = (0x49416000 | register << 7 | 0x37).to_bytes(4, "little")
    assert not loaded(b"\x01\x00" * 3 + other + bytes(8), b"data").holds_stub(CODE)


def test_the_greeting_itself_is_enough_for_an_xtensa() -> None:
    assert loaded(bytes(16), b"\x00OHAI\x00").holds_stub(CODE)
    assert {chip.riscv for chip in (ESP32, ESP32S3)} == {False}
    assert ESP32C3.riscv


def test_ram_has_an_end() -> None:
    memory = Memory()
    memory.begin(0x1000, TEXT)
    assert all(memory.put(seq, bytes(0x1000)) for seq in range(Memory.LIMIT // 0x1000))
    assert not memory.put(0x80, b"x")
