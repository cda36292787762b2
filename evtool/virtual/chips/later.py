# SPDX-License-Identifier: GPL-3.0-or-later
"""Peripherals that the chips after the ESP32 have in common."""

from __future__ import annotations

from evtool.virtual.chips.description import SpiController

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
