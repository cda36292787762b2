# SPDX-License-Identifier: GPL-3.0-or-later
"""Core dumps as ESP-IDF writes them, of tasks that a test makes up."""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

STACK, FRAME = 0x3FFB4E00, 0x20
EXCCAUSE, EXCVADDR = 232, 238


@dataclass(frozen=True)
class Task:
    """A task and its way to where it was, innermost first (code addresses of an Xtensa)."""

    name: str
    way: tuple[int, ...]
    block: int = 0x3FFAFBA0


def note(name: str, kind: int, data: bytes) -> bytes:
    text = name.encode() + b"\0"
    padded = data.ljust((len(data) + 3) // 4 * 4, b"\0")
    head = struct.pack("<III", len(text), len(data), kind)
    return head + text.ljust((len(text) + 3) // 4 * 4, b"\0") + padded


def returning(address: int) -> int:
    """What the processor keeps for `address` as the place of a call."""
    return (address + 3) & 0x3FFFFFFF | 0x80000000 if address else 0


def registers(task: Task, stack: int) -> bytes:
    """PRSTATUS of an Xtensa."""
    words = [0] * (64 + 64)
    words[0] = task.way[0]
    words[64] = returning(task.way[1]) if len(task.way) > 1 else 0
    words[65] = stack
    head = bytearray(72)
    struct.pack_into("<I", head, 24, task.block)
    return bytes(head) + struct.pack(f"<{len(words)}I", *words)


def stack_memory(task: Task, stack: int) -> bytes:
    """Each frame's caller, saved below it; from 16 bytes below `stack` on."""
    data = bytearray(FRAME * (len(task.way) + 2))
    for at, caller in enumerate([*task.way[2:], 0]):
        struct.pack_into("<II", data, at * FRAME, returning(caller), stack + (at + 1) * FRAME)
    return bytes(data)


def control_block(task: Task) -> bytes:
    return (bytes(52) + task.name.encode().ljust(16, b"\0")).ljust(96, b"\0")


def core_dump(
    tasks: Sequence[Task],
    *,
    sha256: str = "",
    panic: str = "",
    cause: tuple[int, int] | None = (28, 0),
    version: tuple[int, int] = (1, 2),
    chip: int = 0,
) -> bytes:
    """The dump as it stands in flash; the first task crashed."""
    notes = b""
    segments: list[tuple[int, bytes]] = []
    for at, task in enumerate(tasks):
        stack = STACK + 0x1000 * at
        notes += note("CORE", 1, registers(task, stack))
        segments += [(task.block, control_block(task)), (stack - 16, stack_memory(task, stack))]
    extra = [tasks[0].block]
    if cause is not None:
        extra += [EXCCAUSE, cause[0], EXCVADDR, cause[1]]
    word = chip << 16 | version[0] << 8 | version[1]
    info = note(
        "ESP_CORE_DUMP_INFO", 8266, struct.pack("<I", word) + sha256.encode().ljust(64, b"\0")
    )
    info += note("EXTRA_INFO", 677, struct.pack(f"<{len(extra)}I", *extra))
    if panic:
        info += note("PANIC_DETAILS", 679, panic.encode())
    elf = _elf([(4, 0, notes), (4, 0, info), *((1, *each) for each in segments)])
    header_size = {(1, 2): 24, (1, 3): 24, (1, 0): 20, (1, 1): 20, (1, 4): 12}[version]
    sums = 4 if version in {(1, 0), (1, 2)} else 32
    header = struct.pack("<II", header_size + len(elf) + sums, word).ljust(header_size, b"\0")
    body = header + elf
    if sums == 4:
        return body + struct.pack("<I", zlib.crc32(body))
    return body + hashlib.sha256(body).digest()


def _elf(parts: Sequence[tuple[int, int, bytes]]) -> bytes:
    at = 52 + 32 * len(parts)
    table = data = b""
    for kind, address, content in parts:
        table += struct.pack(
            "<8I", kind, at + len(data), address, 0, len(content), len(content), 6, 0
        )
        data += content
    ident = b"\x7fELF\x01\x01\x01".ljust(16, b"\0")
    head = struct.pack("<HHIIIIIHHHHHH", 4, 94, 1, 0, 52, 0, 0, 52, 32, len(parts), 0, 0, 0)
    return ident + head + table + data
