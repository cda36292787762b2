# SPDX-License-Identifier: GPL-3.0-or-later
"""What the SPI controller's pins lead to: the module's flash, another one, or nothing."""

from __future__ import annotations

from evtool.virtual.flash_chip import FlashChip


class SpiBus:
    """The flash chips of a board and which of them the controller is routed to.

    Args:
        internal: the flash that the chip boots from.
        external: one at the pins that a host names, if any.
    """

    def __init__(self, internal: FlashChip, external: FlashChip | None = None) -> None:
        self.internal = internal
        self.external = external
        self.selected: FlashChip | None = None

    def attach(self, pins: int = 0) -> None:
        """Route the controller: 0 to the module's own flash, else to the pins named."""
        self.selected = self.internal if pins == 0 else self.external

    def detach(self) -> None:
        """As after a reset: the pins lead nowhere, and the line floats high."""
        self.selected = None
