# SPDX-License-Identifier: GPL-3.0-or-later
"""A serial NOR flash chip over any writable buffer.

Erasing sets a 4 KiB sector to ones; programming can only clear bits. Whoever cuts the power
between two steps, or within one, leaves what a real chip could be left with: whole sectors
and pages done, at most one half done.
"""

from __future__ import annotations

import hashlib

from evtool.virtual.flash_commands import CommandRegisters, sfdp

SECTOR_SIZE = 0x1000
BLOCK_SIZE = 0x10000
PAGE_SIZE = 0x100
WINBOND = 0xEF
SPI_NOR = 0x40

# Typical times of a serial NOR chip, in microseconds.
SECTOR_ERASE_US = 45_000
BLOCK_ERASE_US = 150_000
CHIP_ERASE_US = 10_000_000
PAGE_PROGRAM_US = 400

_ERASED_SECTOR = b"\xff" * SECTOR_SIZE
_ERASED_PAGE = b"\xff" * PAGE_SIZE


class PowerCutError(Exception):
    """The power went away in the middle of an operation on the flash."""


class FlashChip:
    """The chip's array and its command interpreter.

    Args:
        storage: the array itself, a whole power of two of at least 64 KiB; writes go straight
            through, so a memory-mapped file keeps them.

    Attributes:
        busy_us: how long a real chip would have been busy since somebody set this to 0.

    Raises:
        ValueError: the buffer's size is not one a chip comes in.
    """

    def __init__(self, storage: memoryview) -> None:
        size = len(storage)
        if size < 0x10000 or size & (size - 1):
            raise ValueError(f"{size} bytes are not the size of a flash chip")
        self._storage = storage
        self.size = size
        self.busy_us = 0
        self._registers = CommandRegisters()
        self._dead_sectors: set[int] = set()
        self._cut_after: int | None = None

    # --- faults -------------------------------------------------------------------

    def wear_out(self, offset: int) -> None:
        """From now on the sector that holds `offset` neither erases nor programs.

        Raises:
            ValueError: beyond the end of the chip.
        """
        self._check(offset, 1)
        self._dead_sectors.add(offset // SECTOR_SIZE)

    def cut_after(self, count: int | None) -> None:
        """Raise PowerCutError once `count` more bytes were erased or programmed; None: never.

        Raises:
            ValueError: a negative count.
        """
        if count is not None and count < 0:
            raise ValueError(f"{count} bytes cannot be written")
        self._cut_after = count

    def flip(self, offset: int, bit: int) -> None:
        """Invert one bit, as wear or radiation would.

        Raises:
            ValueError: no such bit.
        """
        self._check(offset, 1)
        if not 0 <= bit <= 7:
            raise ValueError(f"a byte has bits 0 to 7, not {bit}")
        self._storage[offset] ^= 1 << bit

    # --- the array ----------------------------------------------------------------

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
            PowerCutError: see `cut_after`.
        """
        self._check(offset, len(data))
        position = 0
        while position < len(data):
            address = offset + position
            count = min(PAGE_SIZE - address % PAGE_SIZE, len(data) - position)
            self._program_page(address, data[position : position + count])
            position += count

    def erase_sector(self, offset: int) -> None:
        """Set the sector that holds `offset` to ones.

        Raises:
            ValueError: beyond the end of the chip.
            PowerCutError: see `cut_after`.
        """
        self._check(offset, 1)
        self.busy_us += SECTOR_ERASE_US
        self._erase_sector(offset - offset % SECTOR_SIZE)

    def erase(self, offset: int, length: int) -> None:
        """Erase every sector that `length` bytes from `offset` touch; 64 KiB at once if it can.

        Raises:
            ValueError: beyond the end of the chip.
            PowerCutError: see `cut_after`.
        """
        self._check(offset, length)
        if length == 0:
            return
        start = offset - offset % SECTOR_SIZE
        end = offset + length + (-(offset + length)) % SECTOR_SIZE
        while start < end:
            whole_block = start % BLOCK_SIZE == 0 and end - start >= BLOCK_SIZE
            step = BLOCK_SIZE if whole_block else SECTOR_SIZE
            self.busy_us += BLOCK_ERASE_US if whole_block else SECTOR_ERASE_US
            for sector in range(start, start + step, SECTOR_SIZE):
                self._erase_sector(sector)
            start += step

    def erase_all(self) -> None:
        """Erase the whole chip by one command.

        Raises:
            PowerCutError: see `cut_after`.
        """
        self.busy_us += CHIP_ERASE_US
        for sector in range(0, self.size, SECTOR_SIZE):
            self._erase_sector(sector)

    def md5(self, offset: int, length: int) -> bytes:
        """The digest of a region, 16 bytes."""
        if offset + length <= self.size:
            region = self._storage[offset : offset + length]
            with region:
                return hashlib.md5(region, usedforsecurity=False).digest()
        return hashlib.md5(self.read(offset, length), usedforsecurity=False).digest()

    @property
    def jedec_id(self) -> bytes:
        """Manufacturer, memory type and capacity, as command 9F reads them."""
        return bytes([WINBOND, SPI_NOR, self.size.bit_length() - 1])

    # --- commands -----------------------------------------------------------------

    def command(self, opcode: int, address: int, written: bytes, read_length: int) -> bytes:
        """One SPI transaction of the chip's command set: what it shifts out.

        Args:
            opcode: the command byte.
            address: the address, where the command has one.
            written: bytes the controller shifts out after the address.
            read_length: number of bytes the controller shifts in.

        Raises:
            PowerCutError: see `cut_after`.
        """
        answer = self._registers.command(opcode, written, read_length)
        if answer is None:
            answer = b""
            match opcode:
                case 0x9F:
                    answer = self.jedec_id
                case 0x5A:
                    answer = sfdp(self.size)[address % 256 :]
                case 0x03 | 0x0B | 0x13 | 0x0C:
                    answer = self.read(address, read_length)
                case 0xAB:
                    answer = bytes([self.size.bit_length() - 2])
                case 0x02 | 0x12 | 0x20 | 0x21 | 0xD8 | 0xDC | 0xC7 | 0x60:
                    if self._registers.take_write_enable():
                        self._change(opcode, address % self.size, written)
        return answer[:read_length].ljust(read_length, b"\xff")

    def _change(self, opcode: int, address: int, written: bytes) -> None:
        if opcode in {0xC7, 0x60}:
            self.erase_all()
        elif opcode in {0x20, 0x21}:
            self.erase_sector(address)
        elif opcode in {0xD8, 0xDC}:
            self.erase(address - address % BLOCK_SIZE, BLOCK_SIZE)
        elif written:
            # Beyond the end of its page the address begins at its start again.
            page = address - address % PAGE_SIZE
            room = page + PAGE_SIZE - address
            self._program_page(address, written[:room])
            if written[room:]:
                self._program_page(page, written[room : room + PAGE_SIZE])

    # --- what the array does ------------------------------------------------------

    def _check(self, offset: int, length: int) -> None:
        if offset < 0 or length < 0 or offset + length > self.size:
            raise ValueError(
                f"{length} bytes at {offset:#x} do not fit in {self.size:#x} bytes of flash"
            )

    def _program_page(self, address: int, data: bytes) -> None:
        self.busy_us += PAGE_PROGRAM_US
        if self._dead_sectors and address // SECTOR_SIZE in self._dead_sectors:
            return
        old = bytes(self._storage[address : address + len(data)])
        if old != _ERASED_PAGE[: len(old)]:
            mixed = int.from_bytes(old, "big") & int.from_bytes(data, "big")
            data = mixed.to_bytes(len(data), "big")
        if data != old or self._cut_after is not None:
            self._store(address, data)

    def _erase_sector(self, start: int) -> None:
        if self._dead_sectors and start // SECTOR_SIZE in self._dead_sectors:
            return
        if self._cut_after is not None or self._storage[start : start + SECTOR_SIZE] != (
            _ERASED_SECTOR
        ):
            self._store(start, _ERASED_SECTOR)

    def _store(self, offset: int, data: bytes) -> None:
        if self._cut_after is not None:
            if self._cut_after < len(data):
                done, self._cut_after = self._cut_after, None
                self._storage[offset : offset + done] = data[:done]
                raise PowerCutError
            self._cut_after -= len(data)
        self._storage[offset : offset + len(data)] = data
