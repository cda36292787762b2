# SPDX-License-Identifier: GPL-3.0-or-later
"""What costs much and no test changes, compiled programs above all, made once for all processes."""

from __future__ import annotations

import fcntl
from collections.abc import Callable
from pathlib import Path


class Once:
    """Folders that whichever of pytest's processes needs them first fills for all.

    Args:
        place: a folder that the processes share; where the next run does too, names must say
            all that goes in.
    """

    def __init__(self, place: Path) -> None:
        self._place = place

    def __call__(self, name: str, make: Callable[[Path], object]) -> Path:
        """The folder `name`, filled by `make(folder)`; whoever else asks waits.

        Raises:
            Exception: what `make` raised; the next one to ask tries again.
        """
        folder, made = self._place / name, self._place / f"{name}.made"
        folder.mkdir(exist_ok=True)
        with (self._place / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not made.exists():
                make(folder)
                made.touch()
        return folder
