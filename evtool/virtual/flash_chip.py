# SPDX-License-Identifier: GPL-3.0-or-later
"""A serial NOR flash chip over any writable buffer.

Erasing sets a 4 KiB sector to ones; programming can only clear bits. Whoever cuts the power
between two steps, or within one, leaves what a real chip could be left with: whole sectors
and pages done, at most one half done.
"""

from __future__ import annotations

import hashlib

SECTOR_SIZE = 0x1000
PAGE_SIZE = 0x100
WINBOND = 0xEF
SPI_NOR = 0x40

_WRITE_ENABLED = 0x02
_ERASED_SECTOR = b"\xff" * SECTOR_SIZE


class FlashChip:
    """The chip's array and its command interpreter.

    Args:
        storage: the array itself, a whole power of two of at least 64 KiB; writes go straight
            through, so a memory-mapped file keeps them.

    Raises:
        ValueError: the buffer's size is not one a chip comes in.
    """

    def __init__(self, storage: memoryview) -> None:
        size = len(storage)
        if size < 0x10000 or size & (size - 1):
            raise ValueError(f"{size} bytes are not the size of a flash chip")
        self._storage = storage
        self.size = size
        self._status = [0, 0, 0]

    def read(self, offset: int, length: int) -> bytes:
        """`length` bytes from `offset`; past the end the address wraps, as on the chip."""
        offset %= self.size
        data = bytes(self._storage[offset : offset + length])
        while len(data) < length:
            data += bytes(self._storage[: length - len(data)])
        return data

    def program(self, offset: int, data: bytes) -> None:
        """Clear the bits that are zero in `data`, page by page.

        Raises:
            ValueError: beyond the end of the chip.
        """
        self._check(offset, len(data))
        position = 0
        while position < len(data):
            address = offset + position
            count = min(PAGE_SIZE - address % PAGE_SIZE, len(data) - position)
            old = int.from_bytes(self._storage[address : address + count], "big")
            new = int.from_bytes(data[position : position + count], "big")
            if old & new != old:
                self._store(address, (old & new).to_bytes(count, "big"))
            position += count

    def erase_sector(self, offset: int) -> None:
        """Set the sector that holds `offset` to ones."""
        self._check(offset, 1)
        start = offset - offset % SECTOR_SIZE
        if self._storage[start : start + SECTOR_SIZE] != _ERASED_SECTOR:
            self._store(start, _ERASED_SECTOR)

    def erase(self, offset: int, length: int) -> None:
        """Erase every sector that `length` bytes from `offset` touch.

        Raises:
            ValueError: beyond the end of the chip.
        """
        self._check(offset, length)
        first = offset - offset % SECTOR_SIZE if length else offset
        for start in range(first, offset + length, SECTOR_SIZE):
            self.erase_sector(start)

    def md5(self, offset: int, length: int) -> bytes:
        """The digest of a region, 16 bytes."""
        return hashlib.md5(self.read(offset, length), usedforsecurity=False).digest()

    def flip(self, offset: int, bit: int) -> None:
        """Invert one bit, as wear or radiation would.

        Raises:
            ValueError: no such bit.
        """
        self._check(offset, 1)
        if not 0 <= bit <= 7:
            raise ValueError(f"a byte has bits 0 to 7, not {bit}")
        self._store(offset, bytes([self._storage[offset] ^ (1 << bit)]))

    @property
    def jedec_id(self) -> bytes:
        """Manufacturer, memory type and capacity, as command 9F reads them."""
        return bytes([WINBOND, SPI_NOR, self.size.bit_length() - 1])

    def command(self, opcode: int, address: int, written: bytes, read_length: int) -> bytes:
        """One SPI transaction of the chip's command set: what it shifts out.

        Args:
            opcode: the command byte.
            address: 24-bit address where the command has one.
            written: bytes the controller shifts out after the address.
            read_length: number of bytes the controller shifts in.
        """
        answer = b""
        status_registers = {0x05: 0, 0x35: 1, 0x15: 2}
        status_writes = {0x01: 0, 0x31: 1, 0x11: 2}
        if opcode == 0x9F:
            answer = self.jedec_id
        elif opcode in status_registers:
            answer = bytes([self._status[status_registers[opcode]]]) * max(read_length, 1)
        elif opcode in status_writes:
            for index, byte in enumerate(written, start=status_writes[opcode]):
                if index < len(self._status):
                    # Busy and write-enable are the chip's own and cannot be written.
                    self._status[index] = byte & 0xFC if index == 0 else byte
        elif opcode == 0x06:
            self._status[0] |= _WRITE_ENABLED
        elif opcode in {0x04, 0x99}:
            self._status[0] &= ~_WRITE_ENABLED & 0xFF
        elif opcode == 0x5A:
            answer = (b"SFDP\x06\x01\x00\xff" + b"\xff" * 248)[address % 256 :]
        elif opcode == 0x03:
            answer = self.read(address, read_length)
        elif opcode == 0xAB:
            answer = bytes([self.size.bit_length() - 2])
        return answer[:read_length].ljust(read_length, b"\xff")

    def _check(self, offset: int, length: int) -> None:
        if offset < 0 or length < 0 or offset + length > self.size:
            raise ValueError(
                f"{length} bytes at {offset:#x} do not fit in {self.size:#x} bytes of flash"
            )

    def _store(self, offset: int, data: bytes) -> None:
        self._storage[offset : offset + len(data)] = data
