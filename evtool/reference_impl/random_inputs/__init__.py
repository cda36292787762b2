# SPDX-License-Identifier: GPL-3.0-or-later
"""Random command lines for the lockstep mode: the same seed, the same lines.

Two kinds take turns. In one a vehicle charges, waits or is away while anything may come at any
pace (`anything`); so every input meets every state. In the other one thing alone comes to its
limit while all else is well (`probes`, `values`); so each limit is met to the millisecond and to
the last digit, and no other change hides what follows from it. `world` remembers what limits count
from. A longer run of a seed begins with the same lines.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from evtool.reference_impl.controller_types import MAX_TIME_MS
from evtool.reference_impl.random_inputs.anything import Anything
from evtool.reference_impl.random_inputs.dice import Dice
from evtool.reference_impl.random_inputs.probes import Probes
from evtool.reference_impl.random_inputs.starts import Starts
from evtool.reference_impl.random_inputs.values import Values
from evtool.reference_impl.random_inputs.world import World

MUTE_KEY = "key 30"


class RandomInputs:
    """An endless, seeded source of lines; the first two configure and boot."""

    def __init__(self, seed: int) -> None:
        self._dice = dice = Dice(seed)
        self._world = world = World()
        probes = Probes(world, dice)
        values = Values(world, dice, probes)
        starts = Starts(world, dice, probes)
        anything = Anything(world, dice, probes, values)
        self._start = starts.start
        self._probes = (
            *(
                starts.restart,
                probes.cured,
                probes.years,
                probes.store,
                probes.report,
                probes.spacing,
            ),
            *(probes.age, probes.age, probes.age, probes.age, probes.age, probes.module),
            *(probes.excess, probes.excess, probes.excess, probes.disobeys, probes.disobeys),
            *(probes.temperature, probes.recovery, probes.recovery, probes.repetition),
            *(probes.period, values.request_range, values.setpoint, values.words),
            *(
                values.start_key,
                values.start_key,
                values.state_of_charge,
                values.energy,
                values.measured,
            ),
            *(values.measured, values.forms, values.forms),
        )
        self._anything = anything.phase

    def lines(self, count: int) -> Iterator[str]:
        """`count` command lines, each with its time."""
        return islice(self._endless(), count)

    def _endless(self) -> Iterator[str]:
        dice, world = self._dice, self._world
        yield from self._start()
        while True:
            if dice.chance(0.15):
                yield from self._anything()
            if world.now_ms == MAX_TIME_MS and dice.chance(0.3):
                yield from self._start()
            yield from dice.one_of(self._probes)()
            world.suspect = dice.chance(0.7)
            if dice.chance(0.4):
                yield world.line(MUTE_KEY)


def random_lines(seed: int, count: int) -> Iterator[str]:
    """`count` lines of `RandomInputs(seed)`."""
    return RandomInputs(seed).lines(count)
