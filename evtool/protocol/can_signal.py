# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a signal lies in a frame, and how its bits get in and out.

The twin of `firmware/lib/evcore/include/evcore/can_signal.hpp`. Values are raw integers;
scales belong to whoever reads them, so that both languages compute with integers alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Literal

MAX_BITS = 64


class ByteOrder(Enum):
    """DBC's two ways to lay bits out."""

    BIG_ENDIAN = "big_endian"  # Motorola: start_bit is the most significant bit
    LITTLE_ENDIAN = "little_endian"  # Intel: start_bit is the least significant bit


class Kind(Enum):
    """What the bits stand for."""

    UNSIGNED = "unsigned_integer"
    SIGNED = "signed_integer"  # two's complement
    FLOAT = "float_bits"  # IEEE-754; extracted and inserted as the bits of the pattern


@dataclass(frozen=True, slots=True)
class Signal:
    """A run of bits in up to 8 data bytes.

    Args:
        start_bit: byte x 8 + bit, where bit 0 is a byte's least significant (DBC numbering).
        length: 1 to 64 bits.
        byte_order: how the run goes on from `start_bit`.
        kind: unsigned, signed, or the bits of a float.

    Raises:
        ValueError: the run leaves the 8 bytes.
    """

    start_bit: int
    length: int
    byte_order: ByteOrder = ByteOrder.BIG_ENDIAN
    kind: Kind = Kind.UNSIGNED
    byte_count: int = field(init=False, repr=False, compare=False)
    """How many data bytes a frame must have to hold the signal."""
    _order: Literal["big", "little"] = field(init=False, repr=False, compare=False)
    _shift: int = field(init=False, repr=False, compare=False)
    lowest: int = field(init=False, repr=False, compare=False)
    """The least raw value."""
    highest: int = field(init=False, repr=False, compare=False)
    """The greatest raw value."""

    def __post_init__(self) -> None:
        if not 1 <= self.length <= MAX_BITS:
            raise ValueError(f"a signal has 1 to {MAX_BITS} bits, not {self.length}")
        if not (0 <= self.start_bit < MAX_BITS and self.bits[-1] < MAX_BITS):
            raise ValueError(f"{self.length} bits from bit {self.start_bit} leave the 8 bytes")
        # Read in its own byte order, the frame's first bytes are one number in which the
        # signal is one run of bits.
        is_big = self.byte_order is ByteOrder.BIG_ENDIAN
        count = max(self.bits) // 8 + 1
        first = _mirrored(self.start_bit)
        object.__setattr__(self, "byte_count", count)
        object.__setattr__(self, "_order", "big" if is_big else "little")
        shift = 8 * count - first - self.length if is_big else self.start_bit
        object.__setattr__(self, "_shift", shift)
        lowest = -(1 << (self.length - 1)) if self.kind is Kind.SIGNED else 0
        object.__setattr__(self, "lowest", lowest)
        object.__setattr__(self, "highest", lowest + (1 << self.length) - 1)

    @property
    def bits(self) -> tuple[int, ...]:
        """The DBC number of every bit, in the order in which `byte_order` walks them."""
        if self.byte_order is ByteOrder.LITTLE_ENDIAN:
            return tuple(range(self.start_bit, self.start_bit + self.length))
        # Downwards inside a byte, then to the top of the next one: mirrored, that is a line.
        first = _mirrored(self.start_bit)
        return tuple(_mirrored(line) for line in range(first, first + self.length))

    def extract(self, data: bytes | bytearray) -> int:
        """The signal's raw value; negative only where `kind` is signed.

        Raises:
            ValueError: `data` is too short (a decoder checks the length first).
        """
        raw = self._number(data) >> self._shift & (1 << self.length) - 1
        if self.kind is Kind.SIGNED and raw >> (self.length - 1):
            raw -= 1 << self.length
        return raw

    def insert(self, data: bytearray, value: int) -> None:
        """Write the raw `value` into `data`; all other bits stay.

        Raises:
            ValueError: the value needs more bits, or `data` is too short.
        """
        number = self._number(data)
        if not self.lowest <= value <= self.highest:
            raise ValueError(f"{value} is not in {self.lowest} to {self.highest}")
        mask = (1 << self.length) - 1
        number = number & ~(mask << self._shift) | (value & mask) << self._shift
        data[: self.byte_count] = number.to_bytes(self.byte_count, self._order)

    def _number(self, data: bytes | bytearray) -> int:
        if len(data) < self.byte_count:
            raise ValueError(f"the signal needs {self.byte_count} bytes, not {len(data)}")
        return int.from_bytes(data[: self.byte_count], self._order)


def _mirrored(bit: int) -> int:
    """Swap DBC's numbering inside each byte with most-significant-first numbering."""
    return bit & ~7 | 7 - (bit & 7)
