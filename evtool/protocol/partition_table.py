# SPDX-License-Identifier: GPL-3.0-or-later
"""The partition table: partitions.csv as people write it, and the 0xC00 bytes at 0x8000.

A binary entry is `AA 50, type, subtype, offset u32, size u32, name 16, flags u32`; behind the
last one stands `EB EB`, 14 times FF and the MD5 of the entries, then FF to the end. Source:
Espressif, "Partition Tables". Offsets and sizes are bytes.
"""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from evtool.errors import ConfigError
from evtool.protocol.can_frame import Malformed

TABLE_OFFSET = 0x8000
TABLE_SIZE = 0xC00
FIRST_OFFSET = 0x9000
MAX_ENTRIES = 95
SECTOR = 0x1000
APP_ALIGNMENT = 0x10000
OTA_DATA_SIZE = 0x2000

APP, DATA = 0x00, 0x01
TYPES = {"app": APP, "data": DATA}
SUBTYPES: dict[int, dict[str, int]] = {
    APP: {"factory": 0x00, "test": 0x20} | {f"ota_{n}": 0x10 + n for n in range(16)},
    DATA: {
        "ota": 0x00,
        "phy": 0x01,
        "nvs": 0x02,
        "coredump": 0x03,
        "nvs_keys": 0x04,
        "efuse": 0x05,
        "undefined": 0x06,
        "esphttpd": 0x80,
        "fat": 0x81,
        "spiffs": 0x82,
        "littlefs": 0x83,
    },
}
FLAGS = {"encrypted": 0x1, "readonly": 0x2}

_ENTRY = struct.Struct("<2sBBII16sI")
_ENTRY_MAGIC = b"\xaa\x50"
_MD5_MAGIC = b"\xeb\xeb" + b"\xff" * 14
_ERASED = b"\xff" * _ENTRY.size
_NUMBER = re.compile(r"(0x[0-9a-f]+|[0-9]+)([km]?)\Z", re.IGNORECASE)
_UNITS = {"": 1, "k": 1024, "m": 1024 * 1024}


@dataclass(frozen=True, slots=True)
class Partition:
    """One entry; `offset` and `size` in bytes, `flags` as in `FLAGS`."""

    name: str
    type: int
    subtype: int
    offset: int
    size: int
    flags: int = 0

    @property
    def end(self) -> int:
        """The first byte behind it."""
        return self.offset + self.size

    @property
    def type_name(self) -> str:
        """`app`, `data` or the number."""
        return _name_of(self.type, TYPES)

    @property
    def subtype_name(self) -> str:
        """The word that partitions.csv uses, or the number."""
        return _name_of(self.subtype, SUBTYPES.get(self.type, {}))

    @property
    def flag_names(self) -> tuple[str, ...]:
        """The flags that are set and have a name."""
        return tuple(name for name, bit in FLAGS.items() if self.flags & bit)


def encode(partitions: Iterable[Partition]) -> bytes:
    """The table as it stands in flash, `TABLE_SIZE` bytes.

    Raises:
        ValueError: the first rule that is broken.
    """
    entries = tuple(partitions)
    for _, problem in broken_rules(entries):
        raise ValueError(problem)
    body = b"".join(
        _ENTRY.pack(
            _ENTRY_MAGIC, p.type, p.subtype, p.offset, p.size, p.name.encode("ascii"), p.flags
        )
        for p in entries
    )
    return (body + _MD5_MAGIC + hashlib.md5(body, usedforsecurity=False).digest()).ljust(
        TABLE_SIZE, b"\xff"
    )


def decode(data: bytes) -> tuple[Partition, ...] | Malformed:
    """Read the table that `data` begins with; the reasons are the boot loader's.

    As on the chip, the rules of `broken_rules` are not asked here, and a table without an
    MD5 is taken as it is.
    """
    partitions: list[Partition] = []
    for number in range(TABLE_SIZE // _ENTRY.size):
        start = number * _ENTRY.size
        entry = data[start : start + _ENTRY.size]
        if entry == _ERASED:
            return tuple(partitions)
        if len(entry) < _ENTRY.size:
            break
        if entry.startswith(_MD5_MAGIC[:2]):
            digest = hashlib.md5(data[:start], usedforsecurity=False).digest()
            if entry[16:] != digest:
                return Malformed(
                    f"calculated md5: {digest.hex()}, stored md5: {entry[16:].hex()}: no match"
                )
            return tuple(partitions)
        magic, type_, subtype, offset, size, name, flags = _ENTRY.unpack(entry)
        if magic != _ENTRY_MAGIC:
            value = int.from_bytes(magic, "little")
            return Malformed(f"partition {number} invalid magic number {value:#x}")
        text = name.split(b"\0", 1)[0].decode("ascii", "replace")
        partitions.append(Partition(text, type_, subtype, offset, size, flags))
    return Malformed("partition table has no end")


def parse(text: str, *, file: Path | str = "partitions.csv") -> tuple[Partition, ...]:
    """Read partitions.csv: `name, type, subtype, offset, size, flags`, one partition a line.

    Numbers are decimal or 0x..., with K or M behind them where wanted. An empty offset means
    the next free place.

    Raises:
        ConfigError: naming every line that is wrong.
    """
    rows: list[tuple[int, Partition]] = []
    problems: list[tuple[int, str]] = []
    end = FIRST_OFFSET
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            partition = _parse_line(line, end)
        except ValueError as error:
            problems.append((number, str(error)))
            continue
        rows.append((number, partition))
        end = partition.end
    if not problems:
        lines = [number for number, _ in rows]
        partitions = [partition for _, partition in rows]
        problems = [
            (lines[index] if lines else 1, text) for index, text in broken_rules(partitions)
        ]
    if problems:
        raise ConfigError(
            "\n  ".join(f"{file}:{number}: {problem}" for number, problem in problems),
            fix="correct the named line; see docs/flash-layout.md",
        )
    return tuple(partition for _, partition in rows)


def broken_rules(partitions: Iterable[Partition]) -> list[tuple[int, str]]:
    """What the tools and boot loaders of Espressif would refuse: index and sentence.

    Stricter than the oldest of them in one thing: data partitions stand on whole sectors.
    """
    entries = tuple(partitions)
    found: list[tuple[int, str]] = []
    if not entries:
        found.append((0, "the table has no partition"))
    if len(entries) > MAX_ENTRIES:
        found.append((MAX_ENTRIES, f"{len(entries)} partitions; a table holds {MAX_ENTRIES}"))
    names: set[str] = set()
    for index, partition in enumerate(entries):
        found.extend((index, text) for text in _broken_alone(partition))
        if partition.name in names:
            found.append((index, f"a second partition has the name {partition.name!r}"))
        names.add(partition.name)
    order = sorted(range(len(entries)), key=lambda index: entries[index].offset)
    for before, after in pairwise(order):
        if entries[before].end > entries[after].offset:
            found.append((after, _overlap(entries[before], entries[after])))
    return found + _broken_ota(entries)


def find(partitions: Iterable[Partition], name: str) -> Partition | None:
    """The partition called `name`."""
    return next((partition for partition in partitions if partition.name == name), None)


def find_nvs_keys(partitions: Iterable[Partition]) -> Partition | None:
    """The partition for the keys of encrypted NVS, as the firmware looks for it: by its type."""
    wanted = (DATA, SUBTYPES[DATA]["nvs_keys"])
    return next((each for each in partitions if (each.type, each.subtype) == wanted), None)


def parse_size(text: str) -> int:
    """`4096`, `0x1000`, `24K` or `1M` as bytes.

    Raises:
        ValueError: it is none of these.
    """
    match = _NUMBER.match(text)
    if match is None:
        raise ValueError(f"{text!r} is not a number such as 24K, 1M, 0x6000 or 4096")
    return int(match[1], 0) * _UNITS[match[2].lower()]


def _parse_line(line: str, next_offset: int) -> Partition:
    fields = [field.strip() for field in line.split("#", 1)[0].split(",")]
    while len(fields) > 6 and not fields[-1]:
        fields.pop()
    if len(fields) > 6:
        raise ValueError(f"{len(fields)} fields; there are 6: name to flags")
    name, type_text, subtype_text, offset_text, size_text, flag_text = fields + [""] * (
        6 - len(fields)
    )
    type_ = _code(type_text, TYPES, "type")
    if not subtype_text and type_ == DATA:
        subtype_text = "undefined"
    subtype = _code(subtype_text, SUBTYPES.get(type_, {}), "subtype")
    if not size_text:
        raise ValueError("the size is missing")
    alignment = APP_ALIGNMENT if type_ == APP else SECTOR
    offset = parse_size(offset_text) if offset_text else -(-next_offset // alignment) * alignment
    flags = 0
    for flag in filter(None, flag_text.split(":")):
        if flag not in FLAGS:
            raise ValueError(f"flag {flag!r} is not one of {', '.join(FLAGS)}")
        flags |= FLAGS[flag]
    return Partition(name, type_, subtype, offset, parse_size(size_text), flags)


def _code(text: str, known: dict[str, int], what: str) -> int:
    if text in known:
        return known[text]
    try:
        value = int(text, 0)
    except ValueError:
        names = ", ".join(known) or "a number"
        raise ValueError(f"{what} {text!r} is not one of {names}") from None
    if not 0 <= value <= 0xFE:
        raise ValueError(f"{what} {text} is not between 0 and 0xFE")
    return value


def _broken_alone(partition: Partition) -> list[str]:
    name, found = partition.name, []
    if not re.fullmatch(r"[\x21-\x7e]{1,15}", name) or "," in name:
        found.append(f"name {name!r}: 1 to 15 printable ASCII characters, no blank, no comma")
    if not 0 <= partition.type <= 0xFE or not 0 <= partition.subtype <= 0xFE:
        found.append(f"{name}: type and subtype must be between 0 and 0xFE")
    if not 0 <= partition.flags <= 0xFFFFFFFF:
        found.append(f"{name}: the flags do not fit 32 bits")
    if partition.offset < FIRST_OFFSET:
        found.append(
            f"{name}: offset {partition.offset:#x} is below {FIRST_OFFSET:#x}, where the boot "
            "loader and this table stand"
        )
    alignment = APP_ALIGNMENT if partition.type == APP else SECTOR
    if partition.offset % alignment:
        found.append(f"{name}: offset {partition.offset:#x} is not a multiple of {alignment:#x}")
    if partition.size <= 0 or partition.size % SECTOR:
        found.append(f"{name}: size {partition.size:#x} is not a multiple of {SECTOR:#x}")
    if partition.end > 1 << 32:
        found.append(f"{name}: ends at {partition.end:#x}, beyond 32 bits")
    is_nvs = partition.type == DATA and partition.subtype == SUBTYPES[DATA]["nvs"]
    if is_nvs and not partition.flags & FLAGS["readonly"] and 0 < partition.size < 3 * SECTOR:
        found.append(f"{name}: an NVS partition needs at least {3 * SECTOR:#x} bytes")
    return found


def _broken_ota(entries: tuple[Partition, ...]) -> list[tuple[int, str]]:
    """otadata stands once and has two sectors, and OTA slots need it."""
    data = [
        (index, p)
        for index, p in enumerate(entries)
        if (p.type, p.subtype) == (DATA, SUBTYPES[DATA]["ota"])
    ]
    slots = [i for i, p in enumerate(entries) if p.type == APP and 0x10 <= p.subtype <= 0x1F]
    found = [(index, f"{p.name}: a second partition for OTA data") for index, p in data[1:]]
    found += [
        (index, f"{p.name}: OTA data must have the size {OTA_DATA_SIZE:#x}")
        for index, p in data
        if p.size != OTA_DATA_SIZE
    ]
    if len(slots) > 1 and not data:
        found.append((slots[1], "two OTA slots need a partition of type data, subtype ota"))
    return found


def _overlap(before: Partition, after: Partition) -> str:
    return (
        f"{after.name}: offset {after.offset:#x} lies in {before.name} "
        f"({before.offset:#x} to {before.end - 1:#x})"
    )


def _name_of(code: int, known: dict[str, int]) -> str:
    return next((name for name, value in known.items() if value == code), f"{code:#04x}")
