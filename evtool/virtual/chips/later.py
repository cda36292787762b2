# SPDX-License-Identifier: GPL-3.0-or-later
"""Peripherals that the chips after the ESP32 have in common."""

from __future__ import annotations

from evtool.virtual.chips.description import ResetCause, ResetCode, SpiController

SPI_CONTROLLER = SpiController(
    base=0x60002000,
    user=0x18,
    user1=0x1C,
    user2=0x20,
    mosi_length=0x24,
    miso_length=0x28,
    data=0x58,
    address_msb_aligned=False,
)

# What both say on their console: the ROM names the cause of a reset, and the load.
RESETS = {
    ResetCause.POWER_ON: ResetCode(0x1, "POWERON"),
    ResetCause.SOFTWARE: ResetCode(0xC, "RTC_SW_CPU_RST"),
    ResetCause.PANIC: ResetCode(0xC, "RTC_SW_CPU_RST"),
    ResetCause.RTC_WATCHDOG: ResetCode(0x10, "RTCWDT_RTC_RST"),
    ResetCause.ROM_WATCHDOG: ResetCode(0x7, "TG0WDT_SYS_RST"),
    ResetCause.TIMER_WATCHDOG: ResetCode(0x8, "TG1WDT_SYS_RST"),
    ResetCause.BROWNOUT: ResetCode(0xF, "BROWNOUT_RST"),
    ResetCause.BOOTLOADER: ResetCode(0x3, "RTC_SW_SYS_RST"),
}
PREAMBLE = ("SPIWP:0xee", "mode:{mode}, clock div:1")
LOAD = "load:{address:#010x},len:{length:#x}"
