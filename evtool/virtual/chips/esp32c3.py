# SPDX-License-Identifier: GPL-3.0-or-later
"""ESP32-C3 (QFN32), revision 0.3, at an external USB-UART."""

from __future__ import annotations

from evtool.virtual.chips.description import Chip, Field, RomText, bits
from evtool.virtual.chips.later import LOAD, PREAMBLE, RESETS, SPI_CONTROLLER
from evtool.virtual.chips.reed_solomon import fuse_layout, security_fields

_ROM = RomText(
    head="ESP-ROM:esp32c3-api1-20210207\r\nBuild:Feb  7 2021\r\n",
    flash_boot="0xc (SPI_FAST_FLASH_BOOT)",
    download_boot="0x4 (DOWNLOAD(USB/UART0/1))",
    resets=RESETS,
    preamble=PREAMBLE,
    load=LOAD,
    complaint="ets_main.c 333 ",
)

ESP32C3 = Chip(
    name="esp32c3",
    title="ESP32-C3",
    image_chip_id=5,
    magic=0x1B31506F,
    tells_security=True,
    bootloader_offset=0x0,
    revision=(0, 3),
    uart_clock_divider=0x60000014,
    spi=SPI_CONTROLLER,
    fuses=fuse_layout(
        0x60008800,
        (
            (2, bits((40, 5), (46, 2), (51, 2))),
            (3, bits((61, 3), (80, 2))),
        ),
        # The error flags of this chip stand one block further than its counts.
        fail_shift=7,
    ),
    security=security_fields(no_usb=Field(43)),
    rom=_ROM,
    print_function=0x40000040,
    riscv=True,
    encryption_key_bytes=(32,),
    watchdog=0x60008090,
)
