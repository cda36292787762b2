# SPDX-License-Identifier: GPL-3.0-or-later
"""One download into flash: blocks in order, plain or as one zlib stream over all blocks."""

from __future__ import annotations

import zlib

from evtool.protocol.esp_loader import Failure
from evtool.protocol.flash_cipher import FlashCipher
from evtool.virtual.flash_chip import SECTOR_SIZE, FlashChip


class FlashWrite:
    """A download that was begun.

    Args:
        flash: the chip.
        offset: where the first byte goes.
        length: how many bytes the flash will get; blocks may be padded beyond it.
        compressed: the blocks are pieces of one zlib stream.
        erase_as_it_goes: erase each sector when the data reaches it (the stub); otherwise the
            caller has erased everything before (the ROM).
        cipher: encrypt what is written.
    """

    def __init__(
        self,
        flash: FlashChip,
        offset: int,
        length: int,
        *,
        compressed: bool,
        erase_as_it_goes: bool,
        cipher: FlashCipher | None = None,
    ) -> None:
        self._flash = flash
        self._position = offset
        self._end = offset + length
        self._next_seq = 0
        self._inflate = zlib.decompressobj() if compressed else None
        self._erased_to = offset - offset % SECTOR_SIZE if erase_as_it_goes else None
        self._clear = b""
        self.cipher = cipher

    @property
    def compressed(self) -> bool:
        """Whether the blocks are pieces of a zlib stream."""
        return self._inflate is not None

    @property
    def remaining(self) -> int:
        """Bytes that were announced and have not come."""
        return self._end - self._position - len(self._clear)

    def is_next(self, seq: int) -> bool:
        """Whether block `seq` is the one to come; a repeated one is acknowledged, not written."""
        return seq == self._next_seq

    def was_written(self, seq: int) -> bool:
        """Whether block `seq` is the last one, sent again by a host that missed our answer."""
        return seq == self._next_seq - 1

    def write(self, data: bytes) -> Failure | None:
        """Write the next block; what failed, or None."""
        self._next_seq += 1
        if self._inflate is None:
            # The host pads its last block to the full size; the pad is not part of the data.
            return self._take(data[: self.remaining])
        try:
            plain = self._inflate.decompress(data)
        except zlib.error:
            return Failure.STUB_INFLATE
        if len(plain) > self.remaining:
            return Failure.STUB_TOO_MUCH_DATA
        return self._take(plain)

    def finish(self) -> Failure | None:
        """Write what the cipher still waits to fill up, with erased flash behind it."""
        if self.cipher is None or not self._clear:
            return None
        data, self._clear = self._clear, b""
        filled = data + b"\xff" * (-len(data) % self.cipher.alignment)
        return self._put(self.cipher.encrypt(self._position, filled))

    def _take(self, data: bytes) -> Failure | None:
        if self.cipher is None:
            return self._put(data)
        alignment = self.cipher.alignment
        if self._position % alignment:
            return Failure.FLASH_WRITE
        self._clear += data
        whole = len(self._clear) - len(self._clear) % alignment
        data, self._clear = self._clear[:whole], self._clear[whole:]
        failure = self._put(self.cipher.encrypt(self._position, data))
        if failure is None and self.remaining <= 0:
            return self.finish()
        return failure

    def _put(self, data: bytes) -> Failure | None:
        end = self._position + len(data)
        if end > self._flash.size:
            return Failure.FLASH_WRITE
        while self._erased_to is not None and self._erased_to < end:
            self._flash.erase_sector(self._erased_to)
            self._erased_to += SECTOR_SIZE
        self._flash.program(self._position, data)
        self._position = end
        return None
