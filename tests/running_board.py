# SPDX-License-Identifier: GPL-3.0-or-later
"""A running `evtool sim board` with a known MAC address."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from evtool.pytest_plugin import DEADLINE_S, VirtualBoard

__all__ = ["DEADLINE_S", "MAC", "Board", "flashed_board"]

MAC = "02:45:56:00:00:01"


class Board(VirtualBoard):
    """A board in `folder`, started with `options`."""

    def __init__(self, folder: Path, *options: str) -> None:
        super().__init__(folder, "--mac", MAC, *options)


def flashed_board(folder: Path, images: Mapping[int, bytes], *options: str) -> Board:
    """A board in `folder`, which is made, whose flash of 4 MB holds `images` by their offsets."""
    flash = bytearray(b"\xff" * 4 * 1024 * 1024)
    for offset, data in images.items():
        flash[offset : offset + len(data)] = data
    folder.mkdir()
    (folder / "flash.bin").write_bytes(flash)
    return Board(folder, *options)
