# SPDX-License-Identifier: GPL-3.0-or-later
"""From reset to the application: what the ROM and the second-stage boot loader do and print."""

from __future__ import annotations

from evtool.virtual.boot.first_stage import load_boot_loader
from evtool.virtual.boot.flash_view import FlashView
from evtool.virtual.boot.result import BootConsole, BootResult
from evtool.virtual.boot.second_stage import load_application
from evtool.virtual.chips.description import ResetCause
from evtool.virtual.soc import Soc

__all__ = ["BootResult", "ResetCause", "boot"]


def boot(soc: Soc) -> BootResult:
    """Start from flash.

    Raises:
        PowerCutError: the power went away while the boot loader wrote `otadata`.
    """
    result = BootResult()
    view = FlashView(soc)
    loader = load_boot_loader(soc, view, result)
    if loader is not None:
        load_application(soc, view, loader, result, BootConsole(result))
    return result
