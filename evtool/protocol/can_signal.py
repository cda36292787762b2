# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a signal lies in a frame, and how its bits get in and out.

The twin of `firmware/lib/evcore/include/evcore/can_signal.hpp`. Values are raw integers;
scales belong to whoever reads them, so that both languages compute with integers alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

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

    def __post_init__(self) -> None:
        if not 1 <= self.length <= MAX_BITS:
            raise ValueError(f"a signal has 1 to {MAX_BITS} bits, not {self.length}")
        if not (0 <= self.start_bit < MAX_BITS and self.bits[-1] < MAX_BITS):
            raise ValueError(f"{self.length} bits from bit {self.start_bit} leave the 8 bytes")

    @property
    def bits(self) -> tuple[int, ...]:
        """The DBC number of every bit, in the order in which `byte_order` walks them."""
        if self.byte_order is ByteOrder.LITTLE_ENDIAN:
            return tuple(range(self.start_bit, self.start_bit + self.length))
        # Downwards inside a byte, then to the top of the next one: mirrored, that is a line.
        first = _mirrored(self.start_bit)
        return tuple(_mirrored(line) for line in range(first, first + self.length))

    @property
    def lowest(self) -> int:
        """The least raw value."""
        return -(1 << (self.length - 1)) if self.kind is Kind.SIGNED else 0

    @property
    def highest(self) -> int:
        """The greatest raw value."""
        return self.lowest + (1 << self.length) - 1

    @property
    def byte_count(self) -> int:
        """How many data bytes a frame must have to hold the signal."""
        return max(self.bits) // 8 + 1

    def extract(self, data: bytes | bytearray) -> int:
        """The signal's raw value; negative only where `kind` is signed.

        Raises:
            ValueError: `data` is too short (a decoder checks the length first).
        """
        self._check_length(data)
        raw = 0
        for bit in self._most_significant_first():
            raw = raw << 1 | data[bit >> 3] >> (bit & 7) & 1
        if self.kind is Kind.SIGNED and raw >> (self.length - 1):
            raw -= 1 << self.length
        return raw

    def insert(self, data: bytearray, value: int) -> None:
        """Write the raw `value` into `data`; all other bits stay.

        Raises:
            ValueError: the value needs more bits, or `data` is too short.
        """
        self._check_length(data)
        if not self.lowest <= value <= self.highest:
            raise ValueError(f"{value} is not in {self.lowest} to {self.highest}")
        for bit in reversed(self._most_significant_first()):
            byte, mask = bit >> 3, 1 << (bit & 7)
            data[byte] = data[byte] & ~mask | (mask if value & 1 else 0)
            value >>= 1

    def _most_significant_first(self) -> tuple[int, ...]:
        return self.bits if self.byte_order is ByteOrder.BIG_ENDIAN else self.bits[::-1]

    def _check_length(self, data: bytes | bytearray) -> None:
        if len(data) < self.byte_count:
            raise ValueError(f"the signal needs {self.byte_count} bytes, not {len(data)}")


def _mirrored(bit: int) -> int:
    """Swap DBC's numbering inside each byte with most-significant-first numbering."""
    return bit & ~7 | 7 - (bit & 7)
