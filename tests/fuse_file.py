# SPDX-License-Identifier: GPL-3.0-or-later
"""Espefuse's own emulated fuses (`espefuse --virt`), by the calls that a real chip gets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import espefuse
import esptool

from evtool.errors import DeviceError
from evtool.link.chip_fuses import ChipFuses
from evtool.link.esptool_log import listening

T = TypeVar("T")


class FuseFile:
    """Fuses in a file; each call is a new start of espefuse.

    Args:
        say: takes each line that espefuse says.
    """

    def __init__(self, chip: str, path: Path, say: Callable[[str], None]) -> None:
        self._chip = chip
        self._path = path
        self._say = say

    def __call__(self, work: Callable[[ChipFuses], T]) -> T:
        """`work` on these fuses; DeviceError where espefuse refuses."""
        try:
            with listening(self._say):
                esp = espefuse.get_esp(chip=self._chip, virt=True, virt_efuse_file=str(self._path))
                return work(ChipFuses(self._chip, esp))
        except esptool.FatalError as error:
            raise DeviceError(f"{self._path}: {error}", fix="take another file") from error
