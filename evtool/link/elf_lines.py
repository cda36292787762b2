# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses of an ELF file as places in its source, from its own DWARF; no toolchain needed.

For an address: the line table of its compilation unit says file and line, the unit's entries say
the function, and which calls were inlined there (DWARF 5, chapters 3.3.8 and 6.2).
"""

from __future__ import annotations

import bisect
import hashlib
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elftools.common.exceptions import DWARFError, ELFError
from elftools.dwarf.descriptions import describe_form_class
from elftools.elf.constants import SH_FLAGS
from elftools.elf.elffile import ELFFile

BUILD_ID_SYMBOL = "kBuildId"  # firmware/src/version.cpp
_MAX_TEXT = 64


@dataclass(frozen=True, slots=True)
class Place:
    """Function, file and line (0: not known)."""

    function: str
    file: str
    line: int


@dataclass(frozen=True, slots=True)
class ElfFacts:
    """What tells one ELF file from another; `machine` as pyelftools names it (`EM_XTENSA`)."""

    sha256: str
    machine: str
    build_id: str
    has_lines: bool


class ElfLines:
    """One ELF file, read whole.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no ELF file, or a broken one.
    """

    def __init__(self, path: Path) -> None:
        data = path.read_bytes()
        self.sha256 = hashlib.sha256(data).hexdigest()
        try:
            self._elf: Any = ELFFile(io.BytesIO(data))
            self._code = sorted(
                (section["sh_addr"], section["sh_addr"] + section["sh_size"])
                for section in self._elf.iter_sections()
                if section["sh_flags"] & SH_FLAGS.SHF_EXECINSTR
            )
            has_lines = bool(self._elf.get_section_by_name(".debug_line"))
            self._dwarf: Any = self._elf.get_dwarf_info() if has_lines else None
        except (ELFError, DWARFError, AssertionError, UnicodeDecodeError) as error:
            raise ValueError(f"no ELF file that can be read: {error}") from error
        self._symbols: list[tuple[int, int, str]] | None = None
        self._units: dict[int, _Unit] = {}
        self._spans: list[tuple[int, int, int]] | None = None

    @property
    def facts(self) -> ElfFacts:
        """What tells it from others."""
        machine = self._elf["e_machine"]
        return ElfFacts(self.sha256, str(machine), self._build_id(), self._dwarf is not None)

    def holds(self, address: int) -> bool:
        """Whether the program has code there."""
        at = bisect.bisect(self._code, (address, 1 << 64)) - 1
        return at >= 0 and self._code[at][0] <= address < self._code[at][1]

    @property
    def dwarf(self) -> Any:
        """pyelftools' DWARFInfo; None without debug information."""
        return self._dwarf

    def places(self, address: int) -> list[Place]:
        """The function at `address`, then those it was inlined into; [] where none is known."""
        if not self.holds(address):
            return []
        unit = self._unit(address)
        found = [] if unit is None else unit.places(address)
        if not found or not found[0].function:
            symbol = self._symbol(address)
            if symbol:
                file, line = (found[0].file, found[0].line) if found else ("", 0)
                found = [Place(symbol, file, line), *found[1:]]
        return found

    def _unit(self, address: int) -> _Unit | None:
        if self._dwarf is None:
            return None
        offset = self._unit_offset(address)
        if offset is None:
            return None
        if offset not in self._units:
            self._units[offset] = _Unit(self._dwarf, self._dwarf.get_CU_at(offset))
        return self._units[offset]

    def _unit_offset(self, address: int) -> int | None:
        if self._spans is None:
            self._spans = sorted(self._unit_spans())
        at = bisect.bisect(self._spans, (address, 1 << 64, 0)) - 1
        # Spans of two units may overlap where the linker dropped one of them (it is at 0 then).
        while at >= 0 and address - self._spans[at][0] < 1 << 24:
            low, high, offset = self._spans[at]
            if low <= address < high:
                return offset
            at -= 1
        return None

    def _unit_spans(self) -> Iterator[tuple[int, int, int]]:
        # Not from .debug_aranges: for functions that the linker dropped it holds pairs of zeros,
        # which also end a table, so that readers stop there.
        for unit in self._dwarf.iter_CUs():
            for low, high in _spans(self._dwarf, unit, unit.get_top_DIE()):
                yield low, high, unit.cu_offset

    def _symbol(self, address: int) -> str:
        if self._symbols is None:
            table = self._elf.get_section_by_name(".symtab")
            self._symbols = sorted(
                (symbol["st_value"], symbol["st_size"], symbol.name)
                for symbol in (table.iter_symbols() if table is not None else ())
                if symbol["st_info"]["type"] == "STT_FUNC"
            )
        at = bisect.bisect(self._symbols, (address, 1 << 64, "")) - 1
        if at < 0:
            return ""
        start, size, name = self._symbols[at]
        return name if start <= address < start + max(size, 1) else ""

    def _build_id(self) -> str:
        """The text that the program's pointer `kBuildId` leads to."""
        table = self._elf.get_section_by_name(".symtab")
        symbols = (table.get_symbol_by_name(BUILD_ID_SYMBOL) or []) if table is not None else []
        for symbol in symbols:
            size = self._elf.elfclass // 8
            pointer = self._at(symbol["st_value"], size)
            little = pointer if self._elf.little_endian else pointer[::-1]
            text = self._at(int.from_bytes(little, "little"), _MAX_TEXT)
            found = text.split(b"\0", 1)[0]
            if found.isascii() and found:
                return found.decode()
        return ""

    def _at(self, address: int, size: int) -> bytes:
        for section in self._elf.iter_sections():
            start = section["sh_addr"]
            if start and start <= address < start + section["sh_size"]:
                if section["sh_type"] == "SHT_NOBITS":
                    return b""
                data: bytes = section.data()
                return data[address - start : address - start + size]
        return b""


class _Unit:
    """One compilation unit: its line table, and its functions."""

    def __init__(self, dwarf: Any, unit: Any) -> None:
        self._dwarf = dwarf
        self._unit = unit
        self._program = dwarf.line_program_for_CU(unit)
        self._rows = sorted(self._line_rows())
        self._folder = _text(unit.get_top_DIE(), "DW_AT_comp_dir")
        top = unit.get_top_DIE()
        self._functions = list(self._function_spans(top))

    def places(self, address: int) -> list[Place]:
        file, line = self._line(address)
        calls = self._calls(address)
        if not calls:
            return [Place("", file, line)] if file else []
        found = []
        # Innermost first: it is at the line of the table, each outer one where it calls.
        for die in reversed(calls):
            found.append(Place(_qualified(die), file, line))
            file = self._file(_number(die, "DW_AT_call_file"))
            line = _number(die, "DW_AT_call_line")
        return found

    def _line_rows(self) -> Iterator[tuple[int, int, int, int]]:
        if self._program is None:
            return
        last: Any = None
        for entry in self._program.get_entries():
            state = entry.state
            if state is None:
                continue
            if last is not None and state.address > last.address:
                yield last.address, state.address, last.file, last.line
            last = None if state.end_sequence else state

    def _line(self, address: int) -> tuple[str, int]:
        at = bisect.bisect(self._rows, (address, 1 << 64, 0, 0)) - 1
        if at < 0 or not self._rows[at][0] <= address < self._rows[at][1]:
            return "", 0
        _, _, file, line = self._rows[at]
        return self._file(file), line

    def _file(self, number: int) -> str:
        if self._program is None:
            return ""
        header = self._program.header
        is_new = header["version"] >= 5
        entries = header["file_entry"]
        index = number if is_new else number - 1
        if not 0 <= index < len(entries):
            return ""
        entry = entries[index]
        name = _decoded(entry.name)
        folders = header["include_directory"]
        if is_new:
            folder = _decoded(folders[entry.dir_index]) if entry.dir_index < len(folders) else ""
        elif entry.dir_index == 0:
            folder = self._folder
        else:
            at = entry.dir_index - 1
            folder = _decoded(folders[at]) if at < len(folders) else ""
        joined = Path(folder) / name if folder else Path(name)
        return str(joined if joined.is_absolute() or not self._folder else self._folder / joined)

    def _function_spans(self, die: Any) -> Iterator[tuple[int, int, Any]]:
        for child in die.iter_children():
            if child.tag == "DW_TAG_subprogram":
                for low, high in _spans(self._dwarf, self._unit, child):
                    yield low, high, child
            elif child.tag in {
                "DW_TAG_namespace",
                "DW_TAG_class_type",
                "DW_TAG_structure_type",
                "DW_TAG_lexical_block",
            }:
                yield from self._function_spans(child)

    def _calls(self, address: int) -> list[Any]:
        """The function that holds `address`, and the calls inlined there, outermost first."""
        for low, high, die in self._functions:
            if low <= address < high:
                return [die, *self._inlined(die, address)]
        return []

    def _inlined(self, die: Any, address: int) -> Iterator[Any]:
        for child in die.iter_children():
            if child.tag not in {"DW_TAG_inlined_subroutine", "DW_TAG_lexical_block"}:
                continue
            spans = list(_spans(self._dwarf, self._unit, child))
            is_block = child.tag == "DW_TAG_lexical_block"
            if any(low <= address < high for low, high in spans) or (is_block and not spans):
                if not is_block:
                    yield child
                yield from self._inlined(child, address)


def _spans(dwarf: Any, unit: Any, die: Any) -> Iterator[tuple[int, int]]:
    """The addresses that an entry covers."""
    attributes = die.attributes
    if "DW_AT_low_pc" in attributes and "DW_AT_high_pc" in attributes:
        low = attributes["DW_AT_low_pc"].value
        high = attributes["DW_AT_high_pc"]
        is_length = describe_form_class(high.form) == "constant"
        yield low, low + high.value if is_length else high.value
    elif "DW_AT_ranges" in attributes:
        ranges = dwarf.range_lists()
        if ranges is None:
            return
        top = unit.get_top_DIE().attributes
        base = top["DW_AT_low_pc"].value if "DW_AT_low_pc" in top else 0
        for entry in ranges.get_range_list_at_offset(attributes["DW_AT_ranges"].value, unit):
            if hasattr(entry, "base_address"):
                base = entry.base_address
            elif getattr(entry, "is_absolute", False):
                yield entry.begin_offset, entry.end_offset
            else:
                yield base + entry.begin_offset, base + entry.end_offset


def _qualified(die: Any) -> str:
    """A function's name with its namespaces and classes."""
    for name in ("DW_AT_abstract_origin", "DW_AT_specification"):
        while name in die.attributes:
            die = die.get_DIE_from_attribute(name)
    own = _text(die, "DW_AT_name")
    outer: list[str] = []
    parent = die.get_parent()
    while parent is not None and parent.tag != "DW_TAG_compile_unit":
        if parent.tag == "DW_TAG_namespace":
            outer.append(_text(parent, "DW_AT_name") or "(anonymous namespace)")
        elif parent.tag in {"DW_TAG_class_type", "DW_TAG_structure_type"}:
            outer.append(_text(parent, "DW_AT_name"))
        parent = parent.get_parent()
    return "::".join([*reversed(outer), own]) if own else ""


def _text(die: Any, name: str) -> str:
    value = die.attributes.get(name)
    return "" if value is None else _decoded(value.value)


def _number(die: Any, name: str) -> int:
    value = die.attributes.get(name)
    return value.value if value is not None and isinstance(value.value, int) else 0


def _decoded(value: bytes | str) -> str:
    return value if isinstance(value, str) else value.decode("utf-8", "replace")


def decode_addresses(elf: ElfLines, addresses: Iterable[int]) -> dict[int, list[Place]]:
    """The places of those addresses that the program knows."""
    found = {}
    for address in addresses:
        places = elf.places(address)
        if places:
            found[address] = places
    return found
