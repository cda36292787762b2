# SPDX-License-Identifier: GPL-3.0-or-later
"""A running `evtool sim board` with a known MAC address."""

from __future__ import annotations

from pathlib import Path

from evtool.pytest_plugin import DEADLINE_S, VirtualBoard

__all__ = ["DEADLINE_S", "MAC", "Board"]

MAC = "02:45:56:00:00:01"


class Board(VirtualBoard):
    """A board in `folder`, started with `options`."""

    def __init__(self, folder: Path, *options: str) -> None:
        super().__init__(folder, "--mac", MAC, *options)
