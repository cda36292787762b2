# SPDX-License-Identifier: GPL-3.0-or-later
"""A flash chip's status registers and what it says of itself (SFDP, JESD216)."""

from __future__ import annotations

import struct
from functools import lru_cache

_WRITE_ENABLED = 0x02
_READS = {0x05: 0, 0x35: 1, 0x15: 2}
_WRITES = {0x01: 0, 0x31: 1, 0x11: 2}
_TABLE_AT = 0x80
_TABLE_WORDS = 9
_SFDP_SIZE = 256


class CommandRegisters:
    """The three status registers and the latch that allows a change."""

    def __init__(self) -> None:
        self._status = [0, 0, 0]
        self._status_writable = False

    def command(self, opcode: int, written: bytes, read_length: int) -> bytes | None:
        """What the chip shifts out for a command about them; None: it is about the array."""
        if opcode in _READS:
            return bytes([self._status[_READS[opcode]]]) * max(read_length, 1)
        if opcode in _WRITES:
            if self.take_write_enable() or self._status_writable:
                self._write(_WRITES[opcode], written)
            self._status_writable = False
        elif opcode == 0x06:
            self._status[0] |= _WRITE_ENABLED
        elif opcode == 0x50:
            # For the status registers only, and without the latch showing in them.
            self._status_writable = True
        elif opcode in {0x04, 0x99}:
            self.take_write_enable()
            self._status_writable = False
        else:
            return None
        return b""

    def take_write_enable(self) -> bool:
        """Whether the latch was set; it is used up."""
        enabled = bool(self._status[0] & _WRITE_ENABLED)
        self._status[0] &= ~_WRITE_ENABLED & 0xFF
        return enabled

    def _write(self, first: int, written: bytes) -> None:
        for index, byte in enumerate(written, start=first):
            if index < len(self._status):
                # Busy and write-enable are the chip's own and cannot be written.
                self._status[index] = byte & 0xFC if index == 0 else byte


@lru_cache(maxsize=16)
def sfdp(size: int) -> bytes:
    """The discoverable parameters of a chip of `size` bytes: header and basic table."""
    header = b"SFDP" + bytes([0x00, 0x01, 0x00, 0xFF])
    parameters = bytes([0x00, 0x00, 0x01, _TABLE_WORDS]) + _TABLE_AT.to_bytes(3, "little") + b"\xff"
    # 4 KiB erase by 20; 3-byte addresses; dual and quad reads.
    table = struct.pack(
        f"<{_TABLE_WORDS}I",
        0xFFF120E5,
        8 * size - 1,
        0x6B08EB44,
        0xBB423B08,
        0xFFFFFFFE,
        0x0000FFFF,
        0xEB40FFFF,
        0x520F200C,
        0xFF00D810,
    )
    whole = (header + parameters).ljust(_TABLE_AT, b"\xff") + table
    return whole.ljust(_SFDP_SIZE, b"\xff")
