# SPDX-License-Identifier: GPL-3.0-or-later
"""Flash as the processor sees it: through the cipher, where the fuses have switched it on."""

from __future__ import annotations

from evtool.virtual.flash_chip import SECTOR_SIZE
from evtool.virtual.soc import Soc


class FlashView:
    """The chip's own flash, decrypted."""

    def __init__(self, soc: Soc) -> None:
        self._flash = soc.bus.internal
        self._cipher = soc.cipher() if soc.encrypts_flash else None

    @property
    def size(self) -> int:
        """The flash chip's size in bytes."""
        return self._flash.size

    def read(self, offset: int, length: int) -> bytes:
        """`length` bytes from `offset`."""
        if self._cipher is None:
            return self._flash.read(offset, length)
        start = offset - offset % self._cipher.alignment
        end = offset + length + (-(offset + length)) % self._cipher.alignment
        clear = self._cipher.decrypt(start, self._flash.read(start, end - start))
        return clear[offset - start : offset - start + length]

    def rewrite_sector(self, offset: int, data: bytes) -> None:
        """Erase the sector at `offset` and write `data` at its start.

        Raises:
            PowerCutError: in the middle of it.
        """
        self._flash.erase(offset, SECTOR_SIZE)
        if self._cipher is not None:
            data = self._cipher.encrypt(offset, data)
        self._flash.program(offset, data)
