# SPDX-License-Identifier: GPL-3.0-or-later
"""ESP32-D0WD-V3, revision 3.0, 40 MHz crystal."""

from __future__ import annotations

from evtool.virtual.chips.description import (
    Chip,
    Field,
    FuseBlock,
    FuseCoding,
    FuseLayout,
    ResetCause,
    ResetCode,
    RomText,
    SecurityFields,
    SpiController,
    bits,
)

_APB_CTL_DATE = 0x3FF6607C
# How programs told an ESP32 from an ESP8266 before there was a magic word.
_UART_DATE = 0x3FF40078
_UART_DATE_VALUE = 0x15122500
_RTC_CALIBRATION = 0x3FF5F06C
# The 8 MHz oscillator's calibration words from which a host derives the crystal: above
# 33 MHz means 40 MHz. 1600 * 15625 * 64 / 40 = 40 000 000.
_RTC_CALIBRATION_VALUE = 1600 << 7

# What block 3 holds, flash encryption's configuration, coding scheme, key status.
_KEY_STATUS_AND_CODING = bits((110, 1), (188, 6), (202, 1))

_FUSES = FuseLayout(
    base=0x3FF5A000,
    size=0x120,
    coding=FuseCoding.THREE_QUARTERS,
    blocks=(
        FuseBlock(read=0x00, words=7, write=0x1C),
        FuseBlock(read=0x38, words=8, write=0x98, write_protect=7, read_protect=0),
        FuseBlock(read=0x58, words=8, write=0xB8, write_protect=8, read_protect=1),
        FuseBlock(read=0x78, words=8, write=0xD8, write_protect=9, read_protect=2),
    ),
    protected_fields=(
        (0, bits((16, 4))),
        (1, bits((0, 16))),
        (2, bits((20, 8))),
        (3, bits((32, 56), (96, 2), (99, 1), (182, 2))),
        (4, bits((128, 13))),
        (5, bits((142, 3))),
        (6, bits((160, 20))),
        (10, _KEY_STATUS_AND_CODING),
        (12, bits((196, 1))),
        (13, bits((197, 1))),
        (14, bits((198, 1))),
        (15, bits((199, 3))),
    ),
    hidden_fields=((3, _KEY_STATUS_AND_CODING),),
    wr_dis=Field(0, 16),
    rd_dis=Field(16, 4),
    configuration=0xFC,
    command=0x104,
    decode_status=0x11C,
)

_SECURITY = SecurityFields(
    flash_encryption=Field(20, 7),
    no_download=Field(27),
    # espefuse reads the fuses once more after it has burned this one, and finds the chip there.
    loader_stays=True,
    no_manual_encryption=Field(199),
    secure_boot_v1=Field(196),
    secure_boot=Field(197),
    encryption_config=Field(188, 4),
    coding_scheme=Field(192, 2),
)

_ROM = RomText(
    head="ets Jul 29 2019 12:21:46\r\n\r\n",
    flash_boot="0x13 (SPI_FAST_FLASH_BOOT)",
    download_boot="0x3 (DOWNLOAD_BOOT(UART0/UART1/SDIO_REI_REO_V2))",
    resets={
        ResetCause.POWER_ON: ResetCode(0x1, "POWERON_RESET"),
        ResetCause.SOFTWARE: ResetCode(0xC, "SW_CPU_RESET"),
        ResetCause.PANIC: ResetCode(0xC, "SW_CPU_RESET"),
        ResetCause.RTC_WATCHDOG: ResetCode(0x10, "RTCWDT_RTC_RESET"),
        ResetCause.ROM_WATCHDOG: ResetCode(0x10, "RTCWDT_RTC_RESET"),
        ResetCause.TIMER_WATCHDOG: ResetCode(0x8, "TG1WDT_SYS_RESET"),
        ResetCause.BROWNOUT: ResetCode(0xC, "SW_CPU_RESET"),
        ResetCause.BOOTLOADER: ResetCode(0x3, "SW_RESET"),
    },
    preamble=(
        "configsip: 0, SPIWP:0xee",
        "clk_drv:0x00,q_drv:0x00,d_drv:0x00,cs0_drv:0x00,hd_drv:0x00,wp_drv:0x00",
        "mode:{mode}, clock div:2",
    ),
    load="load:{address:#010x},len:{length}",
    complaint="ets_main.c 371 ",
)

ESP32 = Chip(
    name="esp32",
    title="ESP32",
    image_chip_id=0,
    magic=0x00F01D83,
    tells_security=False,
    bootloader_offset=0x1000,
    revision=(3, 0),
    uart_clock_divider=0x3FF40014,
    spi=SpiController(
        base=0x3FF42000,
        user=0x1C,
        user1=0x20,
        user2=0x24,
        mosi_length=0x28,
        miso_length=0x2C,
        data=0x80,
        address_msb_aligned=True,
    ),
    fuses=_FUSES,
    security=_SECURITY,
    rom=_ROM,
    print_function=0x40007D54,
    riscv=False,
    constants=(
        (_APB_CTL_DATE, 1 << 31),
        (_UART_DATE, _UART_DATE_VALUE),
        (_RTC_CALIBRATION, _RTC_CALIBRATION_VALUE),
    ),
    # The AHB's addresses, which tools of the first years use.
    mirror=(0x60000000, 0x40000, 0x3FF40000),
)
