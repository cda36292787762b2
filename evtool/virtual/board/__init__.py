# SPDX-License-Identifier: GPL-3.0-or-later
"""A virtual board with a chip of the ESP32 family, from the reset button to the application."""

from __future__ import annotations

from evtool.virtual.board.machine import BOOT_MS, Board
from evtool.virtual.board.mode import Crash, Mode

__all__ = ["BOOT_MS", "Board", "Crash", "Mode"]
