# SPDX-License-Identifier: GPL-3.0-or-later
"""One board, flashed by esptool's own Python code in the thread that asks.

Of esptool this uses what its documentation shows to scripts: a chip's class, `connect`,
`run_stub`, `flash_defl_begin` and `flash_defl_block`, `flash_md5sum`. Bytes go from memory to the
port: no file, no argument, no secret anywhere else. A `Board` of `evtool.flash.station`.
"""

from __future__ import annotations

import hashlib
import struct
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, TypeVar

import esptool
import serial
from esptool.cmds import detect_flash_size
from esptool.targets import CHIP_DEFS

from evtool.errors import DeviceError, EvtoolError, ToolError, TransferFault
from evtool.link.boot_console import PortConsole, restarted_console
from evtool.link.command import CommandResult
from evtool.link.deflated import Stream, Streams
from evtool.link.esptool_faults import CABLE_FIX, SerialFault, translate
from evtool.link.esptool_log import listening
from evtool.link.esptool_packets import checksum
from evtool.link.passing_fault import passing_faults, patiently
from evtool.link.serial_line import port_error, terminal_errors
from evtool.link.watched_port import WatchedPort, is_rfc2217, open_watched_port
from evtool.protocol.board_flash import (
    ANY_CHIP,
    FLASH_ENCRYPTION,
    SECURE_BOOT,
    SECURE_DOWNLOAD,
    BoardFacts,
    ChipInfo,
    FlashPart,
    parse_flash_size,
)

if TYPE_CHECKING:
    from evtool.link.chip_fuses import ChipFuses

T = TypeVar("T")

ROM_BAUDRATE = 115_200
# Connecting (seven tries), uploading the stub, and the questions.
_OVERHEAD_S = 60.0
# Worst of typical NOR flash: 400 ms to erase a sector of 4096 bytes.
_ERASE_S_PER_BYTE = 0.4 / 4096
# As esptool: 40 s a megabyte of erasing and writing, and blocks of 64 KiB that the stub begins
# to erase with each 32 KiB that it inflates.
_WRITE_S_PER_BYTE = 40 / 1e6
_ERASED_AHEAD, _INFLATED = 0x10000, 0x8000
_SHORTEST_S = 3.0
_LOG_LINES = 40
_FUSES_S = 60.0


class EsptoolBoard:
    """The board at one port.

    Args:
        port: a device, or a URL of pyserial.
        chip: the family, as esptool names it; any other is refused. ANY_CHIP takes what there is.
        streams: shared by all boards of a run.
        total_bytes: of all that may be written, for the deadline of the whole.
        was_there: the port was seen before: if it is missing, it may only blink.
        stop: whether the work is to end now.
        say: takes each line that esptool says about this board.
    """

    fine = True

    def __init__(
        self,
        port: str,
        *,
        chip: str,
        streams: Streams,
        total_bytes: int,
        was_there: bool = False,
        stop: Callable[[], bool],
        say: Callable[[str], None],
    ) -> None:
        self._name = port
        self._chip = chip
        self._streams = streams
        self._total_bytes = total_bytes
        self._passing = passing_faults(was_there=was_there)
        self._stop = stop
        self._say_on = say
        self._said: list[str] = []
        self._port: WatchedPort | None = None
        self._esp: Any = None

    def connect(self, baudrate: int) -> BoardFacts:
        """Open the port, start the stub, set the speed, and say what is there.

        Raises:
            DeviceError: no such port, a busy one, another chip.
            LinkTimeout: nobody answers.
            TransferFault: bytes were lost.
        """
        self._port = self._open()
        self._port.deadline = time.monotonic() + deadline_s(self._total_bytes, baudrate)
        return self._guarded(lambda: self._connect(baudrate))

    def holds(self, parts: Sequence[FlashPart]) -> list[bool]:
        """Whether the flash has each part's MD5, computed by the stub over the flash itself."""
        return self._guarded(lambda: [self._md5(part) == _md5(part.data) for part in parts])

    def read(self, offset: int, size: int) -> bytes:
        """`size` bytes of flash from `offset`, checked by the stub's MD5 of what it sent."""
        return self._guarded(lambda: bytes(self._esp.read_flash(offset, size)))

    def with_fuses(self, work: Callable[[ChipFuses], T]) -> T:
        """`work` on the connected chip's fuses.

        Raises:
            DeviceError: espefuse refused, with its reason.
        """
        if self._port is not None:
            limit = time.monotonic() + _FUSES_S
            self._port.deadline = max(self._port.deadline or limit, limit)
        return self._guarded(lambda: self._fuse_work(work))

    def _fuse_work(self, work: Callable[[ChipFuses], T]) -> T:
        from evtool.link.chip_fuses import ChipFuses  # noqa: PLC0415  # espefuse takes its time

        try:
            return work(ChipFuses(self._chip, self._esp))
        except esptool.FatalError as error:
            if isinstance(self._translated("A fatal error occurred", error), TransferFault):
                reason = str(error).strip().splitlines()[0]
                raise DeviceError(
                    f"{self._name}: the fuses: {reason}",
                    fix="run the command again; nothing is burned twice",
                ) from error
            raise

    def enciphered(self, offset: int, sector: bytes) -> bytes:
        """What the flash holds when the chip has put `sector` through its cipher, to `offset`."""
        return self._guarded(lambda: self._encipher(offset, sector))

    def _encipher(self, offset: int, sector: bytes) -> bytes:
        esp = self._esp
        esp.flash_begin(len(sector), offset, encrypted_write=True)
        block = sector.ljust(esp.FLASH_WRITE_SIZE, b"\xff")
        esp.flash_block(block, 0, timeout=_SHORTEST_S, encrypted=True)
        # Answered only when the block is in the flash.
        esp.read_reg(esp.CHIP_DETECT_MAGIC_REG_ADDR, timeout=_SHORTEST_S)
        return bytes(esp.read_flash(offset, len(sector)))

    def write(self, parts: Sequence[FlashPart], on_bytes: Callable[[int], None]) -> None:
        """Write the parts; sectors are erased as the data reaches them.

        `on_bytes` is told how many bytes of flash each acknowledged block becomes.
        """
        for part in parts:
            if part.encrypt:
                raise ValueError(f"{part.name}: only esptool as a program encrypts on the way")
            self._guarded(partial(self._write, part, on_bytes))

    def restart(self) -> None:
        """Pulse the reset line: the board starts what its flash holds."""
        self._guarded(lambda: esptool.reset_chip(self._esp, "hard-reset"))

    def console(self) -> AbstractContextManager[PortConsole]:
        """The console from a restart on, at the port that the flasher gives up."""
        self.close()
        return restarted_console(self._name, self._stop)

    def close(self) -> None:
        """Give the port back, in whatever state it is."""
        if self._port is not None:
            self._port.close()
            self._port = None

    def _open(self) -> WatchedPort:
        try:
            return patiently(
                lambda: open_watched_port(self._name, self._stop), self._stop, self._passing
            )
        except (serial.SerialException, OSError, ValueError) as error:
            raise port_error(self._name, ROM_BAUDRATE, error) from error

    # --- in esptool's words -----------------------------------------------------------

    def _connect(self, baudrate: int) -> BoardFacts:
        rom = self._loader("esp32" if self._chip == ANY_CHIP else self._chip)
        if self._chip != ANY_CHIP:
            _connect(rom)
        else:
            self._chip = _detected(rom)
            if self._chip != "esp32":
                rom = self._loader(self._chip)
                _connect(rom)
        if rom.secure_download_mode:
            self._esp = rom
            info = ChipInfo(self._chip, rom.CHIP_NAME, "")
            return BoardFacts(info, None, None, (SECURE_DOWNLOAD,))
        self._esp = esp = rom.run_stub()
        esp.checksum = checksum
        if baudrate != ROM_BAUDRATE:
            esp.change_baud(baudrate)
        esptool.attach_flash(esp)
        size = parse_flash_size(detect_flash_size(esp) or "")
        if size is not None:
            esp.flash_set_parameters(size)
        description, revision = esp.get_chip_description(), esp.get_chip_revision()
        mac = bytes(esp.read_mac("BASE_MAC")).hex(":")
        secured = [
            name
            for name, is_on in (
                (FLASH_ENCRYPTION, esp.get_flash_encryption_enabled()),
                (SECURE_BOOT, esp.get_secure_boot_enabled()),
            )
            if is_on
        ]
        info = ChipInfo(self._chip, description, mac)
        return BoardFacts(info, revision, size, tuple(secured))

    def _loader(self, chip: str) -> Any:
        rom = CHIP_DEFS[chip](self._port, ROM_BAUDRATE)
        rom.USES_RFC2217 = is_rfc2217(self._name)
        rom.checksum = checksum
        rom.mem_finish = partial(_mem_finish, rom)
        return rom

    def _md5(self, part: FlashPart) -> str:
        digest: str = self._esp.flash_md5sum(part.offset, len(part.data))
        return digest

    def _write(self, part: FlashPart, on_bytes: Callable[[int], None]) -> None:
        esp = self._esp
        data = part.data + b"\xff" * (-len(part.data) % 4)
        stream = self._streams.of(data, esp.FLASH_WRITE_SIZE)
        self._say(f"writing {len(data)} bytes at {part.offset:#x}, {stream.size} on the line")
        if stream.deflated:
            esp.flash_defl_begin(len(data), stream.size, part.offset)
        else:
            esp.flash_begin(len(data), part.offset)
        timeout_s = _SHORTEST_S
        for number, (block, plain) in enumerate(zip(stream.blocks, stream.plain, strict=True)):
            # A block is acknowledged as it comes, and written while the next one is sent.
            self._send(stream, block, number, timeout_s)
            timeout_s = block_timeout_s(plain)
            on_bytes(plain)
        # Answered only when the last block is in the flash.
        esp.read_reg(esp.CHIP_DETECT_MAGIC_REG_ADDR, timeout=timeout_s)

    def _send(self, stream: Stream, block: bytes, number: int, timeout_s: float) -> None:
        if stream.deflated:
            self._esp.flash_defl_block(block, number, timeout=timeout_s)
        else:
            padded = block.ljust(self._esp.FLASH_WRITE_SIZE, b"\xff")
            self._esp.flash_block(padded, number, timeout=timeout_s)

    # --- what may go wrong --------------------------------------------------------------

    def _say(self, line: str) -> None:
        self._said = [*self._said[-_LOG_LINES:], line]
        self._say_on(line)

    def _guarded(self, call: Callable[[], T]) -> T:
        """`call` with esptool's words listened to and its errors in ours."""
        if self._port is None:
            raise DeviceError(f"{self._name}: the port is closed", fix="connect first")
        try:
            with listening(self._say), terminal_errors():
                return call()
        except esptool.FatalError as error:
            raise self._translated("A fatal error occurred", error) from error
        except (serial.SerialException, OSError) as error:
            raise self._translated("A serial exception error occurred", error) from error

    def _translated(self, kind: str, error: Exception) -> EvtoolError:
        text = "\n".join([*self._said, f"{kind}: {error}"])
        meant = translate(CommandResult(2, text), [], self._name, self._chip)
        if isinstance(meant, SerialFault):
            return TransferFault(meant.message, fix=CABLE_FIX)
        if type(meant) is ToolError:
            # A complaint that has no sentence of its own: of the line, while the line is in use.
            return TransferFault(f"{self._name}: {str(error).splitlines()[0]}", fix=CABLE_FIX)
        return meant


def _detected(rom: Any) -> str:
    """Which family answers; `rom` is an ESP32's, and is connected if it is one.

    Raises:
        esptool.FatalError: none that esptool knows, or nobody.
    """
    rom.connect(detecting=True)
    with suppress(esptool.FatalError):  # in secure download mode no chip reads a register
        if rom.read_reg(rom.CHIP_DETECT_MAGIC_REG_ADDR) == rom.MAGIC_VALUE:
            return "esp32"
    number = rom.get_chip_id()
    for name, kind in CHIP_DEFS.items():
        if not kind.USES_MAGIC_VALUE and number == kind.IMAGE_CHIP_ID:
            return str(name)
    raise esptool.FatalError(f"Unexpected chip ID value {number}.")


def _connect(rom: Any) -> None:
    """Reset the chip into its loader, and see that it is the right one.

    Raises:
        esptool.FatalError: it is another one, or nobody answers.
    """
    if rom.CHIP_NAME == "ESP32":
        # `connect` would ask for the security info first. The ESP32 knows no such command, and
        # twice it takes 0.2 s to be sure of that: more than all the rest of it.
        rom.connect(detecting=True)
        if rom.read_reg(rom.CHIP_DETECT_MAGIC_REG_ADDR) == rom.MAGIC_VALUE:
            return
    rom.connect()


def _mem_finish(rom: Any, entry: int = 0) -> None:
    """As esptool's, which gives the answer 0.2 s, and behind a late one hears nothing any more.

    With many boards, or much else, on one computer that is short, and the attempt lost.
    """
    data = struct.pack("<II", int(entry == 0), entry)
    with suppress(esptool.FatalError):  # the stub's own word follows, or is missed
        rom.check_command(
            "leave RAM download mode", rom.ESP_CMDS["MEM_END"], data=data, timeout=_SHORTEST_S
        )


def deadline_s(total_bytes: int, baudrate: int) -> float:
    """How long one try of a board may take: twice the time on the wire, and the erasing."""
    return _OVERHEAD_S + total_bytes * (2 * 10 / baudrate + _ERASE_S_PER_BYTE)


def block_timeout_s(plain: int) -> float:
    """How long the flash may take for a block that becomes `plain` bytes."""
    erased = (plain // _INFLATED + 2) * _ERASED_AHEAD
    return max(_SHORTEST_S, (plain + erased) * _WRITE_S_PER_BYTE)


@lru_cache(maxsize=256)
def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()
