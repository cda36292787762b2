# SPDX-License-Identifier: GPL-3.0-or-later
"""What the ROM loader and the flasher stub have in common: requests in, frames out."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from evtool.protocol.esp_loader import (
    BLOCK_HEADER,
    Op,
    Request,
    block_checksum,
    encode_response,
)
from evtool.virtual.esp32_registers import Registers
from evtool.virtual.flash_chip import FlashChip

STUB_GREETING = b"OHAI"


class Next(Enum):
    """What the processor does after a request."""

    STAY = "stay"
    BOOT = "boot"
    ROM = "rom"
    STUB = "stub"
    UNKNOWN_CODE = "unknown_code"


@dataclass(frozen=True, slots=True)
class Reply:
    """Payloads of the frames to send, and what runs afterwards."""

    frames: tuple[bytes, ...] = ()
    then: Next = Next.STAY


class Loader(Protocol):
    """A program that answers the host while the chip is being flashed."""

    def handle(self, request: Request) -> Reply:
        """Answer one request."""
        ...

    def handle_raw(self, frame: bytes) -> Reply | None:
        """Take a frame that belongs to a transfer under way; None: it is a request."""
        ...


class Memory:
    """RAM as the host fills it: enough to know a flasher stub when it is started."""

    LIMIT = 0x80000

    def __init__(self) -> None:
        self._image: dict[int, bytes] = {}
        self._address = 0
        self._block_size = 0

    def begin(self, block_size: int, address: int) -> None:
        """A new segment at `address`, in blocks of `block_size` bytes."""
        self._address = address
        self._block_size = block_size

    def put(self, seq: int, data: bytes) -> bool:
        """Block `seq` of the segment; False when the host fills more than there is."""
        if sum(map(len, self._image.values())) + len(data) > self.LIMIT:
            return False
        self._image[self._address + seq * self._block_size] = data
        return True

    def holds_stub(self, entry: int) -> bool:
        """Whether code was loaded at `entry` and a flasher stub's greeting with it.

        Entry addresses change between versions of a flasher; the greeting it must send
        does not.
        """
        loaded = any(a <= entry < a + len(data) for a, data in self._image.items())
        text = b"".join(data for _, data in sorted(self._image.items()))
        return loaded and STUB_GREETING in text


def memory_request(memory: Memory, request: Request) -> bool | Next | None:
    """Handle MEM_BEGIN, MEM_DATA and MEM_END: done or failed, or what to run; None: other op."""
    if request.op == Op.MEM_BEGIN:
        begin = request.words(4)
        if begin is not None:
            memory.begin(begin[2], begin[3])
        return begin is not None
    if request.op == Op.MEM_DATA:
        block = checked_block(request)
        return block is not None and memory.put(*block)
    if request.op == Op.MEM_END:
        return _memory_end(memory, request)
    return None


def _memory_end(memory: Memory, request: Request) -> bool | Next:
    words = request.words(2)
    if words is None:
        return False
    stay, entry = words
    if stay:
        return True
    return Next.STUB if memory.holds_stub(entry) else Next.UNKNOWN_CODE


def checked_block(request: Request) -> tuple[int, bytes] | None:
    """Sequence number and payload of a ``*_DATA`` request, or None: length or checksum wrong."""
    if len(request.data) < BLOCK_HEADER.size:
        return None
    length, seq, _, _ = BLOCK_HEADER.unpack_from(request.data)
    payload = request.data[BLOCK_HEADER.size :]
    if length != len(payload) or block_checksum(payload) != request.checksum & 0xFF:
        return None
    return seq, payload


def register_request(registers: Registers, request: Request, status: bytes) -> Reply | None:
    """READ_REG and WRITE_REG (a list of 16-byte writes); None: another op, or too short."""
    if request.op == Op.READ_REG and (address := request.words(1)) is not None:
        value = registers.read(address[0])
        return Reply((encode_response(request.op, value=value, status=status),))
    if request.op == Op.WRITE_REG and len(request.data) >= BLOCK_HEADER.size:
        usable = len(request.data) - len(request.data) % BLOCK_HEADER.size
        for address_, value, mask, _ in struct.iter_unpack("<IIII", request.data[:usable]):
            registers.write(address_, value, mask)
        return Reply((encode_response(request.op, status=status),))
    return None


def region_fits(flash: FlashChip, offset: int, length: int, limit: int | None = None) -> bool:
    """Whether `length` bytes at `offset` are inside the chip, or inside its first `limit`."""
    return offset + length <= min(flash.size, flash.size if limit is None else limit)
