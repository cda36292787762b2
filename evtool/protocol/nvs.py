# SPDX-License-Identifier: GPL-3.0-or-later
"""ESP-IDF's NVS partition as values: render an image from entries, read entries back.

`render_image` lays entries out as Espressif's `esp-idf-nvs-partition-gen` does, byte for
byte, and refuses what that tool accepts in silence: a key of more than 15 bytes or not
ASCII, a key given twice, a value out of range. `evtool.protocol.nvs_store` changes a
partition that is in use.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, cast

from evtool.protocol.nvs_page import (
    BLOB_DATA,
    BLOB_INDEX,
    BLOB_V1,
    ENTRY_COUNT,
    ENTRY_SIZE,
    INTEGERS,
    KEY_BYTES,
    NO_CHUNK,
    PAGE_SIZE,
    STR,
    EntryState,
    NvsItem,
    NvsPage,
    PageState,
    encode_entry,
    encode_header,
    encode_variable,
    marked,
    scan_page,
)

NvsKind = Literal["u8", "i8", "u16", "i16", "u32", "i32", "u64", "i64", "str", "blob"]
NvsContent = int | str | bytes

INTEGER_CODES: dict[str, int] = {
    f"{'i' if signed else 'u'}{size * 8}": code for code, (size, signed) in INTEGERS.items()
}
_INTEGER_KINDS = {code: cast(NvsKind, kind) for kind, code in INTEGER_CODES.items()}
_MAX_NAMESPACES = 254
_STRING_BYTES = 4000
_BLOB_BYTES = 508_000
_SMALLEST_WRITABLE = 3 * PAGE_SIZE


@dataclass(frozen=True, slots=True)
class NvsEntry:
    """One key of one namespace.

    Attributes:
        namespace, key: 1 to 15 ASCII characters.
        kind: the type's name.
        value: an int, a str (without its NUL) or bytes, as `kind` says.
    """

    namespace: str
    key: str
    kind: NvsKind
    value: NvsContent = field(repr=False)  # it may be a key or a passphrase


@dataclass(frozen=True, slots=True)
class NvsImage:
    """What a partition holds, and one sentence for each thing that is wrong with it."""

    entries: tuple[NvsEntry, ...]
    problems: tuple[str, ...]

    def get(self, namespace: str, key: str) -> NvsContent | None:
        """A key's value, or None."""
        for entry in self.entries:
            if (entry.namespace, entry.key) == (namespace, key):
                return entry.value
        return None


def check_entry(entry: NvsEntry) -> None:
    """ValueError, naming namespace and key, where NVS cannot hold the entry."""
    name = f"{entry.namespace}.{entry.key}"
    for what, text in (("namespace", entry.namespace), ("key", entry.key)):
        if not text.isascii() or not 1 <= len(text) <= KEY_BYTES or "\0" in text:
            raise ValueError(f"{name}: the {what} must be 1 to {KEY_BYTES} ASCII characters")
    value = entry.value
    if entry.kind in INTEGER_CODES:
        size, signed = INTEGERS[INTEGER_CODES[entry.kind]]
        low = -(1 << size * 8 - 1) if signed else 0
        high = low + (1 << size * 8) - 1
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise ValueError(f"{name}: {entry.kind} holds an integer from {low} to {high}")
    elif entry.kind == "str":
        if not isinstance(value, str) or "\0" in value:
            raise ValueError(f"{name}: str holds a text without NUL")
        if len(value.encode()) >= _STRING_BYTES:
            raise ValueError(f"{name}: str holds at most {_STRING_BYTES - 1} bytes of UTF-8")
    elif entry.kind == "blob":
        if not isinstance(value, bytes) or len(value) > _BLOB_BYTES:
            raise ValueError(f"{name}: blob holds at most {_BLOB_BYTES} bytes")
    else:
        raise ValueError(f"{name}: unknown kind {entry.kind}")


def encode_scalar(namespace: int, entry: NvsEntry) -> bytes:
    """The entries of an integer or a string."""
    if entry.kind == "str":
        payload = str(entry.value).encode() + b"\0"
        return encode_variable(namespace, STR, NO_CHUNK, entry.key, payload)
    code = INTEGER_CODES[entry.kind]
    size, signed = INTEGERS[code]
    data = int(cast(int, entry.value)).to_bytes(size, "little", signed=signed)
    return encode_entry(namespace, code, 1, NO_CHUNK, entry.key, data)


# --- render ---------------------------------------------------------------------------


def render_image(entries: Iterable[NvsEntry], size: int, *, read_only: bool = False) -> bytes:
    """A whole partition image that holds `entries`, in their order.

    Args:
        entries: the keys; a namespace is declared before its first one.
        size: the partition's size in bytes.
        read_only: the partition is flagged read-only: no page is kept empty.

    Raises:
        ValueError: a bad size, key or value, a key given twice, or too much for `size`.
    """
    least = PAGE_SIZE if read_only else _SMALLEST_WRITABLE
    if size % PAGE_SIZE or size < least:
        raise ValueError(f"an NVS partition is a multiple of 4096 and at least {least} bytes")
    writer = _ImageWriter(size // PAGE_SIZE - (0 if read_only else 1))
    namespaces: dict[str, int] = {}
    seen: set[tuple[str, str]] = set()
    for entry in entries:
        check_entry(entry)
        if (entry.namespace, entry.key) in seen:
            raise ValueError(f"{entry.namespace}.{entry.key}: given twice")
        seen.add((entry.namespace, entry.key))
        if entry.namespace not in namespaces:
            if len(namespaces) == _MAX_NAMESPACES:
                raise ValueError(f"more than {_MAX_NAMESPACES} namespaces")
            number = namespaces[entry.namespace] = len(namespaces) + 1
            writer.append(encode_entry(0, 0x01, 1, NO_CHUNK, entry.namespace, bytes((number,))))
        number = namespaces[entry.namespace]
        if isinstance(entry.value, bytes):
            writer.append_blob(number, entry.key, entry.value)
        else:
            writer.append(encode_scalar(number, entry))
    return writer.finish().ljust(size, b"\xff")


class _ImageWriter:
    """Fills pages one after the other."""

    def __init__(self, page_limit: int) -> None:
        self._page_limit = page_limit
        self._pages: list[bytes] = []
        self._items = bytearray()

    def _used(self) -> int:
        return len(self._items) // ENTRY_SIZE

    def _close_page(self, state: PageState) -> None:
        bitmap = marked(b"\xff" * 32, 0, self._used(), EntryState.WRITTEN)
        head = encode_header(state, len(self._pages)) + bitmap
        self._pages.append((head + self._items).ljust(PAGE_SIZE, b"\xff"))
        self._items.clear()

    def _next_page(self) -> None:
        if len(self._pages) + 1 >= self._page_limit:
            raise ValueError(
                f"the entries do not fit: {self._page_limit} pages of {ENTRY_COUNT} entries"
            )
        self._close_page(PageState.FULL)

    def append(self, item: bytes) -> None:
        """An integer or a string, which never crosses a page."""
        span = len(item) // ENTRY_SIZE
        # Espressif's generator leaves the last entry of a page free after a string. So do
        # we, but for the one string that needs a whole page, which it cannot place at all.
        spare = 1 if span > 1 else 0
        if self._used() + span + spare > ENTRY_COUNT and self._used() > 0:
            self._next_page()
        self._items += item

    def append_blob(self, namespace: int, key: str, value: bytes) -> None:
        """A blob in as many chunks as pages make necessary, then its index."""
        if self._used() == ENTRY_COUNT:
            self._next_page()
        chunks = 0
        rest = value
        while True:
            room = (ENTRY_COUNT - self._used() - 1) * ENTRY_SIZE
            part, rest = rest[:room], rest[room:]
            self._items += encode_variable(namespace, BLOB_DATA, chunks, key, part)
            chunks += 1
            if self._used() == ENTRY_COUNT:
                self._next_page()
            if not rest:
                break
        about = struct.pack("<IBBH", len(value), chunks, 0, 0xFFFF)
        self._items += encode_entry(namespace, BLOB_INDEX, 1, NO_CHUNK, key, about)

    def finish(self) -> bytes:
        """All pages, the last one open for more."""
        self._close_page(PageState.ACTIVE)
        return b"".join(self._pages)


# --- parse ----------------------------------------------------------------------------


def parse_image(image: bytes) -> NvsImage:
    """The keys of a partition, read as the firmware would; never raises.

    Where a power cut left two values of one key, the later one counts, and it is noted.
    """
    problems: list[str] = []
    if len(image) % PAGE_SIZE:
        problems.append(f"{len(image)} bytes are not a whole number of pages")
    starts = range(0, len(image) - PAGE_SIZE + 1, PAGE_SIZE)
    pages = [scan_page(image[start : start + PAGE_SIZE]) for start in starts]
    for number, page in enumerate(pages):
        problems.extend(f"page {number}: {problem}" for problem in page.problems)
    items = list(items_in_order(pages))
    namespaces = namespace_names(items, problems)
    values, chunks = _latest(items, namespaces, problems)
    entries = []
    for (number, key), item in values.items():
        decoded = _decode(item, chunks)
        if isinstance(decoded, str):
            problems.append(f"{namespaces[number]}.{key}: {decoded}")
        else:
            entries.append(NvsEntry(namespaces[number], key, *decoded))
    for number, key in sorted({chunk[:2] for chunk in chunks}):
        index = values.get((number, key))
        if index is None or index.type != BLOB_INDEX:
            problems.append(f"{namespaces[number]}.{key}: parts of a blob without its index")
    return NvsImage(tuple(entries), tuple(problems))


def is_sound(image: bytes) -> bool:
    """Whether the firmware would read a factory's partition at all (`evnvs::Partition::sound`).

    Every page is blank or whole, every entry that was never written is blank, every other one
    fits its checksums, and its namespace is declared.
    """
    if not image or len(image) % PAGE_SIZE:
        return False
    starts = range(0, len(image), PAGE_SIZE)
    pages = [scan_page(image[start : start + PAGE_SIZE]) for start in starts]
    if any(page.problems for page in pages):
        return False
    items = list(items_in_order(pages))
    declared = {0, *(item.data[0] for item in items if item.namespace == 0)}
    return all(item.namespace in declared for item in items)


_Values = dict[tuple[int, str], NvsItem]
_Chunks = dict[tuple[int, str, int], NvsItem]


def _latest(
    items: Iterable[NvsItem], namespaces: dict[int, str], problems: list[str]
) -> tuple[_Values, _Chunks]:
    """The item that counts for each key, and the chunks of blobs."""
    values: _Values = {}
    chunks: _Chunks = {}
    for item in items:
        if item.namespace == 0:
            continue
        if item.namespace not in namespaces:
            problems.append(f"{item.key}: namespace number {item.namespace} is not declared")
        elif item.type == BLOB_DATA:
            chunks[item.namespace, item.key, item.chunk] = item
        else:
            if values.pop((item.namespace, item.key), None) is not None:
                problems.append(f"{namespaces[item.namespace]}.{item.key}: stored twice")
            values[item.namespace, item.key] = item
    return values, chunks


def items_in_order(pages: Sequence[NvsPage]) -> Iterator[NvsItem]:
    """Every item of the live pages, oldest first."""
    live = [page for page in pages if page.is_live]
    for page in sorted(live, key=lambda page: page.sequence):
        yield from page.items


def namespace_names(items: Iterable[NvsItem], problems: list[str]) -> dict[int, str]:
    """The declared namespaces by number; what is wrong with one is added to `problems`."""
    names: dict[int, str] = {}
    for item in items:
        if item.namespace != 0:
            continue
        number = item.data[0]
        if item.type != 0x01 or not 1 <= number <= _MAX_NAMESPACES:
            problems.append(f"{item.key}: not a namespace declaration")
        elif names.get(number, item.key) != item.key:
            problems.append(f"{item.key}: namespace number {number} is {names[number]} already")
        else:
            names[number] = item.key
    return names


def chunks_of(index: NvsItem) -> range:
    """The chunk numbers that a blob's index speaks of."""
    return range(index.data[5], index.data[5] + index.data[4])


def _decode(item: NvsItem, chunks: _Chunks) -> tuple[NvsKind, NvsContent] | str:
    """Kind and value, or what is wrong."""
    if item.type in INTEGERS:
        size, signed = INTEGERS[item.type]
        value = int.from_bytes(item.data[:size], "little", signed=signed)
        return _INTEGER_KINDS[item.type], value
    if item.type == STR:
        text = _text(item.payload)
        return "the string is not UTF-8 with one NUL at its end" if text is None else ("str", text)
    if item.type == BLOB_V1:
        return "blob", item.payload
    parts = [chunks.get((item.namespace, item.key, number)) for number in chunks_of(item)]
    blob = b"".join(part.payload for part in parts if part is not None)
    (size,) = struct.unpack_from("<I", item.data)
    if None in parts or len(blob) != size:
        return f"blob of {size} bytes in {len(parts)} parts, of which {len(blob)} bytes are there"
    return "blob", blob


def _text(payload: bytes) -> str | None:
    if payload.find(b"\0") != len(payload) - 1 or not payload:
        return None
    try:
        return payload[:-1].decode()
    except UnicodeDecodeError:
        return None
