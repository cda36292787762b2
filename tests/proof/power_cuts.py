# SPDX-License-Identifier: GPL-3.0-or-later
"""Flash whose power fails at a given write, with all, half or none of it done."""

from __future__ import annotations

from functools import cache

from evtool.protocol.nvs import NvsEntry, render_image
from evtool.protocol.partition_table import Partition
from evtool.virtual.board_nvs import application_lines, store_value
from evtool.virtual.flash_chip import FlashChip

PARTITION = Partition("nvs", 1, 2, 0x9000, 0x3000)


class PowerCut(Exception):
    """There is no power any more."""


class FailingChip(FlashChip):
    """A chip that loses its power at a given write."""

    def __init__(self, storage: bytearray, fails_at: int | None = None, half: bool = False) -> None:
        super().__init__(memoryview(storage))
        self.storage = storage
        self.writes = 0
        self.fails_at = fails_at
        self.half = half

    def count(self) -> bool:
        """Another write; True: the power fails before it is done."""
        fails = self.writes == self.fails_at
        self.writes += not fails
        return fails

    def _store(self, offset: int, data: bytes) -> None:
        if self.count():
            if self.half:
                super()._store(offset, data[: len(data) // 2])
            raise PowerCut
        super()._store(offset, data)


@cache
def flash_after(stores: int) -> bytes:
    """A chip whose NVS partition holds somebody else's value, and has stored 1, 2, ... mWh."""
    flash = bytearray(b"\xff" * 0x10000)
    name = NvsEntry("evstate", "name", "str", "x" * 200)
    flash[PARTITION.offset : PARTITION.offset + PARTITION.size] = render_image([name], 0x3000)
    for value in range(1, stores + 1):
        store_register(FlashChip(memoryview(flash)), value)
    return bytes(flash)


def store_register(flash: FlashChip, value: int) -> None:
    """What the board does with `store energy_mwh <value>`."""
    assert store_value(flash, [PARTITION], "energy_mwh", value) is None


def stored_register(flash: FlashChip) -> int:
    """The register that the next start is told; 0 where there is none."""
    lines = application_lines(flash, [PARTITION], (), "power_on")
    found = [line.split()[4] for line in lines if line.startswith("nvs evstate energy_mwh u64 ")]
    assert len(found) <= 1
    assert any(line.startswith("nvs evstate name str ") for line in lines)
    return int.from_bytes(bytes.fromhex(found[0]), "little") if found else 0
