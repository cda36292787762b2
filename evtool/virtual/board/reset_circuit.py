# SPDX-License-Identifier: GPL-3.0-or-later
"""DTR and RTS through the two transistors of a development board.

RTS alone pulls the reset line low, DTR alone the strapping pin that selects the loader. With
both, neither is low: the capacitor on the reset line bridges the moment that a host needs to
get from one to the other, so a chip that was held stays held.
"""

from __future__ import annotations

from enum import Enum


class Edge(Enum):
    """What a change of the lines does to the reset line."""

    NONE = "none"
    HELD = "held"
    RELEASED = "released"


class ResetCircuit:
    """The lines' state."""

    def __init__(self) -> None:
        self.holds_reset = False
        self.selects_loader = False

    def change(self, dtr: bool, rts: bool) -> Edge:
        """The lines are now so."""
        self.selects_loader = dtr and not rts
        if rts and not dtr:
            edge = Edge.NONE if self.holds_reset else Edge.HELD
            self.holds_reset = True
            return edge
        if self.holds_reset and not (dtr and rts):
            self.holds_reset = False
            return Edge.RELEASED
        return Edge.NONE
