# SPDX-License-Identifier: GPL-3.0-or-later
"""ESP32-S3 (QFN56), revision 0.2, at an external USB-UART."""

from __future__ import annotations

from evtool.virtual.chips.description import Chip, Field, RomText, bits
from evtool.virtual.chips.later import LOAD, PREAMBLE, RESETS, SPI_CONTROLLER
from evtool.virtual.chips.reed_solomon import fuse_layout, security_fields

_ROM = RomText(
    head="ESP-ROM:esp32s3-20210327\r\nBuild:Mar 27 2021\r\n",
    flash_boot="0x8 (SPI_FAST_FLASH_BOOT)",
    download_boot="0x0 (DOWNLOAD(USB/UART0))",
    resets=RESETS,
    preamble=PREAMBLE,
    load=LOAD,
    complaint="ets_main.c 333 ",
)

ESP32S3 = Chip(
    name="esp32s3",
    title="ESP32-S3",
    image_chip_id=9,
    magic=0x00000009,
    tells_security=True,
    bootloader_offset=0x0,
    revision=(0, 2),
    uart_clock_divider=0x60000014,
    spi=SPI_CONTROLLER,
    fuses=fuse_layout(
        0x60007000,
        (
            (2, bits((40, 8), (51, 2), (118, 4))),
            (3, bits((61, 21))),
            (17, bits((122, 2), (158, 1))),
        ),
        fail_shift=3,
    ),
    security=security_fields(no_usb=Field(45)),
    rom=_ROM,
    print_function=0x400005D0,
    riscv=False,
    encryption_key_bytes=(32, 64),
    watchdog=0x60008098,
    read_hook=0x3FCEF688,
)
