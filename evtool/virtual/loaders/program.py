# SPDX-License-Identifier: GPL-3.0-or-later
"""Small programs in RAM: what they print by the ROM's printf, and whether they go on.

No instruction set is emulated. A dozen instructions of each processor are followed, those of
which a "hello world" for the boot ROM is made: setting registers, loading constants, calling a
function in ROM, jumping back. Anything else makes the program one of unknown meaning.
"""

from __future__ import annotations

from dataclasses import dataclass

from evtool.virtual.chips.description import Chip
from evtool.virtual.loaders.memory import Memory

_STEPS = 256
_TEXT_LIMIT = 1024
_WORD = 0xFFFFFFFF
# How often a program that runs in circles is let print.
_PERIOD_MS = 100


@dataclass(frozen=True, slots=True)
class Program:
    """What a program prints, and after how many ms it prints it again (0: never)."""

    text: bytes
    period_ms: int


class _Unknown(Exception):
    """An instruction that is not followed."""


class _Processor:
    """Registers, memory and the text so far."""

    def __init__(self, chip: Chip, memory: Memory, entry: int) -> None:
        self._chip = chip
        self._memory = memory
        self.counter = entry
        self.registers = [0] * 32
        self.text = b""
        self.loops = False

    def word(self, address: int, length: int = 4) -> int:
        data = self._memory.read(address, length)
        if data is None:
            raise _Unknown
        return int.from_bytes(data, "little")

    def call(self, address: int, argument: int) -> None:
        """Call a function in ROM: its printf, with a text that asks for no arguments."""
        if address != self._chip.print_function:
            raise _Unknown
        for at in range(argument, argument + _TEXT_LIMIT):
            byte = self.word(at, 1)
            if byte == 0:
                return
            self.text += bytes([byte])
        raise _Unknown

    def jump(self, target: int) -> None:
        self.loops = self.loops or target <= self.counter
        self.counter = target


def load_program(chip: Chip, memory: Memory, entry: int) -> Program | None:
    """Follow the program at `entry`, or None: it does what is not followed here."""
    processor = _Processor(chip, memory, entry)
    step = _riscv_step if chip.riscv else _xtensa_step
    try:
        for _ in range(_STEPS):
            step(processor)
            if processor.loops:
                return Program(processor.text, _PERIOD_MS) if processor.text else None
    except _Unknown:
        return None
    return None


def _signed(value: int, width: int) -> int:
    return value - (1 << width) if value >> (width - 1) & 1 else value


def _xtensa_step(processor: _Processor) -> None:
    """Source: Xtensa ISA Reference Manual, windowed register option."""
    at = processor.counter
    code = processor.word(at, 3)
    opcode, t = code & 0xF, code >> 4 & 0xF
    if code & 0xFF == 0x36:  # entry
        processor.counter = at + 3
    elif opcode == 0x1:  # l32r
        base = (at + 3) & ~3
        offset = _signed(code >> 8 | 0xFFFF_0000, 32) << 2
        processor.registers[t] = processor.word(base + offset & _WORD)
        processor.counter = at + 3
    elif code & 0xFFF0FF == 0x0000E0:  # callx8
        target = processor.registers[code >> 8 & 0xF]
        processor.call(target, processor.registers[10])
        processor.counter = at + 3
    elif code & 0x3F == 0x06:  # j
        processor.jump(at + 4 + _signed(code >> 6, 18) & _WORD)
    else:
        raise _Unknown


def _riscv_step(processor: _Processor) -> None:
    """Source: RISC-V ISA manual, RV32IC."""
    at = processor.counter
    code = processor.word(at, 2)
    registers = processor.registers
    if code & 0x3 != 0x3:
        _riscv_compressed(processor, code)
        return
    code = processor.word(at)
    opcode, rd, rs1 = code & 0x7F, code >> 7 & 0x1F, code >> 15 & 0x1F
    immediate = _signed(code >> 20, 12)
    value: int | None = None
    target = at + 4
    if opcode == 0x37:  # lui
        value = code & 0xFFFFF000
    elif opcode == 0x17:  # auipc
        value = at + (code & 0xFFFFF000)
    elif opcode == 0x13 and code >> 12 & 7 == 0:  # addi
        value = registers[rs1] + immediate
    elif opcode == 0x67:  # jalr
        processor.call(registers[rs1] + immediate & _WORD, registers[10])
        value = target
    else:
        raise _Unknown
    if rd:
        registers[rd] = value & _WORD
    processor.counter = target


def _riscv_compressed(processor: _Processor, code: int) -> None:
    quadrant, function = code & 3, code >> 13
    rd = code >> 7 & 0x1F
    immediate = _signed(code >> 7 & 0x20 | code >> 2 & 0x1F, 6)
    if quadrant == 1 and function == 0:  # c.addi
        processor.registers[rd] = processor.registers[rd] + immediate & _WORD
    elif quadrant == 1 and function == 2 and rd:  # c.li
        processor.registers[rd] = immediate & _WORD
    elif quadrant == 2 and function == 6:  # c.swsp: the stack is nobody's business here
        pass
    elif quadrant == 1 and function == 5:  # c.j
        bits = (
            (code >> 3 & 7) << 1
            | (code >> 11 & 1) << 4
            | (code >> 2 & 1) << 5
            | (code >> 7 & 1) << 6
            | (code >> 6 & 1) << 7
            | (code >> 9 & 3) << 8
            | (code >> 8 & 1) << 10
            | (code >> 12 & 1) << 11
        )
        processor.jump(processor.counter + _signed(bits, 12) & _WORD)
        return
    else:
        raise _Unknown
    processor.counter += 2
