# SPDX-License-Identifier: GPL-3.0-or-later
"""The flasher stub that a host loads into RAM to flash faster than through the ROM.

The virtual chip does not execute the uploaded code; it recognises it and speaks the stub's
protocol itself. The stub answers with two status bytes, erases while it writes,
acknowledges a block before it is written (so a failure shows on the next command), and
streams flash to the host with a window of unacknowledged packets.
"""

from __future__ import annotations

from dataclasses import replace

from evtool.protocol.esp_loader import Failure, Op, Request, encode_response
from evtool.protocol.flash_cipher import FlashCipher
from evtool.virtual.flash_chip import FlashChip
from evtool.virtual.flash_write import FlashWrite
from evtool.virtual.loaders.flash_read import FlashRead
from evtool.virtual.loaders.loader import Loader, Next, Reply, checked_block, region_fits
from evtool.virtual.loaders.memory import STUB_GREETING
from evtool.virtual.soc import Soc

_MAX_PACKET = 0x4000
_ACK_LENGTH = 4
_FLASH_OPS = frozenset(
    {
        Op.FLASH_BEGIN,
        Op.FLASH_DEFL_BEGIN,
        Op.ERASE_FLASH,
        Op.ERASE_REGION,
        Op.SPI_FLASH_MD5,
        Op.READ_FLASH,
    }
)


class StubLoader(Loader):
    """State from the stub's start to the next reset."""

    ok = b"\0\0"
    sync_value = 0
    bad_block = Failure.STUB_BAD_CHECKSUM

    def __init__(self, soc: Soc) -> None:
        super().__init__(soc)
        self._read: FlashRead | None = None
        self._late_failure: Failure | None = None
        soc.bus.attach()

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
            case Op.SPI_ATTACH:
                words = request.words(1)
                self._soc.bus.attach(words[0] if words is not None else 0)
                reply = self._done(request, None)
            case Op.SPI_SET_PARAMS | Op.CHANGE_BAUDRATE:
                reply = self._done(request, None)
            case Op.FLASH_DATA | Op.FLASH_DEFL_DATA | Op.FLASH_ENCRYPT_DATA:
                # Acknowledged before it is written.
                reply = replace(self._done(request, self._data(request)), early=True)
            case Op.FLASH_END | Op.FLASH_DEFL_END:
                reply = self._end(request)
            case Op.RUN_USER_CODE:
                reply = Reply(then=Next.ROM)
            case _ if request.op in _FLASH_OPS:
                flash = self._soc.bus.selected
                if flash is None:
                    # The pins lead nowhere: no chip takes the command.
                    return self._done(request, Failure.FLASH_READ)
                reply = self._chip_request(request, flash)
            case _:
                reply = self._done(request, Failure.STUB_UNKNOWN)
        return reply

    def _chip_request(self, request: Request, flash: FlashChip) -> Reply:
        match request.op:
            case Op.FLASH_BEGIN | Op.FLASH_DEFL_BEGIN:
                reply = self._done(request, self._begin(request, flash))
            case Op.ERASE_FLASH:
                flash.erase_all()
                reply = self._done(request, None)
            case Op.ERASE_REGION:
                reply = self._done(request, _erase_region(request, flash))
            case Op.SPI_FLASH_MD5:
                reply = self._md5(request, flash)
            case _:
                reply = self._start_read(request, flash)
        return reply

    def _md5(self, request: Request, flash: FlashChip) -> Reply:
        words = request.words(2)
        if words is None or not region_fits(flash, *words):
            return self._done(request, Failure.STUB_BAD_LENGTH)
        digest = flash.md5(*words)
        return Reply((encode_response(request.op, data=digest, status=self.ok),))

    def _begin(self, request: Request, flash: FlashChip) -> Failure | None:
        if (words := request.words(4)) is None:
            return Failure.STUB_BAD_LENGTH
        length, _, _, offset = words
        if not region_fits(flash, offset, length):
            return Failure.STUB_TOO_MUCH_DATA
        # A fifth word asks for encryption; older hosts ask with each block.
        fifth = request.words(5)
        cipher: FlashCipher | None = None
        if fifth is not None and fifth[4] and (cipher := self._soc.download_cipher()) is None:
            return Failure.FLASH_WRITE
        self._late_failure = None
        self._write = FlashWrite(
            flash,
            offset,
            length,
            compressed=request.op == Op.FLASH_DEFL_BEGIN,
            erase_as_it_goes=True,
            cipher=cipher,
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
        if request.op == Op.FLASH_ENCRYPT_DATA and write.cipher is None:
            write.cipher = self._soc.download_cipher()
            if write.cipher is None:
                return Failure.FLASH_WRITE
        if write.is_next(seq):
            self._late_failure = write.write(data)
        elif not write.was_written(seq):
            return Failure.STUB_BAD_LENGTH
        return None

    def _end(self, request: Request) -> Reply:
        words = request.words(1)
        if words is None or self._write is None:
            return self._done(request, Failure.STUB_NOT_IN_FLASH_MODE)
        failure = self._late_failure or self._write.finish()
        if failure is None and self._write.remaining > 0:
            failure = Failure.STUB_NOT_ENOUGH_DATA
        self._write = None
        # Argument 0 restarts the chip by software. That keeps the strapping pins as they were
        # sampled, so it comes up in the ROM's loader again.
        return self._done(request, failure, Next.STAY if words[0] else Next.ROM)

    def _start_read(self, request: Request, flash: FlashChip) -> Reply:
        words = request.words(4)
        if words is None:
            return self._done(request, Failure.STUB_BAD_LENGTH)
        offset, length, packet, window = words
        if not (region_fits(flash, offset, length) and 0 < packet <= _MAX_PACKET and window):
            return self._done(request, Failure.STUB_BAD_LENGTH)
        self._read = FlashRead(flash, offset, length, packet, min(window, 64))
        ack = encode_response(request.op, status=self.ok)
        return Reply((ack, *self._read.packets()))


def _erase_region(request: Request, flash: FlashChip) -> Failure | None:
    words = request.words(2)
    if words is None or not region_fits(flash, *words):
        return Failure.STUB_BAD_LENGTH
    flash.erase(*words)
    return None
