# SPDX-License-Identifier: GPL-3.0-or-later
"""One-time programmable fuses: what was ever burned into a chip.

A fuse that is burned stays so. Protections are fuses themselves: WR_DIS keeps blocks and fields
from being burned any further, RD_DIS hides keys from software; the chip's own cipher still
sees them. So this object holds everything, and `readable` is what a program gets.
"""

from __future__ import annotations

from collections.abc import Callable

from evtool.virtual.chips.description import Chip, Field, FuseCoding
from evtool.virtual.chips.reed_solomon import MAC_BLOCK
from evtool.virtual.fuse_coding import (
    RS_CHECK,
    RS_DATA,
    Decoded,
    decode_reed_solomon,
    decode_three_quarters,
    encode_reed_solomon,
)

_THREE_QUARTERS_CODING = 1
_OSCILLATOR_FUSE = 0x40


def mac_crc8(mac: bytes) -> int:
    """The CRC-8 (polynomial 0x31, reflected) that stands beside the MAC in the fuses."""
    crc = 0
    for byte in mac:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x8C if crc & 1 else 0)
    return crc


def raw_sizes(chip: Chip) -> tuple[int, ...]:
    """How many bytes of fuses each block has, check bytes among them."""
    if chip.fuses.coding is FuseCoding.THREE_QUARTERS:
        return tuple(4 * block.words for block in chip.fuses.blocks)
    first, *rest = chip.fuses.blocks
    return (4 * first.words, *(RS_DATA + RS_CHECK for _ in rest))


def factory_bits(chip: Chip, mac: bytes | None) -> bytes:
    """A chip fresh from the factory; without a MAC nothing is burned but an ESP32's revision."""
    sizes = raw_sizes(chip)
    blocks = [bytes(size) for size in sizes]
    major, minor = chip.revision
    if chip.fuses.coding is FuseCoding.THREE_QUARTERS:
        # Revision bits 0 and 1; the third one is no fuse.
        bits = (1 << 111 | 1 << 180) if major == 3 else 0
        bits |= minor << 184
        if mac is not None:
            bits |= int.from_bytes(mac[2:], "big") << 32 | int.from_bytes(mac[:2], "big") << 64
            # Package D0WD, rated for 240 MHz.
            bits |= mac_crc8(mac) << 80 | 1 << 105 | 1 << 109 | _OSCILLATOR_FUSE << 128
        blocks[0] = bits.to_bytes(sizes[0], "little")
    elif mac is not None:
        bits = int.from_bytes(mac, "big")
        bits |= (minor & 7) << 114 | (minor >> 3) << 183 | major << 184
        blocks[MAC_BLOCK] = encode_reed_solomon(bits.to_bytes(RS_DATA, "little"))
    return b"".join(blocks)


class Fuses:
    """All fuses of one chip.

    Args:
        chip: which chip.
        raw: every block's bytes, one after the other, as `raw` gave them.
        changed: called with the new `raw` after each burn.

    Raises:
        ValueError: `raw` has the wrong size.
    """

    def __init__(
        self, chip: Chip, raw: bytes, changed: Callable[[bytes], None] = lambda raw: None
    ) -> None:
        self.chip = chip
        self._sizes = raw_sizes(chip)
        self._changed = changed
        self._blocks: list[bytes] = []
        self._set(raw)

    def raw(self) -> bytes:
        """Every block's bytes."""
        return b"".join(self._blocks)

    def blank(self) -> None:
        """As fresh from the wafer: nothing but the revision, as no silicon can do."""
        self._set(factory_bits(self.chip, None))
        self._changed(self.raw())

    def _set(self, raw: bytes) -> None:
        if len(raw) != sum(self._sizes):
            raise ValueError(
                f"{len(raw)} bytes are not the fuses of an {self.chip.title}: {sum(self._sizes)}"
            )
        self._blocks = []
        position = 0
        for size in self._sizes:
            self._blocks.append(raw[position : position + size])
            position += size

    # --- reading ------------------------------------------------------------------

    def field(self, field: Field | None) -> int:
        """A field of block 0; 0 where the chip has none."""
        return 0 if field is None else field.of(self._block0())

    def _block0(self) -> int:
        return int.from_bytes(self._blocks[0], "little")

    def decoded(self, number: int) -> Decoded:
        """A block's data, whoever may read it."""
        raw = self._blocks[number]
        if number == 0:
            return Decoded(raw)
        if self.chip.fuses.coding is FuseCoding.REED_SOLOMON:
            return decode_reed_solomon(raw)
        if self.field(self.chip.security.coding_scheme) == _THREE_QUARTERS_CODING:
            return decode_three_quarters(raw)
        return Decoded(raw)

    def key(self, number: int) -> bytes:
        """A key as the chip's own engines see it."""
        return self.decoded(number).data

    def readable(self, number: int) -> bytes:
        """A block as its read registers show it: hidden bits are zero."""
        layout = self.chip.fuses
        block = layout.blocks[number]
        hidden = self.field(layout.rd_dis)
        size = 4 * block.words
        if block.read_protect is not None and hidden >> block.read_protect & 1:
            return bytes(size)
        data = self.decoded(number).data[:size].ljust(size, b"\0")
        if number == 0:
            value = int.from_bytes(data, "little")
            for bit, mask in layout.hidden_fields:
                if hidden >> bit & 1:
                    value &= ~mask
            data = value.to_bytes(size, "little")
        return data

    # --- burning ------------------------------------------------------------------

    def burn(self, number: int, data: bytes) -> None:
        """Burn the ones in `data`, check bytes among them, where nothing protects the fuse."""
        layout = self.chip.fuses
        protected = self.field(layout.wr_dis)
        block = layout.blocks[number]
        if block.write_protect is not None and protected >> block.write_protect & 1:
            return
        size = self._sizes[number]
        ones = int.from_bytes(data[:size].ljust(size, b"\0"), "little")
        if number == 0:
            for bit, mask in layout.protected_fields:
                if protected >> bit & 1:
                    ones &= ~mask
        old = int.from_bytes(self._blocks[number], "little")
        if old | ones != old:
            self._blocks[number] = (old | ones).to_bytes(size, "little")
            self._changed(self.raw())
