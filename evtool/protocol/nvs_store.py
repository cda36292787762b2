# SPDX-License-Identifier: GPL-3.0-or-later
"""A change to an NVS partition in use, as the flash operations that make it safely.

Flash is NOR: a write clears bits, only erasing a page of 4096 bytes sets them. After each
operation, and after none, a reader finds the old value or the new one:

    append     the item's entries, then the bitmap that makes them count
    replace    append the new item, then mark the old one erased; until then the later counts
    new page   mark the full page FULL, then write the header of a blank one
    collect    FREEING on the page with the least live entries, header of the last blank
               page, copies of the items, then erase; cut short, the copies are thrown away
               and made again

One page always stays blank: it is what `collect` copies into. As ESP-IDF does.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from evtool.protocol.nvs import (
    NvsContent,
    NvsEntry,
    NvsKind,
    check_entry,
    chunks_of,
    encode_scalar,
    namespace_names,
    parse_image,
)
from evtool.protocol.nvs_page import (
    BITMAP,
    BLANK_PAGE,
    BLOB_DATA,
    BLOB_INDEX,
    ENTRY_COUNT,
    ENTRY_SIZE,
    NO_CHUNK,
    PAGE_SIZE,
    EntryState,
    NvsItem,
    NvsPage,
    PageState,
    encode_entry,
    encode_header,
    encode_variable,
    entry_offset,
    marked,
    scan_page,
)

_UPPER_CHUNKS = 0x80
_MAX_CHUNKS = 0x7F


@dataclass(frozen=True, slots=True)
class FlashWrite:
    """Clear bits: what stands at `offset` (in the partition) becomes itself AND `data`."""

    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class FlashErase:
    """Set the page of 4096 bytes at `offset` (in the partition) to FF."""

    offset: int


FlashOperation = FlashWrite | FlashErase


def apply_operation(image: bytearray, operation: FlashOperation) -> None:
    """Do to `image` what NOR flash would."""
    start = operation.offset
    if isinstance(operation, FlashErase):
        image[start : start + PAGE_SIZE] = BLANK_PAGE
    else:
        for position, byte in enumerate(operation.data, start=start):
            image[position] &= byte


@dataclass(frozen=True, slots=True)
class _Placed:
    """An item and the page (by its place in the partition) that it stands in."""

    page: int
    item: NvsItem

    @property
    def identity(self) -> tuple[int, str, int]:
        """What a later item with the same identity replaces; types may change."""
        chunk = self.item.chunk if self.item.type == BLOB_DATA else -1
        return self.item.namespace, self.item.key, chunk


class NvsStore:
    """A partition's image, and the operations that change one key of it.

    Args:
        image: the partition as it was read; any bytes. Pages that are damaged count as
            blank ones and are erased before use.
    """

    def __init__(self, image: bytes) -> None:
        if len(image) % PAGE_SIZE or not image:
            raise ValueError("an NVS partition is a whole number of pages of 4096 bytes")
        self._image = bytearray(image)
        self._operations: list[FlashOperation] = []
        self._pages: list[NvsPage] = []
        self._scan()

    @property
    def image(self) -> bytes:
        """The partition after every operation that was handed out."""
        return bytes(self._image)

    def get(self, namespace: str, key: str) -> NvsContent | None:
        """A key's value, or None."""
        return parse_image(self.image).get(namespace, key)

    def set(
        self, namespace: str, key: str, kind: NvsKind, value: NvsContent
    ) -> list[FlashOperation]:
        """Store a value.

        Returns:
            the operations, to be done in this order; none where the value is there already.

        Raises:
            ValueError: not a value for `kind`, or no room left. The partition then holds
                what it held, perhaps collected or mended, which the next call hands out.
        """
        entry = NvsEntry(namespace, key, kind, value)
        check_entry(entry)
        self._mend()
        number = self._namespace_number(namespace)
        old = [placed for placed in self._placed() if placed.identity == (number, key, -1)]
        if isinstance(value, bytes):
            if self.get(namespace, key) != value:
                self._append_blob(number, key, value, old[-1].item if old else None)
        else:
            raw = encode_scalar(number, entry)
            if not old or old[-1].item.raw != raw:
                self._append(raw)
                self._erase_outdated()
        operations, self._operations = self._operations, []
        return operations

    # --- the flash ----------------------------------------------------------------------

    def _scan(self) -> None:
        starts = range(0, len(self._image), PAGE_SIZE)
        self._pages = [scan_page(bytes(self._image[at : at + PAGE_SIZE])) for at in starts]

    def _do(self, operation: FlashOperation) -> None:
        apply_operation(self._image, operation)
        self._operations.append(operation)
        page = operation.offset // PAGE_SIZE
        at = page * PAGE_SIZE
        self._pages[page] = scan_page(bytes(self._image[at : at + PAGE_SIZE]))

    def _write(self, page: int, offset: int, data: bytes) -> None:
        self._do(FlashWrite(page * PAGE_SIZE + offset, data))

    def _mark(self, page: int, first: int, count: int, state: EntryState) -> None:
        """Write the bytes of the bitmap that `count` entries from `first` lie in."""
        at = page * PAGE_SIZE + BITMAP
        bitmap = marked(bytes(self._image[at : at + 32]), first, count, state)
        low, high = first // 4, (first + count - 1) // 4 + 1
        self._write(page, BITMAP + low, bitmap[low:high])

    # --- what is there ------------------------------------------------------------------

    def _live(self) -> list[int]:
        """The pages in use, oldest first."""
        live = [number for number, page in enumerate(self._pages) if page.is_live]
        return sorted(live, key=lambda number: self._pages[number].sequence)

    def _free(self) -> list[int]:
        """The pages not in use, beginning after the newest, so that all wear alike."""
        live = self._live()
        after = live[-1] + 1 if live else 0
        count = len(self._pages)
        around = [(after + step) % count for step in range(count)]
        return [number for number in around if not self._pages[number].is_live]

    def _placed(self) -> list[_Placed]:
        """Every item of the pages in use, oldest first."""
        return [_Placed(page, item) for page in self._live() for item in self._pages[page].items]

    # --- leftovers of a power cut -------------------------------------------------------

    def _mend(self) -> None:
        """Finish, or undo, what the last power cut interrupted."""
        freeing = [n for n in self._live() if self._pages[n].state == PageState.FREEING]
        for victim in freeing:
            newest = self._live()[-1]
            originals = {item.raw for item in self._pages[victim].items}
            copies = {item.raw for item in self._pages[newest].items}
            if self._pages[newest].state == PageState.ACTIVE and copies <= originals:
                self._do(FlashErase(newest * PAGE_SIZE))
            self._collect(victim)
        for page in self._live()[-1:]:
            for index in self._pages[page].dirty_entries:
                self._mark(page, index, 1, EntryState.ERASED)
        self._erase_outdated()

    def _erase_outdated(self) -> None:
        """Mark every item erased that a later one replaces, and chunks of no blob."""
        latest: dict[tuple[int, str, int], _Placed] = {}
        outdated: list[_Placed] = []
        for placed in self._placed():
            if placed.identity in latest:
                outdated.append(latest[placed.identity])
            latest[placed.identity] = placed
        for (namespace, key, chunk), placed in latest.items():
            if chunk < 0:
                continue
            owner = latest.get((namespace, key, -1))
            is_blob = owner is not None and owner.item.type == BLOB_INDEX
            if owner is None or not is_blob or chunk not in chunks_of(owner.item):
                outdated.append(placed)
        for placed in outdated:
            self._mark(placed.page, placed.item.index, placed.item.span, EntryState.ERASED)

    # --- appending ----------------------------------------------------------------------

    def _namespace_number(self, namespace: str) -> int:
        """The namespace's number; declares it where it is new."""
        names = namespace_names((placed.item for placed in self._placed()), [])
        for number, name in names.items():
            if name == namespace:
                return number
        free = next((number for number in range(1, 255) if number not in names), None)
        if free is None:
            raise ValueError(f"{namespace}: no namespace number is left")
        self._append(encode_entry(0, 0x01, 1, NO_CHUNK, namespace, bytes((free,))))
        return free

    def _append(self, raw: bytes) -> None:
        span = len(raw) // ENTRY_SIZE
        live = self._live()
        if not live or self._pages[live[-1]].used_until + span > ENTRY_COUNT:
            self._make_room(span)
        page = self._live()[-1]
        index = self._pages[page].used_until
        self._write(page, entry_offset(index), raw)
        self._mark(page, index, span, EntryState.WRITTEN)

    def _append_blob(self, namespace: int, key: str, value: bytes, old: NvsItem | None) -> None:
        """The parts of a blob, then the index that makes them count; then the old one goes.

        Its parts are numbered from 0 or from 128, whichever the old one does not use.
        """
        is_low = old is not None and old.type == BLOB_INDEX and old.data[5] < _UPPER_CHUNKS
        start = _UPPER_CHUNKS if is_low else 0
        chunks = 0
        rest = value
        try:
            while rest or not chunks:
                if chunks == _MAX_CHUNKS:
                    raise ValueError("the blob takes more parts than NVS can number")
                live = self._live()
                used = self._pages[live[-1]].used_until if live else ENTRY_COUNT
                if ENTRY_COUNT - used < 2:
                    self._make_room(2)
                    used = self._pages[self._live()[-1]].used_until
                room = (ENTRY_COUNT - used - 1) * ENTRY_SIZE
                part, rest = rest[:room], rest[room:]
                self._append(encode_variable(namespace, BLOB_DATA, start + chunks, key, part))
                chunks += 1
            about = struct.pack("<IBBH", len(value), chunks, start, 0xFFFF)
            self._append(encode_entry(namespace, BLOB_INDEX, 1, NO_CHUNK, key, about))
        finally:  # without the index its parts belong to no blob
            self._erase_outdated()

    def _make_room(self, span: int) -> None:
        """Begin a page, and free one first if only one is left blank."""
        live, free = self._live(), self._free()
        if not free:
            raise ValueError("the NVS partition has no blank page")
        victim = min(live, key=lambda page: self._pages[page].live_entries, default=None)
        has_spare = len(free) > 1 or victim is None
        if not has_spare and self._pages[victim or 0].live_entries + span > ENTRY_COUNT:
            raise ValueError("the NVS partition is full")
        if live and self._pages[live[-1]].state == PageState.ACTIVE:
            self._set_state(live[-1], PageState.FULL)
        if has_spare:
            self._activate(free[0])
        elif victim is not None:
            self._collect(victim)

    def _set_state(self, page: int, state: PageState) -> None:
        self._write(page, 0, struct.pack("<I", state))

    def _activate(self, page: int) -> None:
        if self._pages[page].state == PageState.CORRUPT:
            self._do(FlashErase(page * PAGE_SIZE))
        sequences = [self._pages[number].sequence for number in self._live()]
        self._write(page, 0, encode_header(PageState.ACTIVE, max(sequences, default=-1) + 1))

    def _collect(self, victim: int) -> None:
        """Copy the live items of `victim` to a new page, and erase it."""
        free = self._free()
        if not free:
            raise ValueError("the NVS partition has no blank page")
        if self._pages[victim].state != PageState.FREEING:
            self._set_state(victim, PageState.FREEING)
        self._activate(free[0])
        for item in self._pages[victim].items:
            self._append(item.raw)
        self._do(FlashErase(victim * PAGE_SIZE))
