# SPDX-License-Identifier: GPL-3.0-or-later
"""What a board's processor does, and how it can be made to stop doing it."""

from __future__ import annotations

from enum import Enum


class Mode(Enum):
    """What the processor is doing."""

    OFF = "off"
    HELD = "held"
    BOOTING = "booting"
    APP = "app"
    HALTED = "halted"
    ROM = "rom"
    STUB = "stub"
    RAM = "ram"
    LOST = "lost"


class Crash(Enum):
    """A way to end an application from outside."""

    PANIC = "panic"
    WATCHDOG = "watchdog"
    BROWNOUT = "brownout"
