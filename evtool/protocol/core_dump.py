# SPDX-License-Identifier: GPL-3.0-or-later
"""A core dump as ESP-IDF keeps it in the partition `coredump`: tasks, registers, stacks.

::

    u32 length of all, u32 chip << 16 | version
    version 1.0, 1.1   u32 tasks, u32 size of a TCB, u32 segments
    version 1.2, 1.3   the same and u32 chip revision
    version 1.4        u32 chip revision
    an ELF file (ET_CORE): notes for each task, and the memory of their stacks
    CRC-32 (1.0, 1.2) or SHA-256 (1.1, 1.3, 1.4) of all before it

Versions 0.x (the old binary format) are told and checked, not read. Source: ESP-IDF,
components/espcoredump (core_dump_elf.c, core_dump_common.c).
"""

from __future__ import annotations

import hashlib
import re
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from evtool.protocol.can_frame import Malformed

HEADER_SIZE = 24
CHIPS = {0: "esp32", 2: "esp32s2", 5: "esp32c3", 9: "esp32s3", 12: "esp32c2", 13: "esp32c6"}
XTENSA, RISCV = 94, 243
_ERASED = 0xFFFFFFFF
_NOTE, _LOAD = 4, 1
_PRSTATUS, _EXTRA, _TASK, _PANIC, _INFO = 1, 677, 678, 679, 8266
_REGISTERS_AT, _PID_AT = 72, 24
_XTENSA_AR = 64  # a0 stands so many registers behind pc
_CRC_VERSIONS = {(0, 1), (0, 2), (0, 3), (1, 0), (1, 2)}
_HEADERS = {(1, 0): 20, (1, 1): 20, (1, 2): 24, (1, 3): 24, (1, 4): 12}
_DAMAGED = {1: "its control block is damaged", 2: "its stack is damaged"}
_NO_TASK = 0xDEADBEEF
_EXCCAUSE, _EXCVADDR = 232, 238  # special registers, by their numbers
# FreeRTOS's TCB_t: top of stack, two list items, priority, stack, then the name.
_NAME_AT = 52
_NAME = re.compile(rb"([ -~]{1,15})\0")
_MAX_FRAMES = 60
_CODE_MASK = 0x3FFFFFFF


@dataclass(frozen=True, slots=True)
class CoreTask:
    """One task at the moment of the crash.

    Attributes:
        name: "" where the dump does not say it.
        control_block: its address, which names the task.
        addresses: code addresses, innermost first: on an Xtensa the whole way, on a RISC-V
            where it was and where it returns to.
        damage: what is wrong with it; "" for nothing.
        registers: as the dump has them: on a RISC-V pc, then x1 to x31.
    """

    name: str
    control_block: int
    stack_pointer: int
    addresses: tuple[int, ...]
    crashed: bool = False
    damage: str = ""
    registers: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class CoreDump:
    """A core dump, as far as it is read.

    Attributes:
        version: (major, minor).
        elf_sha256: the beginning of the program's ELF file's SHA-256, in hex; "" where unknown.
        cause: of an Xtensa's exception (EXCCAUSE); None where not kept.
        fault_address: (EXCVADDR); None where not kept.
        panic: what the panic said; "" where not kept.
        tasks: the crashed one first; () where the format is not read.
        image: the dump without what follows it in the partition.
        memory: (address, bytes) of the control blocks and stacks.
    """

    chip: str
    version: tuple[int, int]
    machine: int
    elf_sha256: str
    tasks: tuple[CoreTask, ...]
    image: bytes
    cause: int | None = None
    fault_address: int | None = None
    panic: str = ""
    memory: tuple[tuple[int, bytes], ...] = ()


def length(head: bytes, partition_size: int) -> int | Malformed | None:
    """How long the dump is that begins with `head` (24 bytes); None: there is none."""
    if len(head) < HEADER_SIZE:
        return Malformed("less than a header")
    total: int = struct.unpack_from("<I", head)[0]
    if total == _ERASED:
        return None
    if not HEADER_SIZE < total <= partition_size:
        return Malformed(f"it says that it has {total} bytes; the partition has {partition_size}")
    return total


def decode(data: bytes) -> CoreDump | Malformed | None:
    """The core dump at the beginning of `data`; None where the flash is erased there."""
    total = length(data[:HEADER_SIZE], len(data))
    if total is None or isinstance(total, Malformed):
        return total
    image = data[:total]
    (word,) = struct.unpack_from("<I", image, 4)
    version = (word >> 8 & 0xFF, word & 0xFF)
    chip = CHIPS.get(word >> 16, f"chip {word >> 16}")
    problem = _checksum_problem(image, version)
    if problem:
        return Malformed(problem)
    if version not in _HEADERS:
        return CoreDump(chip, version, 0, "", (), image)
    checksum = 4 if version in _CRC_VERSIONS else 32
    try:
        return _read_elf(image[_HEADERS[version] : total - checksum], chip, version, image)
    except (struct.error, IndexError) as error:
        return Malformed(f"its ELF part breaks off: {error}")


def _checksum_problem(image: bytes, version: tuple[int, int]) -> str:
    if version in _CRC_VERSIONS:
        (kept,) = struct.unpack_from("<I", image, len(image) - 4)
        found = zlib.crc32(image[:-4])
        return "" if kept == found else f"its CRC is {found:08x}, not {kept:08x} as it says"
    if version in _HEADERS:
        good = hashlib.sha256(image[:-32]).digest() == image[-32:]
        return "" if good else "its SHA-256 is not the one that it says"
    return f"version {version[0]}.{version[1]} is not known"


@dataclass(slots=True)
class _Notes:
    registers: list[tuple[int, tuple[int, ...]]] = field(default_factory=list)
    names: dict[int, tuple[str, int]] = field(default_factory=dict)
    extra: tuple[int, ...] = ()
    sha256: str = ""
    panic: str = ""


def _read_elf(
    elf: bytes, chip: str, version: tuple[int, int], image: bytes
) -> CoreDump | Malformed:
    if elf[:4] != b"\x7fELF":
        return Malformed("it holds no ELF file")
    (machine,) = struct.unpack_from("<H", elf, 18)
    (table,) = struct.unpack_from("<I", elf, 28)
    size, count = struct.unpack_from("<HH", elf, 42)
    notes, memory = _Notes(), []
    for at in range(count):
        kind, offset, address, _, length_in_file = struct.unpack_from(
            "<IIIII", elf, table + at * size
        )
        data = elf[offset : offset + length_in_file]
        if kind == _NOTE:
            for note in _notes(data):
                _take_note(notes, *note)
        elif kind == _LOAD:
            memory.append((address, data))
    crashed = notes.extra[0] if notes.extra else 0
    extra = dict(zip(notes.extra[1::2], notes.extra[2::2], strict=False))
    is_xtensa = machine == XTENSA
    tasks: list[CoreTask] = []
    for block, registers in notes.registers:
        name, flags = notes.names.get(block, ("", 0))
        name = name or _task_name(block, memory)
        way = _xtensa_way(registers, memory) if is_xtensa else registers[:2]
        damage = "; ".join(text for bit, text in _DAMAGED.items() if flags & bit)
        pointer = registers[_XTENSA_AR + 1] if is_xtensa else registers[2]
        is_crashed = block == crashed or (crashed in (0, _NO_TASK) and not tasks)
        tasks.append(
            CoreTask(name, block, pointer, tuple(filter(None, way)), is_crashed, damage, registers)
        )
    tasks.sort(key=lambda task: not task.crashed)
    return CoreDump(
        chip,
        version,
        machine,
        notes.sha256,
        tuple(tasks),
        image,
        extra.get(_EXCCAUSE) if is_xtensa else None,
        extra.get(_EXCVADDR) if is_xtensa else None,
        notes.panic,
        tuple(memory),
    )


def _notes(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 12 <= len(data):
        name_size, size, kind = struct.unpack_from("<III", data, at)
        start = at + 12 + (name_size + 3) // 4 * 4
        yield kind, data[start : start + size]
        at = start + (size + 3) // 4 * 4


def _take_note(notes: _Notes, kind: int, data: bytes) -> None:
    if kind == _PRSTATUS:
        (block,) = struct.unpack_from("<I", data, _PID_AT)
        words = data[_REGISTERS_AT : _REGISTERS_AT + (len(data) - _REGISTERS_AT) // 4 * 4]
        notes.registers.append((block, struct.unpack(f"<{len(words) // 4}I", words)))
    elif kind == _TASK:
        _, flags, block, _, _ = struct.unpack_from("<5I", data)
        notes.names[block] = (_text(data[20:36]), flags)
    elif kind == _EXTRA:
        notes.extra = struct.unpack(f"<{len(data) // 4}I", data[: len(data) // 4 * 4])
    elif kind == _PANIC:
        notes.panic = _text(data)
    elif kind == _INFO and len(data) > 4:
        found = re.match(rb"[0-9a-f]+", data[4:68])
        notes.sha256 = found[0].decode() if found else ""


def _xtensa_way(registers: Sequence[int], memory: Sequence[tuple[int, bytes]]) -> tuple[int, ...]:
    """The way to where a task was, from the stack: each window was saved below its frame."""
    pc, caller, pointer = registers[0], registers[_XTENSA_AR], registers[_XTENSA_AR + 1]
    way = [pc]
    while caller and len(way) < _MAX_FRAMES:
        # A return address holds the window's size above; it leads behind the call.
        way.append((caller & _CODE_MASK | 0x40000000) - 3)
        saved = _read_memory(memory, pointer - 16, 8)
        if saved is None:
            break
        caller, following = struct.unpack("<II", saved)
        if following <= pointer:
            break
        pointer = following
    return tuple(way)


def _task_name(block: int, memory: Sequence[tuple[int, bytes]]) -> str:
    """A task's name from its control block; "" where none stands there."""
    found = _NAME.match(_read_memory(memory, block + _NAME_AT, 16) or b"")
    return found[1].decode("ascii") if found else ""


def _read_memory(memory: Sequence[tuple[int, bytes]], address: int, size: int) -> bytes | None:
    for start, data in memory:
        if start <= address and address + size <= start + len(data):
            return data[address - start : address - start + size]
    return None


def _text(data: bytes) -> str:
    text = data.split(b"\0", 1)[0].decode("ascii", "backslashreplace")
    return "".join(letter if letter.isprintable() else "?" for letter in text)
