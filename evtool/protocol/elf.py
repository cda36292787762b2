# SPDX-License-Identifier: GPL-3.0-or-later
"""The sections of an ELF file (System V ABI, chapter 4): what a linked program is made of."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from evtool.protocol.can_frame import Malformed

XTENSA = 94
_NOBITS = 8
_WRITE, _ALLOC = 0x1, 0x2
# Of the file's header, from e_type on: machine, where the section headers are, how large one
# is, how many, and which of them holds the names.
_HEADERS = {1: "HHIIIIIHHHHHH", 2: "HHIQQQIHHHHHH"}
_SECTIONS = {1: "IIIIIIIIII", 2: "IIQQQQIIQQ"}


@dataclass(frozen=True, slots=True)
class Section:
    """One section; `address` and `size` in bytes, as the linker placed it."""

    name: str
    kind: int
    flags: int
    address: int
    size: int

    @property
    def is_loaded(self) -> bool:
        """Whether it takes memory when the program runs (debug information does not)."""
        return bool(self.flags & _ALLOC)

    @property
    def is_stored(self) -> bool:
        """Whether its content stands in the file, and so in an image made from it."""
        return self.is_loaded and self.kind != _NOBITS

    @property
    def is_writable(self) -> bool:
        """Whether the program may change it."""
        return bool(self.flags & _WRITE)


@dataclass(frozen=True, slots=True)
class Elf:
    """The machine (e_machine) and the sections."""

    machine: int
    sections: tuple[Section, ...]


def decode(data: bytes) -> Elf | Malformed:
    """The sections of an ELF file of 32 or 64 bits in either byte order."""
    if len(data) < 20 or data[:4] != b"\x7fELF":
        return Malformed("no ELF file")
    order = {1: "<", 2: ">"}.get(data[5])
    if order is None or data[4] not in _HEADERS:
        return Malformed("an ELF file of an unknown class or byte order")
    try:
        header = struct.unpack_from(order + _HEADERS[data[4]], data, 16)
        machine, offset, entry_size, count, names_index = header[1], header[5], *header[10:13]
        layout = struct.Struct(order + _SECTIONS[data[4]])
        if count and entry_size < layout.size:
            return Malformed(f"section headers of {entry_size} bytes")
        rows = [layout.unpack_from(data, offset + i * entry_size) for i in range(count)]
        names = b""
        if rows:
            _, _, _, _, at, size, *_ = rows[names_index]
            names = data[at : at + size]
    except (struct.error, IndexError):
        return Malformed("a truncated ELF file")
    return Elf(machine, tuple(_section(row, names) for row in rows))


def _section(row: tuple[int, ...], names: bytes) -> Section:
    name, kind, flags, address, _, size, *_ = row
    end = names.find(b"\0", name)
    text = names[name : end if end >= 0 else len(names)].decode("utf-8", "replace")
    return Section(text, kind, flags, address, size)
