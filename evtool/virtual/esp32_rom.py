# SPDX-License-Identifier: GPL-3.0-or-later
"""The serial loader in the ESP32's mask ROM.

It answers with four status bytes, erases before it writes, reads flash only 64 bytes at a
time, has no chip erase, and sees no flash until the host attaches it. Until the host says how
large the chip is, it believes in 2 MB.
"""

from __future__ import annotations

from evtool.protocol.esp_loader import SYNC_WORD, Failure, Op, Request, encode_response
from evtool.virtual.esp32_loader import Loader, Next, Reply, checked_block, region_fits
from evtool.virtual.esp32_registers import Registers
from evtool.virtual.flash_chip import FlashChip
from evtool.virtual.flash_write import FlashWrite

DEFAULT_FLASH_SIZE = 2 << 20
SLOW_READ_LENGTH = 64
_UNKNOWN_REPLIES = 8


class RomLoader(Loader):
    """State from one reset into download mode to the next."""

    ok = b"\0\0\0\0"
    sync_value = SYNC_WORD
    bad_block = Failure.FAILED

    def __init__(self, flash: FlashChip, registers: Registers) -> None:
        super().__init__(flash, registers)
        self._limit = DEFAULT_FLASH_SIZE
        registers.attached = False

    def _flash_request(self, request: Request) -> Reply:
        match request.op:
            case Op.FLASH_BEGIN | Op.FLASH_DEFL_BEGIN:
                reply = self._done(request, self._begin(request))
            case Op.FLASH_DATA | Op.FLASH_DEFL_DATA:
                reply = self._done(request, self._data(request))
            case Op.FLASH_END | Op.FLASH_DEFL_END:
                # Either argument leaves the loader: the strapping pin is high again.
                reply = self._done(request, None, Next.BOOT)
            case Op.SPI_SET_PARAMS:
                reply = self._done(request, self._set_parameters(request))
            case Op.SPI_ATTACH:
                self._registers.attached = True
                reply = self._done(request, None)
            case Op.CHANGE_BAUDRATE:
                reply = self._done(request, None)
            case Op.READ_FLASH_SLOW:
                reply = self._read_slow(request)
            case Op.SPI_FLASH_MD5:
                reply = self._md5(request)
            case _:
                # A real ROM repeats an answer whose op is not the one that was asked.
                status = bytes([1, Failure.INVALID_MESSAGE, 0, 0])
                frame = encode_response(0, status=status)
                reply = Reply((frame,) * _UNKNOWN_REPLIES)
        return reply

    def _set_parameters(self, request: Request) -> Failure | None:
        if (words := request.words(6)) is None:
            return Failure.INVALID_MESSAGE
        self._limit = words[1]
        return None

    def _begin(self, request: Request) -> Failure | None:
        if (words := request.words(4)) is None:
            return Failure.INVALID_MESSAGE
        erase_length, blocks, block_size, offset = words
        if not region_fits(self._flash, offset, erase_length, self._limit):
            return Failure.FAILED
        compressed = request.op == Op.FLASH_DEFL_BEGIN
        length = erase_length if compressed else blocks * block_size
        if self._registers.attached and erase_length:
            self._flash.erase(offset, erase_length)
        self._write = FlashWrite(
            self._flash, offset, length, compressed=compressed, erase_as_it_goes=False
        )
        return None

    def _data(self, request: Request) -> Failure | None:
        block = checked_block(request)
        if block is None:
            return Failure.BAD_CHECKSUM
        write = self._write
        if write is None or write.compressed != (request.op == Op.FLASH_DEFL_DATA):
            return Failure.FAILED
        seq, data = block
        if not write.is_next(seq):
            return None if write.was_written(seq) else Failure.FAILED
        if not self._registers.attached:
            return Failure.FLASH_WRITE
        failure = write.write(data)
        if failure in {Failure.STUB_INFLATE, Failure.STUB_TOO_MUCH_DATA}:
            return Failure.DEFLATE
        return failure

    def _read_slow(self, request: Request) -> Reply:
        words = request.words(2)
        if words is None:
            return self._done(request, Failure.INVALID_MESSAGE)
        offset, length = words
        if length > SLOW_READ_LENGTH:
            return self._done(request, Failure.READ_LENGTH)
        if not region_fits(self._flash, offset, length, self._limit):
            return self._done(request, Failure.FLASH_READ)
        data = b"\xff" * SLOW_READ_LENGTH
        if self._registers.attached:
            data = self._flash.read(offset, length).ljust(SLOW_READ_LENGTH, b"\xff")
        return Reply((encode_response(request.op, data=data, status=self.ok),))

    def _md5(self, request: Request) -> Reply:
        words = request.words(2)
        if words is None:
            return self._done(request, Failure.INVALID_MESSAGE)
        offset, length = words
        if not self._registers.attached or not region_fits(
            self._flash, offset, length, self._limit
        ):
            return self._done(request, Failure.FLASH_READ)
        digest = self._flash.md5(offset, length).hex().encode()
        return Reply((encode_response(request.op, data=digest, status=self.ok),))
