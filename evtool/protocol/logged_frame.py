# SPDX-License-Identifier: GPL-3.0-or-later
"""A frame of a recorded bus."""

from __future__ import annotations

from dataclasses import dataclass

from evtool.protocol.can_frame import CanFrame


@dataclass(frozen=True, slots=True)
class LoggedFrame:
    """A frame, when it was on the bus, and on which.

    Attributes:
        at_ms: since the first frame of the log; never less than the frame before.
        channel: the log's own name of the bus; empty where it has none.
    """

    at_ms: int
    channel: str
    frame: CanFrame
