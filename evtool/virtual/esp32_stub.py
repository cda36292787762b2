# SPDX-License-Identifier: GPL-3.0-or-later
"""The flasher stub that a host loads into RAM to flash faster than through the ROM.

The virtual chip does not execute the uploaded code; it recognises it and speaks the stub's
protocol itself. The stub answers with two status bytes, erases while it writes,
acknowledges a block before it is written (so a failure shows on the next command), and
streams flash to the host with a window of unacknowledged packets.
"""

from __future__ import annotations

import hashlib

from evtool.protocol.esp_loader import Failure, Op, Request, encode_response
from evtool.virtual.esp32_loader import (
    STUB_GREETING,
    Loader,
    Next,
    Reply,
    checked_block,
    region_fits,
)
from evtool.virtual.esp32_registers import Registers
from evtool.virtual.flash_chip import FlashChip
from evtool.virtual.flash_write import FlashWrite

_MAX_PACKET = 0x4000
_ACK_LENGTH = 4


class FlashRead:
    """Flash on its way to the host: at most `window` packets unacknowledged, then the MD5."""

    def __init__(
        self, flash: FlashChip, offset: int, length: int, packet: int, window: int
    ) -> None:
        self._flash = flash
        self._offset = offset
        self._length = length
        self._packet = packet
        self._window = window * packet
        self._sent = 0
        self._acknowledged = 0
        self._digest = hashlib.md5(usedforsecurity=False)
        self.finished = False

    def acknowledge(self, total: int) -> None:
        """The host has `total` bytes."""
        if self._acknowledged <= total <= self._sent:
            self._acknowledged = total

    def packets(self) -> list[bytes]:
        """What may be sent now."""
        packets = []
        while self._sent < self._length and self._sent - self._acknowledged < self._window:
            count = min(self._packet, self._length - self._sent)
            data = self._flash.read(self._offset + self._sent, count)
            self._digest.update(data)
            self._sent += count
            packets.append(data)
        if self._acknowledged == self._length and not self.finished:
            self.finished = True
            packets.append(self._digest.digest())
        return packets


class StubLoader(Loader):
    """State from the stub's start to the next reset."""

    ok = b"\0\0"
    sync_value = 0
    bad_block = Failure.STUB_BAD_CHECKSUM

    def __init__(self, flash: FlashChip, registers: Registers) -> None:
        super().__init__(flash, registers)
        self._read: FlashRead | None = None
        self._late_failure: Failure | None = None
        registers.attached = True

    @staticmethod
    def greeting() -> bytes:
        """The frame with which the stub says that it runs."""
        return STUB_GREETING

    def handle_raw(self, frame: bytes) -> Reply | None:
        """An acknowledgement of a read under way; any other frame ends the read."""
        if self._read is None:
            return None
        if len(frame) != _ACK_LENGTH:
            self._read = None
            return None
        self._read.acknowledge(int.from_bytes(frame, "little"))
        packets = self._read.packets()
        if self._read.finished:
            self._read = None
        return Reply(tuple(packets))

    def _flash_request(self, request: Request) -> Reply:
        match request.op:
            case Op.SPI_SET_PARAMS | Op.SPI_ATTACH | Op.CHANGE_BAUDRATE:
                reply = self._done(request, None)
            case Op.FLASH_BEGIN | Op.FLASH_DEFL_BEGIN:
                reply = self._done(request, self._begin(request))
            case Op.FLASH_DATA | Op.FLASH_DEFL_DATA:
                reply = self._done(request, self._data(request))
            case Op.FLASH_END | Op.FLASH_DEFL_END:
                reply = self._end(request)
            case Op.ERASE_FLASH:
                self._flash.erase(0, self._flash.size)
                reply = self._done(request, None)
            case Op.ERASE_REGION:
                reply = self._done(request, self._erase_region(request))
            case Op.SPI_FLASH_MD5:
                reply = self._md5(request)
            case Op.READ_FLASH:
                reply = self._start_read(request)
            case _:
                reply = self._done(request, Failure.STUB_UNKNOWN)
        return reply

    def _md5(self, request: Request) -> Reply:
        words = request.words(2)
        if words is None or not region_fits(self._flash, *words):
            return self._done(request, Failure.STUB_BAD_LENGTH)
        digest = self._flash.md5(*words)
        return Reply((encode_response(request.op, data=digest, status=self.ok),))

    def _begin(self, request: Request) -> Failure | None:
        if (words := request.words(4)) is None:
            return Failure.STUB_BAD_LENGTH
        length, _, _, offset = words
        if not region_fits(self._flash, offset, length):
            return Failure.STUB_TOO_MUCH_DATA
        self._late_failure = None
        self._write = FlashWrite(
            self._flash,
            offset,
            length,
            compressed=request.op == Op.FLASH_DEFL_BEGIN,
            erase_as_it_goes=True,
        )
        return None

    def _data(self, request: Request) -> Failure | None:
        block = checked_block(request)
        if block is None:
            return Failure.STUB_BAD_CHECKSUM
        write = self._write
        if write is None or write.compressed != (request.op == Op.FLASH_DEFL_DATA):
            return Failure.STUB_NOT_IN_FLASH_MODE
        if self._late_failure is not None:
            return self._late_failure
        seq, data = block
        if write.is_next(seq):
            self._late_failure = write.write(data)
        elif not write.was_written(seq):
            return Failure.STUB_BAD_LENGTH
        return None

    def _end(self, request: Request) -> Reply:
        words = request.words(1)
        if words is None or self._write is None:
            return self._done(request, Failure.STUB_NOT_IN_FLASH_MODE)
        failure = self._late_failure
        if failure is None and self._write.remaining > 0:
            failure = Failure.STUB_NOT_ENOUGH_DATA
        self._write = None
        # Argument 0 restarts the chip by software. That keeps the strapping pins as they were
        # sampled, so it comes up in the ROM's loader again.
        return self._done(request, failure, Next.STAY if words[0] else Next.ROM)

    def _erase_region(self, request: Request) -> Failure | None:
        words = request.words(2)
        if words is None or not region_fits(self._flash, *words):
            return Failure.STUB_BAD_LENGTH
        self._flash.erase(*words)
        return None

    def _start_read(self, request: Request) -> Reply:
        words = request.words(4)
        if words is None:
            return self._done(request, Failure.STUB_BAD_LENGTH)
        offset, length, packet, window = words
        if not (region_fits(self._flash, offset, length) and 0 < packet <= _MAX_PACKET and window):
            return self._done(request, Failure.STUB_BAD_LENGTH)
        self._read = FlashRead(self._flash, offset, length, packet, min(window, 64))
        ack = encode_response(request.op, status=self.ok)
        return Reply((ack, *self._read.packets()))
