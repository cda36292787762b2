# SPDX-License-Identifier: GPL-3.0-or-later
"""Starts: what is configured, what the register held, and what is not known yet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from evtool.reference_impl.controller_types import (
    MAX_ENERGY_MWH,
    MAX_TIME_MS,
    CapacitySource,
    CurrentScale,
    TemperatureScale,
)
from evtool.reference_impl.random_inputs.dice import Dice
from evtool.reference_impl.random_inputs.probes import DOWN, Probes
from evtool.reference_impl.random_inputs.world import World

Lines = Iterator[str]

YEAR_MS = 365 * 24 * 3600 * 1000
MAX_INT32 = 2**31 - 1
MAX_UINT64 = 2**64 - 1
# Most starts have the first of each, where there are more than two.
CONFIGS: dict[str, tuple[Any, ...]] = {
    "buses": (1, 2),
    "capacity_source": (CapacitySource.REMAINING, CapacitySource.CHARGED_MINUS_DISCHARGED),
    "battery_capacity_mah": (30000, 60000, 0, 1, 7, 99999, MAX_INT32),
    "module_current_scale": (CurrentScale.PER_1024, CurrentScale.PER_10),
    "module_temperature_scale": (TemperatureScale.MILLI, TemperatureScale.DECI),
    "request_min_mv": (56000, 0, 55999, 56001, 71900),
    "request_max_mv": (85500, 85401, 85499, 72000, MAX_INT32),
    "request_max_ma": (300000, 0, 99999, 30000, MAX_INT32),
    "max_voltage_mv": (85500, 70000, 72001, 0, MAX_INT32),
    "max_current_ma": (100000, 20000, 29999, 1, 0, MAX_INT32),
    "id_tag": ("LOCAL-0001", "", "~", "12345678901234567890", "a=b"),
}
ENERGIES = (
    *(0, 0, 1, 999, 1000, 12345678, 2**32 - 1, 2**32, 2**53 + 1, 2**61, 2**63, MAX_UINT64),
    *(MAX_ENERGY_MWH - 1000, MAX_ENERGY_MWH - 1, MAX_ENERGY_MWH, MAX_ENERGY_MWH + 1),
)
TIMES_MS = (
    *(0, 0, 0, 1, 5000, YEAR_MS, 100 * YEAR_MS, 2**31 - 4000, 2**31, 2**32 - 4000, 2**32),
    *(2**53, MAX_TIME_MS - 20000),
)
BACK_MS = (1, 3000, MAX_TIME_MS)
BOOT_WORDS: dict[str, tuple[str, ...]] = {
    "reset": ("power_on", "brownout", "watchdog", "software", "panic", "-", "x" * 23 + "y"),
    "version": ("0.1.0", "-", "1.2.3-rc4+abcdef"),
    "build": ("1a2b3c4d", "-", "~" * 39 + "!", "a=b"),
    "charge_point": ("CP-0001", "-", "C" * 47 + "P"),
}


class Starts:
    """`start` begins a run, `restart` a controller anew in the middle of one."""

    def __init__(self, world: World, dice: Dice, probes: Probes) -> None:
        self._world = world
        self._dice = dice
        self._probes = probes

    def start(self) -> Lines:
        """Configuration and boot, with the buses running or not yet."""
        world, dice = self._world, self._dice
        yield self._config()
        world.sent_ms.clear()
        world.running = [False, False]
        world.now_ms = dice.one_of(TIMES_MS)
        world.limit_ma = None
        if dice.chance(0.7):
            world.request_dv, world.request_da = 720, 300
        words = [f"{name}={dice.one_of(values)}" for name, values in BOOT_WORDS.items()]
        yield world.line(f"boot {' '.join(words)} energy_mwh={dice.one_of(ENERGIES)}")
        yield from self._first_seconds()

    def restart(self) -> Lines:
        """The power fails while the vehicle charges, or not."""
        world, dice = self._world, self._dice
        if dice.chance(0.5):
            yield from self._probes.charging()
        if dice.chance(0.1):
            yield world.line("boot")
            world.running = [False, False]
        yield from self.start()

    def _config(self) -> str:
        world, dice = self._world, self._dice
        usual = 0.9 if dice.chance(0.6) else 0.5
        chosen = {
            name: values[0] if len(values) > 2 and dice.chance(usual) else dice.one_of(values)
            for name, values in CONFIGS.items()
        }
        before, world.config = world.config, replace(world.config, **chosen)
        if dice.chance(0.5):  # what is not named stays as it was
            chosen = {
                name: value for name, value in chosen.items() if value != getattr(before, name)
            }
        words = " ".join(f"{name}={_text(value)}" for name, value in chosen.items())
        return world.line(f"config {words}".rstrip())

    def _first_seconds(self) -> Lines:
        world, dice = self._world, self._dice
        boot_ms = world.now_ms
        if dice.chance(0.2):  # a clock that has not come so far yet
            yield f"@{max(boot_ms - dice.one_of(BACK_MS), 0)} {dice.one_of(('tick', 'key 35'))}"
        what = dice.below(10)
        if what < 6:
            yield world.bus(0)
            if what < 5:
                yield world.bus(1)
        elif what < 8:
            bus = dice.below(2)
            world.wait(dice.below(3000))
            yield world.bus(bus, dice.one_of(DOWN).value)
        if what > 4:
            for limit_ms in (3000, 5000, 10000):
                yield from self._probes.edge(boot_ms + limit_ms)


def _text(value: object) -> str:
    return str(getattr(value, "value", value)) or "-"
