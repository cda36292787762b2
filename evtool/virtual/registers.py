# SPDX-License-Identifier: GPL-3.0-or-later
"""The registers that a flashing tool reads and writes.

The fuses, the UART's clock divider, the watchdog, and the SPI controller with its "user
command" engine, through which the host speaks to the flash chip. Everything else, RAM among
it, remembers what was written to it. Source: Technical Reference Manuals, chapters "eFuse
Controller", "UART" and "SPI Controller".
"""

from __future__ import annotations

from evtool.virtual.chips.description import CHIP_MAGIC, CRYSTAL_HZ, Chip
from evtool.virtual.fuse_controller import FuseController
from evtool.virtual.spi_bus import SpiBus

_SPI_CMD, _SPI_ADDR = 0x00, 0x04
_SPI_RUN = 1 << 18
_USER_ADDRESS, _USER_MISO, _USER_MOSI = 1 << 30, 1 << 28, 1 << 27
_SPI_BYTES = 64
_WATCHDOG_ON = 1 << 31


class Registers:
    """Peripheral registers of one chip.

    Args:
        chip: which.
        bus: the flash chips behind the SPI controller.
        fuses: the fuse controller.

    Attributes:
        watchdog_armed: software has told the RTC watchdog to bite.
        fuses_read: the fuses were read anew since somebody cleared this.
    """

    def __init__(self, chip: Chip, bus: SpiBus, fuses: FuseController) -> None:
        self._chip = chip
        self._bus = bus
        self._fuses = fuses
        self._values: dict[int, int] = {}
        self._constants = {CHIP_MAGIC: chip.magic, **dict(chip.constants)}
        self._divider = 0
        self.watchdog_armed = False
        self.fuses_read = False
        self.set_baudrate(115_200)

    def reset(self) -> None:
        """What a reset of the chip does to them; RAM keeps what it holds."""
        self._fuses.reset()
        self.watchdog_armed = False
        self.fuses_read = False

    def set_baudrate(self, baudrate: int) -> None:
        """What the UART's divider reads once it runs at `baudrate`."""
        if baudrate > 0:
            self._divider = round(CRYSTAL_HZ / baudrate)

    def read(self, address: int) -> int:
        """The 32-bit value at `address`."""
        return self._read(self._place(address))

    def _read(self, address: int) -> int:
        if self._fuses.covers(address):
            return self._fuses.read(address)
        if address == self._chip.uart_clock_divider:
            return self._divider
        if address in self._constants:
            return self._constants[address]
        return self._values.get(address, 0)

    def write(self, address: int, value: int, mask: int = 0xFFFFFFFF) -> None:
        """Write the bits in `mask`; a write that starts a SPI command runs it."""
        address = self._place(address)
        value = (self._read(address) & ~mask | value & mask) & 0xFFFFFFFF
        if self._fuses.covers(address):
            self.fuses_read |= self._fuses.write(address, value)
            return
        self._values[address] = value
        if address == self._chip.spi.base + _SPI_CMD and value & _SPI_RUN:
            self._run_spi_command()
        elif address == self._chip.watchdog:
            self.watchdog_armed = bool(value & _WATCHDOG_ON)

    def _place(self, address: int) -> int:
        """Where a register is that is read or written at `address`."""
        if self._chip.mirror is not None:
            start, size, peripherals = self._chip.mirror
            if start <= address < start + size:
                return address - start + peripherals
        return address

    def _spi(self, offset: int) -> int:
        return self._values.get(self._chip.spi.base + offset, 0)

    def _run_spi_command(self) -> None:
        spi = self._chip.spi
        user = self._spi(spi.user)
        address = 0
        if user & _USER_ADDRESS:
            address = self._spi(_SPI_ADDR)
            length = min((self._spi(spi.user1) >> 26) + 1, 32)
            if spi.address_msb_aligned:
                address >>= 32 - length
            address &= (1 << length) - 1
        written = b""
        if user & _USER_MOSI:
            count = min((self._spi(spi.mosi_length) + 8) // 8, _SPI_BYTES)
            words = (self._spi(spi.data + 4 * index) for index in range(_SPI_BYTES // 4))
            written = b"".join(word.to_bytes(4, "little") for word in words)[:count]
        read_length = 0
        if user & _USER_MISO:
            read_length = min((self._spi(spi.miso_length) + 8) // 8, _SPI_BYTES)
        opcode = self._spi(spi.user2) & 0xFF
        flash = self._bus.selected
        if flash is not None:
            answer = flash.command(opcode, address, written, read_length)
        else:
            # The pins are not routed to a chip: the line floats high.
            answer = b"\xff" * read_length
        for index in range(0, len(answer), 4):
            word = int.from_bytes(answer[index : index + 4], "little")
            self._values[spi.base + spi.data + index] = word
        self._values[spi.base + _SPI_CMD] &= ~_SPI_RUN
