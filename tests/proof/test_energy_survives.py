# SPDX-License-Identifier: GPL-3.0-or-later
"""The energy register through power cuts: controller, NVS on NOR flash, cut, restart, controller.

The power fails before, within and after every single write to the flash, for every write of
every store, through several collections of NVS pages. What the next start reads is what was
stored before, or what was being stored; never anything else, and never less.
"""

from __future__ import annotations

import random
import struct

from evtool.protocol.can_frame import CanFrame
from evtool.protocol.can_tables import TerminalPower
from evtool.protocol.nvs import NvsEntry, render_image
from evtool.protocol.partition_table import Partition
from evtool.reference_impl.controller import Controller
from evtool.reference_impl.controller_types import BootInfo, Config, OcppWord, Store
from evtool.virtual.board_nvs import application_lines, store_value
from evtool.virtual.flash_chip import FlashChip

PARTITION = Partition("nvs", 1, 2, 0x9000, 0x3000)
STORES = 320


class PowerCut(Exception):
    """The chip has no power any more."""


class FailingChip(FlashChip):
    """A chip that loses its power at a given write, with all, half or none of it done."""

    def __init__(self, storage: bytearray, fails_at: int | None = None, half: bool = False) -> None:
        super().__init__(memoryview(storage))
        self.storage = storage
        self.writes = 0
        self._fails_at = fails_at
        self._half = half

    def _store(self, offset: int, data: bytes) -> None:
        if self.writes == self._fails_at:
            if self._half:
                super()._store(offset, data[: len(data) // 2])
            raise PowerCut
        self.writes += 1
        super()._store(offset, data)


def blank_flash() -> bytearray:
    """A chip whose NVS partition holds somebody else's value too."""
    flash = bytearray(b"\xff" * 0x10000)
    name = NvsEntry("evstate", "name", "str", "x" * 200)
    flash[PARTITION.offset : PARTITION.offset + PARTITION.size] = render_image([name], 0x3000)
    return flash


def boot(flash: FlashChip) -> tuple[Controller, int]:
    """Start a controller as the board does, from what the flash holds; and what that was."""
    lines = application_lines(flash, [PARTITION], "power_on")
    found = [line.split()[4] for line in lines if line.startswith("nvs evstate energy_mwh u64 ")]
    assert len(found) <= 1
    assert any(line.startswith("nvs evstate name str ") for line in lines)
    energy = int.from_bytes(bytes.fromhex(found[0]), "little") if found else 0
    controller = Controller(Config(), BootInfo(energy_mwh=energy))
    controller.boot(0)
    controller.drain()
    assert controller.snapshot(0).energy_mwh == energy
    return controller, energy


def stores(controller: Controller) -> list[int]:
    return [output.value for output in controller.drain() if isinstance(output, Store)]


def charge(controller: Controller, start_ms: int, dice: random.Random) -> tuple[int, int]:
    """Until the controller stores: after a minute, or because the transaction ends.

    Returns:
        the value that it wants stored, and the time.
    """
    power = struct.pack(">ff", dice.choice((72.0, 400.0)), dice.choice((0.5, 30.0, 90.0)))
    ends_ms = start_ms + dice.choice((3000, 20000, 10**9))
    now_ms = start_ms
    controller.on_ocpp(OcppWord(True, True, True), now_ms)
    while True:
        now_ms += 1000
        controller.on_frame(0, CanFrame(TerminalPower.ID, power), now_ms)
        if now_ms >= ends_ms:
            controller.on_ocpp(OcppWord(True, False, False), now_ms)
        wanted = stores(controller)
        if wanted:
            assert wanted == [controller.snapshot(now_ms).energy_mwh]
            return wanted[0], now_ms


def cuts_of(before: bytes, value: int) -> list[bytes]:
    """The flash after a power cut at every write that storing `value` takes, and within it."""
    whole = FailingChip(bytearray(before))
    assert store_value(whole, [PARTITION], "energy_mwh", value) is None
    left = []
    for number in range(whole.writes):
        for half in (False, True):
            chip = FailingChip(bytearray(before), number, half)
            try:
                store_value(chip, [PARTITION], "energy_mwh", value)
            except PowerCut:
                left.append(bytes(chip.storage))
    assert len(left) == 2 * whole.writes
    return [*left, bytes(whole.storage)]


def test_a_power_cut_at_any_write_leaves_the_old_register_or_the_new() -> None:
    dice = random.Random(7)  # noqa: S311 - tests must repeat, not be secret
    flash = bytes(blank_flash())
    controller, stored = boot(FlashChip(memoryview(bytearray(flash))))
    now_ms, checked, restarts, pages = 0, 0, 0, set()
    for _ in range(STORES):
        value, now_ms = charge(controller, now_ms, dice)
        assert value >= stored, "the register fell"
        left = cuts_of(flash, value)
        for cut in left:
            _, found = boot(FlashChip(memoryview(bytearray(cut))))
            assert found in (stored, value)
            checked += 1
        _, found = boot(FlashChip(memoryview(bytearray(left[-1]))))
        assert found == value, "the store was reported as done"
        pages.add(bytes(left[-1][PARTITION.offset : PARTITION.offset + 4]))
        if dice.random() < 0.1:  # the power really fails: life goes on from there
            flash = dice.choice(left)
            controller, stored = boot(FlashChip(memoryview(bytearray(flash))))
            now_ms, restarts = 0, restarts + 1
        else:
            flash, stored = left[-1], value
    assert checked > 2000
    assert restarts > 10
    assert len(pages) >= 2, "no page was ever collected"
