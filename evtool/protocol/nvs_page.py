# SPDX-License-Identifier: GPL-3.0-or-later
"""One page of ESP-IDF's NVS: 32 bytes of header, 32 of entry states, 126 entries of 32.

Source: ESP-IDF, docs `storage/nvs_flash.rst` and `nvs_flash/src/nvs_page.*`. All integers
are little-endian. Flash is NOR: a write can only clear bits, an erase sets a whole page.

    header   state u32 · sequence u32 · version u8 (FE = 2) · 19 x FF · CRC32 of bytes 4..27
    bitmap   two bits an entry: 11 empty, 10 written, 00 erased
    entry    namespace u8 · type u8 · span u8 · chunk u8 (FF: none) · CRC32 of bytes 0..3
             and 8..31 · key, 16 bytes NUL-padded · data, 8 bytes
    variable data: size u16 · FFFF · CRC32 of the data, which follows in whole entries
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum

PAGE_SIZE = 4096
ENTRY_SIZE = 32
ENTRY_COUNT = 126
FIRST_ENTRY = 64
BITMAP = 32
NO_CHUNK = 0xFF
KEY_BYTES = 15
BLANK_PAGE = b"\xff" * PAGE_SIZE
BLANK_ENTRY = b"\xff" * ENTRY_SIZE
_VERSION_2 = 0xFE
_VERSIONS = (0xFF, _VERSION_2)

STR = 0x21
BLOB_V1 = 0x41
BLOB_DATA = 0x42
BLOB_INDEX = 0x48
VARIABLE = (STR, BLOB_V1, BLOB_DATA)
# type code -> size in bytes, signed
INTEGERS: dict[int, tuple[int, bool]] = {
    0x01: (1, False),
    0x11: (1, True),
    0x02: (2, False),
    0x12: (2, True),
    0x04: (4, False),
    0x14: (4, True),
    0x08: (8, False),
    0x18: (8, True),
}


class PageState(IntEnum):
    """A page's life, each state reached from the one before by clearing bits."""

    BLANK = 0xFFFFFFFF
    ACTIVE = 0xFFFFFFFE
    FULL = 0xFFFFFFFC
    FREEING = 0xFFFFFFF8
    CORRUPT = 0xFFFFFFF0


class EntryState(IntEnum):
    """The two bits of an entry in the bitmap; 1 never occurs in a sound page."""

    ERASED = 0
    ILLEGAL = 1
    WRITTEN = 2
    EMPTY = 3


@dataclass(frozen=True, slots=True)
class NvsItem:
    """One item as it stands in a page.

    Attributes:
        index: its first entry, 0..125.
        namespace: the namespace's number; 0 declares one.
        type: the type code.
        chunk: the chunk's number, or NO_CHUNK.
        key: the key, or a namespace's name.
        data: the entry's last 8 bytes.
        payload: the variable data; empty for the other types.
        raw: all of its entries, for copying.
    """

    index: int
    namespace: int
    type: int
    chunk: int
    key: str
    data: bytes
    payload: bytes
    raw: bytes

    @property
    def span(self) -> int:
        """How many entries it takes."""
        return len(self.raw) // ENTRY_SIZE


@dataclass(slots=True)
class NvsPage:
    """What stands in one page.

    Attributes:
        state: CORRUPT where the header is neither blank nor sound.
        sequence: pages are read in this order.
        items: every sound item, in order.
        used_until: the first entry from which on all are empty and blank.
        dirty_entries: entries marked empty that are not blank: a write was cut short.
        problems: one sentence for each thing that is wrong.
    """

    state: PageState
    sequence: int = 0
    items: list[NvsItem] = field(default_factory=list)
    used_until: int = 0
    dirty_entries: list[int] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def is_live(self) -> bool:
        """Whether its items count."""
        return self.state in (PageState.ACTIVE, PageState.FULL, PageState.FREEING)

    @property
    def live_entries(self) -> int:
        """Entries that a copy of its items would take."""
        return sum(item.span for item in self.items)


def crc32(data: bytes) -> int:
    """NVS's CRC-32: zlib's, started with FFFFFFFF."""
    return zlib.crc32(data, 0xFFFFFFFF)


def encode_header(state: PageState, sequence: int) -> bytes:
    """A page header; ValueError where the sequence number does not fit."""
    if not 0 <= sequence <= 0xFFFFFFFF:
        raise ValueError("the page sequence numbers are used up")
    body = struct.pack("<IB", sequence, _VERSION_2) + b"\xff" * 19
    return struct.pack("<I", state) + body + struct.pack("<I", crc32(body))


def encode_entry(
    namespace: int, type_code: int, span: int, chunk: int, key: str, data: bytes
) -> bytes:
    """One 32-byte entry; `data` (up to 8 bytes) is padded with FF."""
    start = bytes((namespace, type_code, span, chunk))
    rest = key.encode("ascii").ljust(16, b"\0") + data.ljust(8, b"\xff")
    return start + struct.pack("<I", crc32(start + rest)) + rest


def encode_variable(namespace: int, type_code: int, chunk: int, key: str, payload: bytes) -> bytes:
    """An item with variable data: its entry and the entries that hold `payload`."""
    data_entries = -(-len(payload) // ENTRY_SIZE)
    about = struct.pack("<HHI", len(payload), 0xFFFF, crc32(payload))
    head = encode_entry(namespace, type_code, data_entries + 1, chunk, key, about)
    return head + payload.ljust(data_entries * ENTRY_SIZE, b"\xff")


def entry_state(page: bytes, index: int) -> int:
    """The two bits of entry `index`: an EntryState, as the plain int that is quick to make."""
    return page[BITMAP + index // 4] >> (index % 4 * 2) & 3


def marked(bitmap: bytes, first: int, count: int, state: EntryState) -> bytes:
    """The 32 bytes of `bitmap` with `count` entries from `first` moved on to `state`."""
    changed = bytearray(bitmap)
    for index in range(first, first + count):
        shift = index % 4 * 2
        changed[index // 4] &= ~((~state & 3) << shift) & 0xFF
    return bytes(changed)


def entry_offset(index: int) -> int:
    """Where entry `index` starts in its page."""
    return FIRST_ENTRY + index * ENTRY_SIZE


def without_erased(image: bytes) -> bytes:
    """An image with zeros in every erased entry, which else keeps its old value readable."""
    changed = bytearray(image)
    for start in range(0, len(image) - PAGE_SIZE + 1, PAGE_SIZE):
        page = image[start : start + PAGE_SIZE]
        for index in range(ENTRY_COUNT):
            if entry_state(page, index) == EntryState.ERASED:
                at = start + entry_offset(index)
                changed[at : at + ENTRY_SIZE] = bytes(ENTRY_SIZE)
    return bytes(changed)


def scan_page(page: bytes) -> NvsPage:
    """What stands in a page of 4096 bytes, whatever they are."""
    if page == BLANK_PAGE:
        return NvsPage(PageState.BLANK)
    state, sequence, version, stored = struct.unpack_from("<IIB19xI", page)
    if stored != crc32(page[4:28]) or version not in _VERSIONS:
        return NvsPage(PageState.CORRUPT, problems=["the page header is damaged"])
    if state not in (PageState.ACTIVE, PageState.FULL, PageState.FREEING):
        return NvsPage(PageState.CORRUPT, problems=[f"unknown page state {state:08X}"])
    found = NvsPage(PageState(state), sequence)
    for index in range(ENTRY_COUNT):
        is_empty = entry_state(page, index) == EntryState.EMPTY
        start = entry_offset(index)
        is_dirty = is_empty and page[start : start + ENTRY_SIZE] != BLANK_ENTRY
        if is_dirty:
            found.dirty_entries.append(index)
        if is_dirty or not is_empty:
            found.used_until = index + 1
    if found.dirty_entries:
        found.problems.append(f"{len(found.dirty_entries)} entries hold an unfinished write")
    for item in _items(page):
        if isinstance(item, str):
            found.problems.append(item)
        else:
            found.items.append(item)
    return found


def _items(page: bytes) -> Iterator[NvsItem | str]:
    index = 0
    while index < ENTRY_COUNT:
        state = entry_state(page, index)
        if state == EntryState.WRITTEN:
            span, item = _item(page, index)
            index += span
            yield item
            continue
        if state == EntryState.ILLEGAL:
            yield f"entry {index}: illegal state"
        index += 1


def _item(page: bytes, index: int) -> tuple[int, NvsItem | str]:
    """The item at `index` (or what is wrong with it) and how many entries to go on by."""
    start = entry_offset(index)
    entry = page[start : start + ENTRY_SIZE]
    namespace, type_code, span, chunk, stored = struct.unpack_from("<BBBBI", entry)
    if stored != crc32(entry[:4] + entry[8:]) or not 1 <= span <= ENTRY_COUNT - index:
        return 1, f"entry {index}: checksum or span wrong"
    if any(entry_state(page, other) != EntryState.WRITTEN for other in range(index, index + span)):
        return span, f"entry {index}: only some of its {span} entries are written"
    key = _key(entry[8:24])
    if key is None:
        return span, f"entry {index}: key is not 1-15 ASCII characters"
    raw = page[start : start + span * ENTRY_SIZE]
    payload = _payload(type_code, raw)
    if isinstance(payload, str):
        return span, f"{key}: {payload}"
    return span, NvsItem(index, namespace, type_code, chunk, key, entry[24:], payload, raw)


def _payload(type_code: int, raw: bytes) -> bytes | str:
    """The variable data of an item (empty for the other types), or what is wrong."""
    span = len(raw) // ENTRY_SIZE
    if type_code not in VARIABLE:
        is_known = type_code in INTEGERS or type_code == BLOB_INDEX
        return b"" if is_known and span == 1 else f"unknown type {type_code:02X}"
    size, stored = struct.unpack_from("<H2xI", raw, 24)
    if span != 1 + -(-size // ENTRY_SIZE):
        return f"{size} bytes do not take {span} entries"
    payload = raw[ENTRY_SIZE : ENTRY_SIZE + size]
    return payload if stored == crc32(payload) else "checksum of its data wrong"


def _key(field_bytes: bytes) -> str | None:
    name, _, padding = field_bytes.partition(b"\0")
    if not 1 <= len(name) <= KEY_BYTES or padding.strip(b"\0") or not name.isascii():
        return None
    return name.decode("ascii")
