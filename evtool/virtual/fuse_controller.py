# SPDX-License-Identifier: GPL-3.0-or-later
"""The registers of the fuse controller: what a program reads and with what it burns.

Read registers show the fuses as they were when they were last read: at reset, or by the read
command. To burn, a program fills the write registers, says 0x5A5A to the configuration
register, and starts the command; to read again it says 0x5AA5.
"""

from __future__ import annotations

from evtool.virtual.chips.description import Field, FuseCoding
from evtool.virtual.fuses import Fuses

_BURN_KEY, _READ_KEY = 0x5A5A, 0x5AA5
_READ, _BURN = 1, 2
_PROGRAM_DATA, _PROGRAM_WORDS = 0x00, 11
_BLOCK0_WORDS = 8
_FAR_BLOCK = 9


class FuseController:
    """State from reset to reset.

    Args:
        fuses: what it reads and burns.
    """

    def __init__(self, fuses: Fuses) -> None:
        self._fuses = fuses
        self._layout = fuses.chip.fuses
        self._values: dict[int, int] = {}
        self._shown: dict[int, int] = {}
        self._block0 = 0
        self.reset()

    def covers(self, address: int) -> bool:
        """Whether `address` is one of its registers."""
        return self._layout.base <= address < self._layout.base + self._layout.size

    def reset(self) -> None:
        """What a reset of the chip does: write registers are empty, the fuses are read."""
        self._values = {}
        self._latch()

    def field(self, field: Field | None) -> int:
        """A field of block 0 as it was last read, which is what the chip goes by."""
        return 0 if field is None else field.of(self._block0)

    def read(self, address: int) -> int:
        """The 32-bit value at `address`."""
        offset = address - self._layout.base
        if offset in self._shown:
            return self._shown[offset]
        return self._values.get(offset, 0)

    def write(self, address: int, value: int) -> bool:
        """Write a register; whether the fuses were read anew."""
        offset = address - self._layout.base
        if offset in self._shown:
            return False
        if offset != self._layout.command:
            self._values[offset] = value
            return False
        # Whatever is started is done before anybody can look.
        key = self._values.get(self._layout.configuration, 0) & 0xFFFF
        if value & _BURN and key == _BURN_KEY:
            self._burn(value >> 2 & 0xF)
        elif value & _READ and key == _READ_KEY:
            self._latch()
            return True
        return False

    def _words(self, offset: int, count: int) -> bytes:
        return b"".join(
            self._values.get(offset + 4 * index, 0).to_bytes(4, "little") for index in range(count)
        )

    def _burn(self, number: int) -> None:
        blocks = self._layout.blocks
        if self._layout.coding is FuseCoding.THREE_QUARTERS:
            # One command burns all blocks, protections last: they hold from the next one on.
            for each in reversed(range(len(blocks))):
                self._fuses.burn(each, self._words(blocks[each].write, blocks[each].words))
        elif number < len(blocks):
            words = _BLOCK0_WORDS if number == 0 else _PROGRAM_WORDS
            self._fuses.burn(number, self._words(_PROGRAM_DATA, words))

    def _latch(self) -> None:
        shown: dict[int, int] = {}
        counts = failures = broken = 0
        for number, block in enumerate(self._layout.blocks):
            data = self._fuses.readable(number)
            for index in range(block.words):
                word = int.from_bytes(data[4 * index : 4 * index + 4], "little")
                shown[block.read + 4 * index] = word
            if number == 0:
                continue
            decoded = self._fuses.decoded(number)
            position = 4 * (number - 1)
            counts |= min(decoded.errors, 7) << position
            failures |= decoded.failed << position + self._layout.fail_shift
            if self._layout.coding is FuseCoding.THREE_QUARTERS:
                broken |= min(decoded.errors, 0xF) << position
        if self._layout.decode_status is not None:
            shown[self._layout.decode_status] = broken
        if self._layout.block_errors is not None:
            # Eight blocks fit the first register.
            near, far = self._layout.block_errors
            shown[near] = (counts | failures) & 0xFFFFFFFF
            shown[far] = (counts | failures) >> 4 * (_FAR_BLOCK - 1)
        self._shown = shown
        self._block0 = int.from_bytes(self._fuses.decoded(0).data, "little")
