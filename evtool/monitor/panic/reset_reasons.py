# SPDX-License-Identifier: GPL-3.0-or-later
"""What the ROM's reset reason means: `rst:0x8 (TG1WDT_SYS_RESET),boot:0x13 (...)`.

The names differ between the chips (`SW_CPU_RESET`, `RTC_SW_CPU_RST`, `SW_CPU`); the numbers mean
the same on all of them, where they have them. Source: ESP-IDF, components/soc/*/reset_reasons.h,
and the Technical Reference Manuals, chapter "Reset and Clock".
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_BANNER = re.compile(r"rst:(0x[0-9a-fA-F]{1,2}) \((\w+)\)")
_SAVED_PC = re.compile(r"Saved PC:(0x[0-9a-fA-F]{8})")
_FAULT = re.compile(r"WDT|BROWN|GLITCH|EFUSE")

_TEXTS = {
    0x01: "power came on, or the reset button was pressed",
    0x03: "the software restarted the digital core",
    0x04: "the old watchdog reset the digital core",
    0x05: "it woke from deep sleep",
    0x06: "the SDIO host reset it",
    0x07: "main watchdog 0 (the task watchdog's timer group) reset the digital core",
    0x08: "main watchdog 1 (the interrupt watchdog's timer group) reset the digital core",
    0x09: "the RTC watchdog reset the digital core: the boot loader or the program hung",
    0x0A: "an intrusion was detected",
    0x0B: "main watchdog 0 reset the processor",
    0x0C: "the software restarted the processor: a wanted restart, or the end of a panic",
    0x0D: "the RTC watchdog reset the processor",
    0x0E: "the first processor reset the second one",
    0x0F: "the supply fell below the brown-out level: look at supply, cable and Wi-Fi's peaks",
    0x10: "the RTC watchdog reset the whole chip: flash, boot loader or program hung",
    0x11: "main watchdog 1 reset the processor",
    0x12: "the super watchdog reset the chip",
    0x13: "a glitch of the clock reset the chip",
    0x14: "a CRC error of the fuses reset the chip",
    0x15: "the USB serial port (USB-Serial/JTAG) reset the chip: a program opened it",
    0x16: "JTAG over USB reset the chip",
    0x17: "a glitch of the supply reset the chip",
    0x18: "JTAG reset the processor",
}


@dataclass(frozen=True, slots=True)
class ResetReason:
    """One reset: the ROM's number and name, what they mean, and whether nobody wanted it."""

    code: int
    name: str
    text: str
    fault: bool


def reset_reason(line: str) -> ResetReason | None:
    """The reset that a line of the ROM reports; None for any other line."""
    match = _BANNER.search(line)
    if match is None:
        return None
    code, name = int(match[1], 16), match[2]
    text = _TEXTS.get(code, "a reason that this evtool does not know")
    return ResetReason(code, name, text, is_fault(name))


def is_fault(name: str) -> bool:
    """Whether the ROM's name of a reset tells of a watchdog, the supply, or a fuse."""
    return _FAULT.search(name) is not None


def saved_pc(line: str) -> int | None:
    """Where the processor was when it was reset, as the later chips' ROM says."""
    match = _SAVED_PC.search(line)
    return None if match is None else int(match[1], 16)
