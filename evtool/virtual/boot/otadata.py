# SPDX-License-Identifier: GPL-3.0-or-later
"""Which slot starts: `otadata`, two sectors of which the newer valid one counts.

An entry is `sequence u32, label 20, state u32, crc u32` (of the sequence). With rollback a new
image starts once on probation: unless it says that it is valid before the next reset, the boot
loader gives it up and starts the other slot. Source: ESP-IDF, "Over The Air Updates".
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from enum import IntEnum

from evtool.virtual.boot.flash_view import FlashView
from evtool.virtual.flash_chip import SECTOR_SIZE

_ENTRY = struct.Struct("<I20sII")
_LABEL = b"\xff" * 20
_BLANK = 0xFFFFFFFF


class SlotState(IntEnum):
    """What is known of the image in a slot."""

    NEW = 0
    PENDING_VERIFY = 1
    VALID = 2
    INVALID = 3
    ABORTED = 4
    UNDEFINED = _BLANK


@dataclass(frozen=True, slots=True)
class OtaEntry:
    """One sector's entry; `state` may be a number that `SlotState` does not know."""

    sector: int
    sequence: int
    state: int

    @property
    def counts(self) -> bool:
        """Whether it may name the slot to start."""
        return self.state not in {SlotState.INVALID, SlotState.ABORTED}


class OtaData:
    """The partition `otadata`.

    Args:
        view: the flash.
        offset: where the partition begins.
    """

    def __init__(self, view: FlashView, offset: int) -> None:
        self._view = view
        self._offset = offset

    def entries(self) -> list[OtaEntry]:
        """The entries whose checksum holds."""
        found = []
        for sector in range(2):
            raw = self._view.read(self._offset + sector * SECTOR_SIZE, _ENTRY.size)
            sequence, _, state, crc = _ENTRY.unpack(raw)
            if sequence not in {0, _BLANK} and crc == zlib.crc32(raw[:4], _BLANK):
                found.append(OtaEntry(sector, sequence, state))
        return found

    def active(self) -> OtaEntry | None:
        """The entry that counts, or None: the factory image starts."""
        return max(
            (entry for entry in self.entries() if entry.counts),
            key=lambda entry: entry.sequence,
            default=None,
        )

    def set_state(self, entry: OtaEntry, state: SlotState) -> None:
        """Rewrite an entry's sector.

        Raises:
            PowerCutError: in the middle of it.
        """
        sequence = struct.pack("<I", entry.sequence)
        crc = zlib.crc32(sequence, _BLANK)
        data = _ENTRY.pack(entry.sequence, _LABEL, state, crc)
        self._view.rewrite_sector(self._offset + entry.sector * SECTOR_SIZE, data)

    def choose(self) -> OtaEntry | None:
        """The entry to start by, after what a boot changes in it: whoever did not prove itself
        is given up, and who starts for the first time is on probation.

        Raises:
            PowerCutError: in the middle of a change.
        """
        for entry in self.entries():
            if entry.state == SlotState.PENDING_VERIFY:
                self.set_state(entry, SlotState.ABORTED)
        active = self.active()
        if active is not None and active.state == SlotState.NEW:
            self.set_state(active, SlotState.PENDING_VERIFY)
        return active
