# SPDX-License-Identifier: GPL-3.0-or-later
"""The serial loader in the mask ROM.

It answers with four status bytes, erases before it writes, reads flash only 64 bytes at a
time, has no chip erase, and sees no flash until the host attaches it. Until the host says how
large the chip is, it believes in 2 MB. It addresses flash with 24 bits. The fuses may leave it
a few commands only (secure download mode), or none.
"""

from __future__ import annotations

from evtool.protocol.esp_loader import SYNC_WORD, Failure, Op, Request, encode_response
from evtool.protocol.flash_cipher import FlashCipher
from evtool.virtual.flash_chip import FlashChip
from evtool.virtual.flash_write import FlashWrite
from evtool.virtual.loaders.loader import Loader, Next, Reply, checked_block, region_fits
from evtool.virtual.soc import Soc

DEFAULT_FLASH_SIZE = 2 << 20
SLOW_READ_LENGTH = 64
_UNKNOWN_REPLIES = 8
_SECURE_DOWNLOAD_OPS = frozenset(
    {
        Op.FLASH_BEGIN,
        Op.FLASH_DATA,
        Op.FLASH_END,
        Op.SYNC,
        Op.SPI_SET_PARAMS,
        Op.SPI_ATTACH,
        Op.CHANGE_BAUDRATE,
        Op.FLASH_DEFL_BEGIN,
        Op.FLASH_DEFL_DATA,
        Op.FLASH_DEFL_END,
        Op.GET_SECURITY_INFO,
    }
)


class RomLoader(Loader):
    """State from one reset into download mode to the next."""

    ok = b"\0\0\0\0"
    sync_value = SYNC_WORD
    bad_block = Failure.FAILED

    def __init__(self, soc: Soc) -> None:
        super().__init__(soc)
        self._limit = DEFAULT_FLASH_SIZE

    def handle(self, request: Request) -> Reply:
        """Answer one request, as far as the fuses allow."""
        if not self._soc.loader_answers:
            return Reply()
        was_secure = self._soc.is_secure_download
        if was_secure and request.op not in _SECURE_DOWNLOAD_OPS:
            return _unknown()
        if self._starts_by_hook(request):
            return Reply(then=Next.STUB)
        self._registers.fuses_read = False
        reply = super().handle(request)
        if self._registers.fuses_read and not (
            self._soc.loader_answers and self._soc.is_secure_download == was_secure
        ):
            # The loader goes by its fuses from this very command on.
            return Reply()
        return reply

    def _starts_by_hook(self, request: Request) -> bool:
        """Whether a host has bent the ROM's flash read to a stub and now calls it."""
        hook = self._soc.chip.read_hook
        if hook is None or request.op != Op.READ_FLASH_SLOW:
            return False
        entry = self._registers.read(hook)
        return entry != 0 and self.memory.holds_stub(entry)

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
                words = request.words(1)
                self._soc.bus.attach(words[0] if words is not None else 0)
                reply = self._done(request, None)
            case Op.CHANGE_BAUDRATE:
                reply = self._done(request, None)
            case Op.READ_FLASH_SLOW:
                reply = self._read_slow(request)
            case Op.SPI_FLASH_MD5:
                reply = self._md5(request)
            case _:
                reply = _unknown()
        return reply

    def _set_parameters(self, request: Request) -> Failure | None:
        if (words := request.words(6)) is None:
            return Failure.INVALID_MESSAGE
        self._limit = words[1]
        return None

    def _fits(self, flash: FlashChip, offset: int, length: int) -> bool:
        return region_fits(flash, offset, length, self._limit)

    def _begin(self, request: Request) -> Failure | None:
        words = request.words(5 if self._soc.chip.tells_security else 4)
        if words is None:
            return Failure.INVALID_MESSAGE
        erase_length, blocks, block_size, offset = words[0], words[1], words[2], _address(words[3])
        compressed = request.op == Op.FLASH_DEFL_BEGIN
        length = erase_length if compressed else blocks * block_size
        flash = self._soc.bus.selected
        cipher: FlashCipher | None = None
        if any(words[4:]) and (cipher := self._soc.download_cipher()) is None:
            return Failure.FAILED
        if flash is None:
            # Nothing is routed to the controller: it erases and programs into the void.
            return None if erase_length == 0 else Failure.FAILED
        if not self._fits(flash, offset, erase_length):
            return Failure.FAILED
        if erase_length:
            flash.erase(offset, erase_length)
        self._write = FlashWrite(
            flash, offset, length, compressed=compressed, erase_as_it_goes=False, cipher=cipher
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
        failure = write.write(data)
        if failure in {Failure.STUB_INFLATE, Failure.STUB_TOO_MUCH_DATA}:
            return Failure.DEFLATE
        return failure

    def _read_slow(self, request: Request) -> Reply:
        words = request.words(2)
        if words is None:
            return self._done(request, Failure.INVALID_MESSAGE)
        offset, length = _address(words[0]), words[1]
        if length > SLOW_READ_LENGTH:
            return self._done(request, Failure.READ_LENGTH)
        flash = self._soc.bus.selected
        data = b"\xff" * SLOW_READ_LENGTH
        if flash is not None:
            if not self._fits(flash, offset, length):
                return self._done(request, Failure.FLASH_READ)
            data = flash.read(offset, length).ljust(SLOW_READ_LENGTH, b"\xff")
        return Reply((encode_response(request.op, data=data, status=self.ok),))

    def _md5(self, request: Request) -> Reply:
        words = request.words(2)
        if words is None:
            return self._done(request, Failure.INVALID_MESSAGE)
        offset, length = _address(words[0]), words[1]
        flash = self._soc.bus.selected
        if flash is None or not self._fits(flash, offset, length):
            return self._done(request, Failure.FLASH_READ)
        digest = flash.md5(offset, length).hex().encode()
        return Reply((encode_response(request.op, data=digest, status=self.ok),))


def _address(word: int) -> int:
    return word & 0xFFFFFF


def _unknown() -> Reply:
    """A real ROM repeats an answer whose op is not the one that was asked."""
    frame = encode_response(0, status=bytes([1, Failure.INVALID_MESSAGE, 0, 0]))
    return Reply((frame,) * _UNKNOWN_REPLIES)
