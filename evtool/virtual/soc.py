# SPDX-License-Identifier: GPL-3.0-or-later
"""A chip with its fuses, registers and flash: what the loaders and the boot code work on."""

from __future__ import annotations

import struct

from evtool.protocol.flash_cipher import FlashCipher
from evtool.virtual.chips.description import Chip, Field
from evtool.virtual.flash_encryption import flash_cipher
from evtool.virtual.fuse_controller import FuseController
from evtool.virtual.fuses import Fuses
from evtool.virtual.registers import Registers
from evtool.virtual.spi_bus import SpiBus

_SECURITY_INFO = struct.Struct("<IB7sII")
_API_VERSION = 0


class Soc:
    """One chip and what is soldered to it.

    Args:
        fuses: they say which chip it is.
        bus: its flash.
    """

    def __init__(self, fuses: Fuses, bus: SpiBus) -> None:
        self.chip: Chip = fuses.chip
        self.fuses = fuses
        self.bus = bus
        self._controller = FuseController(fuses)
        self.registers = Registers(self.chip, bus, self._controller)

    def reset(self) -> None:
        """A reset of the chip: fuses are read, the flash's pins lead nowhere."""
        self.registers.reset()
        self.bus.detach()

    def fuse(self, field: Field | None) -> int:
        """A fuse as the chip goes by it: as it was when it was last read."""
        return self._controller.field(field)

    @property
    def has_loader(self) -> bool:
        """Whether the fuses leave the chip its serial loader."""
        return not self.fuse(self.chip.security.no_download)

    @property
    def loader_answers(self) -> bool:
        """Whether a loader that was started goes on answering."""
        return self.has_loader or self.chip.security.loader_stays

    @property
    def is_secure_download(self) -> bool:
        """Whether the serial loader is down to a few commands."""
        return bool(self.fuse(self.chip.security.secure_download))

    @property
    def encrypts_flash(self) -> bool:
        """Whether the processor sees flash through the cipher: an odd number of bits is burned."""
        return self.fuse(self.chip.security.flash_encryption).bit_count() % 2 == 1

    def cipher(self) -> FlashCipher | None:
        """The cipher with the key in the fuses, or None: there is no key."""
        return flash_cipher(self.chip, self.fuses)

    def download_cipher(self) -> FlashCipher | None:
        """The cipher as far as a loader may use it for the host."""
        if self.fuse(self.chip.security.no_manual_encryption):
            return None
        return self.cipher()

    def security_info(self) -> bytes:
        """The answer to GET_SECURITY_INFO, 20 bytes."""
        security = self.chip.security
        flags = 0
        for field, bit in security.flags:
            value = self.fuse(field)
            # Of JTAG's soft switch an odd number of ones counts.
            flags |= (value.bit_count() & 1) << bit
        purposes = bytes(self.fuse(field) for field in security.key_purposes)
        return _SECURITY_INFO.pack(
            flags,
            self.fuse(security.flash_encryption),
            purposes.ljust(7, b"\0"),
            self.chip.image_chip_id,
            _API_VERSION,
        )
