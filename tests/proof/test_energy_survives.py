# SPDX-License-Identifier: GPL-3.0-or-later
"""The energy register through power cuts: controller, NVS on NOR flash, cut, restart, controller.

The power fails before, within and after every single write to the flash, for every write of
every store, through several collections of NVS pages. What the next start reads is what was
stored before, or what was being stored; never anything else, and never less than what OCPP was
told, at random moments and at the worst: in the very call that grew or stored the register.
"""

from __future__ import annotations

import random
import struct

from proof.power_cuts import (
    PARTITION,
    FailingChip,
    PowerCut,
    flash_after,
    store_register,
    stored_register,
)

from evtool.protocol.can_frame import CanFrame
from evtool.protocol.can_tables import TerminalPower
from evtool.reference_impl.controller import Controller
from evtool.reference_impl.controller_types import BootInfo, Config, OcppWord, Report, Store
from evtool.virtual.flash_chip import FlashChip

STORES = 320


class Charging:
    """A controller that charges; what it wants stored, and what OCPP was told."""

    def __init__(self, flash: bytes, dice: random.Random) -> None:
        self.stored = self.told = stored_register(FlashChip(memoryview(bytearray(flash))))
        self._controller = Controller(Config(), BootInfo(energy_mwh=self.stored))
        self._dice = dice
        self._now_ms = 0
        self.reports = 0
        self._controller.boot(0)
        self._controller.drain()
        assert self._controller.snapshot(0).energy_mwh == self.stored

    def until_it_stores(self) -> int:
        """The value that it wants stored: after a minute, at the end, or because OCPP asks."""
        dice = self._dice
        power = struct.pack(">ff", dice.choice((72.0, 400.0)), dice.choice((0.5, 30.0, 90.0)))
        ends_ms = self._now_ms + dice.choice((3000, 20000, 10**9))
        chattiness = dice.choice((0.0, 0.1, 1.0))
        self._controller.on_ocpp(OcppWord(True, True, True), self._now_ms)
        while True:
            self._now_ms += 1000
            self._controller.on_frame(0, CanFrame(TerminalPower.ID, power), self._now_ms)
            if dice.random() < chattiness:
                self._controller.on_report(dice.choice(tuple(Report)), self._now_ms)
                self.reports += 1
            if self._now_ms >= ends_ms:
                self._controller.on_ocpp(OcppWord(True, False, False), self._now_ms)
            wanted = [each for each in self._controller.drain() if isinstance(each, Store)]
            snapshot = self._controller.snapshot(self._now_ms)
            if wanted:
                assert wanted[-1].value == snapshot.energy_mwh == snapshot.stored_mwh
                return wanted[-1].value
            self.told = snapshot.stored_mwh

    def stored_it(self) -> None:
        """The store is done, and OCPP, which asked, tells it at once."""
        self.stored = self.told = self._controller.snapshot(self._now_ms).stored_mwh


def cuts_of(before: bytes, value: int) -> list[bytes]:
    """The flash after a power cut at every write that storing `value` takes, and within it."""
    whole = FailingChip(bytearray(before))
    store_register(whole, value)
    left = []
    for number in range(whole.writes):
        for half in (False, True):
            chip = FailingChip(bytearray(before), number, half)
            try:
                store_register(chip, value)
            except PowerCut:
                left.append(bytes(chip.storage))
    assert len(left) == 2 * whole.writes
    return [*left, bytes(whole.storage)]


def found_in(flash: bytes) -> int:
    return stored_register(FlashChip(memoryview(bytearray(flash))))


def test_a_power_cut_at_any_write_leaves_the_old_register_or_the_new() -> None:
    dice = random.Random(7)  # noqa: S311 - tests must repeat, not be secret
    flash = flash_after(0)
    charging = Charging(flash, dice)
    checked, restarts, reports, pages = 0, 0, 0, set()
    for _ in range(STORES):
        value = charging.until_it_stores()
        assert value >= charging.stored >= charging.told, "the register fell"
        left = cuts_of(flash, value)
        for cut in left:
            found = found_in(cut)
            assert found in (charging.stored, value)
            assert found >= charging.told, "OCPP was told more"
            checked += 1
        assert found_in(left[-1]) == value, "the store was reported as done"
        pages.add(bytes(left[-1][PARTITION.offset : PARTITION.offset + 4]))
        if dice.random() < 0.1:  # the power really fails: life goes on from there
            flash = dice.choice(left)
            reports += charging.reports
            charging, restarts = Charging(flash, dice), restarts + 1
        else:
            flash = left[-1]
            charging.stored_it()
    assert checked > 2000
    assert restarts > 10
    assert reports > 200
    assert len(pages) >= 2, "no page was ever collected"
