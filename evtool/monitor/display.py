# SPDX-License-Identifier: GPL-3.0-or-later
"""What a watch needs of a screen."""

from __future__ import annotations

from typing import Protocol

from evtool.monitor.follow import Happening


class Display(Protocol):
    """Whoever the watch is for, where it looks at every line: a screen, lines of JSON."""

    def show(self, happening: Happening) -> None:
        """Something on the board."""

    def note(self, event: str, text: str) -> None:
        """Something about the watch itself: `connected`, `disconnected`, `refused`."""

    def press(self, key: str) -> None:
        """A key that was passed on to the board."""

    def refresh(self, now_ms: int) -> None:
        """Time has passed."""
