# SPDX-License-Identifier: GPL-3.0-or-later
"""The ESP32 registers that a flashing tool reads and writes.

Fuses (blank but for the MAC address and the chip revision), the UART's clock divider, the
calibration of the RTC clock, and the SPI controller with its "user command" engine, through
which the host speaks to the flash chip. Everything else remembers what was written to it.
Source: ESP32 Technical Reference Manual, chapters "eFuse Controller", "UART" and "SPI".
"""

from __future__ import annotations

from evtool.virtual.flash_chip import FlashChip

CHIP_MAGIC = 0x40001000
CHIP_MAGIC_ESP32 = 0x00F01D83
EFUSE_BLOCK0 = 0x3FF5A000
APB_CTL_DATE = 0x3FF6607C
UART_CLKDIV = 0x3FF40014
RTC_CALIBRATION = 0x3FF5F06C
SPI_BASE = 0x3FF42000
CRYSTAL_HZ = 40_000_000

_SPI_CMD, _SPI_ADDR, _SPI_USER1, _SPI_USER2 = 0x00, 0x04, 0x20, 0x24
_SPI_USER, _SPI_MOSI_LENGTH, _SPI_MISO_LENGTH, _SPI_W0 = 0x1C, 0x28, 0x2C, 0x80
_SPI_RUN = 1 << 18
_USER_ADDRESS, _USER_MISO, _USER_MOSI = 1 << 30, 1 << 28, 1 << 27
# The 8 MHz oscillator's calibration words from which a host derives the crystal: above
# 33 MHz means 40 MHz. 1600 * 15625 * 64 / 40 = 40 000 000.
_RTC_CALIBRATION_VALUE = 1600 << 7
_OSCILLATOR_FUSE = 0x40


def mac_crc8(mac: bytes) -> int:
    """The CRC-8 (polynomial 0x31, reflected) that stands beside the MAC in the fuses."""
    crc = 0
    for byte in mac:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x8C if crc & 1 else 0)
    return crc


class Registers:
    """Peripheral registers of an ESP32-D0WD-V3, revision 3.

    Args:
        flash: the chip behind the SPI controller.
        mac: the factory MAC address, 6 bytes.
    """

    def __init__(self, flash: FlashChip, mac: bytes) -> None:
        self._flash = flash
        self._values: dict[int, int] = {}
        self._read_only = {
            CHIP_MAGIC: CHIP_MAGIC_ESP32,
            EFUSE_BLOCK0 + 4: int.from_bytes(mac[2:], "big"),
            EFUSE_BLOCK0 + 8: mac_crc8(mac) << 16 | int.from_bytes(mac[:2], "big"),
            # Revision bit 0, package 1 (D0WD); rated for 240 MHz.
            EFUSE_BLOCK0 + 12: 1 << 15 | 1 << 9 | 1 << 13,
            EFUSE_BLOCK0 + 16: _OSCILLATOR_FUSE,
            EFUSE_BLOCK0 + 20: 1 << 20,
            APB_CTL_DATE: 1 << 31,
            RTC_CALIBRATION: _RTC_CALIBRATION_VALUE,
        }
        self.attached = False
        self.set_baudrate(115_200)

    def set_baudrate(self, baudrate: int) -> None:
        """What the UART's divider reads once it runs at `baudrate`."""
        if baudrate > 0:
            self._read_only[UART_CLKDIV] = round(CRYSTAL_HZ / baudrate)

    def read(self, address: int) -> int:
        """The 32-bit value at `address`."""
        if address in self._read_only:
            return self._read_only[address]
        return self._values.get(address, 0)

    def write(self, address: int, value: int, mask: int = 0xFFFFFFFF) -> None:
        """Write the bits in `mask`; a write that starts a SPI command runs it."""
        value = self.read(address) & ~mask | value & mask
        self._values[address] = value & 0xFFFFFFFF
        if address == SPI_BASE + _SPI_CMD and value & _SPI_RUN:
            self._run_spi_command()

    def _spi(self, offset: int) -> int:
        return self._values.get(SPI_BASE + offset, 0)

    def _run_spi_command(self) -> None:
        user = self._spi(_SPI_USER)
        address = 0
        if user & _USER_ADDRESS:
            address_bits = (self._spi(_SPI_USER1) >> 26) + 1
            address = self._spi(_SPI_ADDR) >> (32 - min(address_bits, 32))
        written = b""
        if user & _USER_MOSI:
            count = min((self._spi(_SPI_MOSI_LENGTH) + 8) // 8, 64)
            words = (self._spi(_SPI_W0 + 4 * index) for index in range(16))
            written = b"".join(word.to_bytes(4, "little") for word in words)[:count]
        read_length = 0
        if user & _USER_MISO:
            read_length = min((self._spi(_SPI_MISO_LENGTH) + 8) // 8, 64)
        opcode = self._spi(_SPI_USER2) & 0xFF
        if self.attached:
            answer = self._flash.command(opcode, address, written, read_length)
        else:
            # The pins are not routed to the chip yet: the line floats high.
            answer = b"\xff" * read_length
        for index in range(0, len(answer), 4):
            word = int.from_bytes(answer[index : index + 4], "little")
            self._values[SPI_BASE + _SPI_W0 + index] = word
        self._values[SPI_BASE + _SPI_CMD] &= ~_SPI_RUN
