# SPDX-License-Identifier: GPL-3.0-or-later
"""What the ROM loader and the flasher stub have in common: requests in, frames out."""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import Enum

from evtool.protocol.esp_loader import (
    BLOCK_HEADER,
    Failure,
    Op,
    Request,
    block_checksum,
    encode_response,
)
from evtool.virtual.flash_chip import FlashChip
from evtool.virtual.flash_write import FlashWrite
from evtool.virtual.loaders.memory import Memory
from evtool.virtual.soc import Soc

SYNC_REPLIES = 8


class Next(Enum):
    """What the processor does after a request."""

    STAY = "stay"
    BOOT = "boot"
    ROM = "rom"
    STUB = "stub"
    UNKNOWN_CODE = "unknown_code"


@dataclass(frozen=True, slots=True)
class Reply:
    """Payloads of the frames to send, and what runs afterwards.

    `early`: they go out before the flash has done what was asked of it.
    """

    frames: tuple[bytes, ...] = ()
    then: Next = Next.STAY
    early: bool = False


class Loader(ABC):
    """A program that answers the host while the chip is being flashed.

    What a subclass says of itself: `ok`, the status bytes of success; `sync_value`, by which
    a host tells the ROM from the stub; `bad_block`, how it refuses a block for RAM.

    Attributes:
        memory: what the host loaded into RAM.
        entry: where it had it started.
    """

    ok: bytes
    sync_value: int
    bad_block: Failure

    def __init__(self, soc: Soc) -> None:
        self._soc = soc
        self._registers = soc.registers
        self.memory = Memory()
        self.entry = 0
        self._write: FlashWrite | None = None

    def handle_raw(self, frame: bytes) -> Reply | None:
        """Take a frame that belongs to a transfer under way; None: it is a request."""
        return None

    def handle(self, request: Request) -> Reply:
        """Answer one request."""
        match request.op:
            case Op.SYNC:
                frame = encode_response(Op.SYNC, value=self.sync_value, status=self.ok)
                reply = Reply((frame,) * SYNC_REPLIES)
            case Op.READ_REG | Op.WRITE_REG:
                reply = self._register_request(request)
            case Op.MEM_BEGIN | Op.MEM_DATA | Op.MEM_END:
                reply = self._memory_request(request)
            case Op.GET_SECURITY_INFO if self._soc.chip.tells_security:
                info = self._soc.security_info()
                reply = Reply((encode_response(request.op, data=info, status=self.ok),))
            case _:
                reply = self._flash_request(request)
        return reply

    @abstractmethod
    def _flash_request(self, request: Request) -> Reply:
        """Every other command, known or not."""

    def _done(self, request: Request, failure: Failure | None, then: Next = Next.STAY) -> Reply:
        status = self.ok if failure is None else bytes([1, failure]).ljust(len(self.ok), b"\0")
        return Reply((encode_response(request.op, status=status),), then)

    def _register_request(self, request: Request) -> Reply:
        value = 0
        if request.op == Op.READ_REG:
            if (words := request.words(1)) is None:
                return self._done(request, Failure.INVALID_MESSAGE)
            value = self._registers.read(words[0])
        else:
            usable = len(request.data) - len(request.data) % BLOCK_HEADER.size
            for address, new, mask, _ in struct.iter_unpack("<IIII", request.data[:usable]):
                self._registers.write(address, new, mask)
        return Reply((encode_response(request.op, value=value, status=self.ok),))

    def _memory_request(self, request: Request) -> Reply:
        then = Next.STAY
        is_done = False
        if request.op == Op.MEM_DATA:
            block = checked_block(request)
            is_done = block is not None and self.memory.put(*block)
        elif request.op == Op.MEM_BEGIN:
            if (begin := request.words(4)) is not None:
                self.memory.begin(begin[2], begin[3])
                is_done = True
        elif (end := request.words(2)) is not None:
            is_done = True
            stay, entry = end
            if not stay:
                self.entry = entry
                then = Next.STUB if self.memory.holds_stub(entry) else Next.UNKNOWN_CODE
        return self._done(request, None if is_done else self.bad_block, then)


def checked_block(request: Request) -> tuple[int, bytes] | None:
    """Sequence number and payload of a ``*_DATA`` request, or None: length or checksum wrong."""
    if len(request.data) < BLOCK_HEADER.size:
        return None
    length, seq, _, _ = BLOCK_HEADER.unpack_from(request.data)
    payload = request.data[BLOCK_HEADER.size :]
    if length != len(payload) or block_checksum(payload) != request.checksum & 0xFF:
        return None
    return seq, payload


def region_fits(flash: FlashChip, offset: int, length: int, limit: int | None = None) -> bool:
    """Whether `length` bytes at `offset` are inside the chip, or inside its first `limit`."""
    return offset + length <= min(flash.size, flash.size if limit is None else limit)
