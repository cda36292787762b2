# SPDX-License-Identifier: GPL-3.0-or-later
"""One thing at a time comes to its limit, while the rest is well.

Each probe is a few lines. It ends with an age or a value one below its limit, on it, and one
above, in one go or alone. Quiet in between is a single step: only what would otherwise become
stale is said again.
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterator

from evtool.reference_impl.controller_types import MAX_TIME_MS, BusState
from evtool.reference_impl.random_inputs.dice import Dice
from evtool.reference_impl.random_inputs.world import NEEDED, OFF, ON, World

Lines = Iterator[str]

# What is believed for how long, and the gap that the meter bridges.
AGES: tuple[tuple[str, int], ...] = (
    *(("request", 3000), ("request", 5000), ("word", 5000), ("temperature", 3000)),
    *(("terminal", 3000), ("terminal", 2000), ("output_mv", 3000), ("output_ma", 3000)),
    *(("state", 3000), ("set_mv", 3000), ("set_ma", 3000), ("metric_79", 3000)),
    *(("metric_83", 3000), ("heartbeat", 3000), ("status", 3000), ("capacity", 10000)),
    ("discharge", 10000),
)
MODULE = ("terminal", "temperature", "output_mv", "output_ma", "state", "status", "set_mv")
EXTRA = ("output_mv", "output_ma", "state", "status", "capacity", "discharge", "heartbeat")
NEAR = (-1, 0, 0, 1, 1)
SETTLE_MS = 101  # more than what lies between two setpoints
LOOK_KEY = "key 35"  # every record at once
OBSERVE = (
    *("tick", "tick", "tick", LOOK_KEY, LOOK_KEY, "key 73", "key 74", "say", "say", "bus"),
    *("report sample", "report transaction"),
)
DOWN = (BusState.STOPPED, BusState.ERROR_PASSIVE, BusState.BUS_OFF, BusState.RECOVERING)


class Probes:
    """Everything that has a limit in time; `all` are their names, as often as they come."""

    def __init__(self, world: World, dice: Dice) -> None:
        self._world = world
        self._dice = dice

    def keep(self, without: Collection[str] = (), extra: bool = False) -> Lines:
        """What the gate needs is said again."""
        world = self._world
        if not world.running[0] or not world.running[1]:
            yield world.bus(0)
            yield world.bus(1)
        for kind in NEEDED:
            if kind not in without:
                yield world.say(kind)
        if extra:
            for kind in EXTRA:
                if kind not in without and self._dice.chance(0.5):
                    yield world.say(kind)

    def quiet(self, until_ms: int, without: Collection[str] = ()) -> Lines:
        """Nothing becomes stale but what is left out."""
        world, dice = self._world, self._dice
        until_ms = min(until_ms, MAX_TIME_MS)
        while until_ms - world.now_ms > 2900:
            world.wait(1500 + dice.below(1400))
            yield from self.keep(without)
        if dice.chance(0.3) and until_ms - world.now_ms > 400:
            world.reach(until_ms - 1 - dice.below(300))
            yield from self.keep(without)

    def edge(self, at_ms: int, kind: str = "terminal") -> Lines:
        """One millisecond before, at and after this time; or only one of them, with an input."""
        world, dice = self._world, self._dice
        if dice.chance(0.4):
            for near in (-1, 0, 1):
                world.reach(at_ms + near)
                yield world.tick()
            return
        world.reach(at_ms + dice.one_of(NEAR))
        for _ in range(1 + dice.below(2)):
            yield self.observe(kind)
            world.wait(dice.below(2))

    def observe(self, kind: str) -> str:
        """An input that shows what is believed now."""
        world = self._world
        what = self._dice.one_of(OBSERVE)
        if what == "say":
            return world.say(kind if self._dice.chance(0.5) else self._dice.one_of(NEEDED))
        return world.bus(self._dice.below(2)) if what == "bus" else world.line(what)

    def charging(self, amperes: bool = True) -> Lines:
        """The gate opens, unless a fault or the configuration forbids it."""
        world = self._world
        if world.suspect:
            yield from self.cured()
        world.transaction = world.permitted = world.allowed = True
        world.ask_in_range()
        if world.limit_ma == 0:
            world.limit_ma = None
        millivolts, milliamperes = world.setpoint()
        world.plausible_mv = max(min(millivolts - 50, 4_000_000), 0)
        world.plausible_ma = max(min(milliamperes - 200, 4_000_000), 0) if amperes else 800
        yield from self.keep()

    def cured(self) -> Lines:
        """Latched faults find their way out: no vehicle, and a module that is off."""
        world = self._world
        world.suspect = False
        world.reach(world.sent_ms.get("request", 0) + 3001)
        world.plausible_ma = 0
        yield world.terminal(0, 0)
        yield world.state(OFF)
        yield world.temperature()

    # Ages

    def age(self) -> Lines:
        """One thing is no longer said."""
        world, dice = self._world, self._dice
        kind, limit_ms = dice.one_of(AGES)
        # Without the terminals the module's own output counts.
        terminal = () if dice.chance(0.6) else ("terminal",)
        yield from self.charging(amperes=dice.chance(0.7))
        if dice.chance(0.5):
            yield from self.keep((*NEEDED, kind), extra=True)
        world.wait(dice.below(SETTLE_MS))
        yield world.say(kind)
        end_ms = world.now_ms + limit_ms
        without = (kind, *terminal) if dice.chance(0.85) else (kind, *NEEDED[1:])
        yield from self.quiet(end_ms, without)
        yield from self.edge(end_ms, kind)

    def module(self) -> Lines:
        """The whole module falls silent; what it said last is not its temperature."""
        world, dice = self._world, self._dice
        yield from self.charging()
        for kind in (dice.one_of(MODULE), dice.one_of(MODULE)):
            world.wait(dice.below(SETTLE_MS))
            yield world.say(kind)
        end_ms = world.now_ms + 3000
        world.wait(2000 + dice.below(900))
        yield world.word()
        yield world.request()
        if dice.chance(0.3):
            yield world.heartbeat()
        yield from self.edge(end_ms, dice.one_of(MODULE))

    def terminal_silent(self) -> Lines:
        """Only the module's own output is left to measure with."""
        world, dice = self._world, self._dice
        yield from self.charging()
        yield world.terminal()
        yield from self.quiet(world.now_ms + 3001, ("terminal",))
        world.wait(3001 - world.age_ms("terminal"))
        if dice.chance(0.8):
            yield world.output_mv()
        if dice.chance(0.8):
            yield world.output_ma()

    # Faults

    def excess(self) -> Lines:
        """More than what was asked for, for 200 or 500 ms; then the vehicle leaves."""
        world, dice = self._world, self._dice
        from_output = dice.chance(0.3)
        yield from self.terminal_silent() if from_output else self.charging()
        world.wait(SETTLE_MS)
        yield world.tick()
        voltage = dice.chance(0.5)
        limit, hold_ms = self._limit(voltage)
        begin_ms = world.now_ms
        yield self._measure(voltage, limit + dice.one_of((0, 1, 1, 1, 1, 2, 5000)), from_output)
        what = dice.below(8)
        if what == 0:
            world.wait(dice.below(60))
            limit = dice.one_of((limit, (yield from self._lowered(voltage, from_output))))
        elif what < 4:
            world.wait(1 + dice.below(hold_ms - 2))
            if what == 1:  # it ends, or begins anew
                yield self._measure(voltage, limit + dice.one_of((-1, 0, 0, 1)), from_output)
            elif what == 2:
                yield self._measure(not voltage, 0, from_output)
            else:
                yield from self.keep(NEEDED[2:])
            if dice.chance(0.3):
                begin_ms = world.now_ms
                yield self._measure(voltage, limit + 1, from_output)
        yield from self.edge(begin_ms + hold_ms)
        if dice.chance(0.7):
            yield from self._leave(voltage, limit, from_output)

    def _limit(self, voltage: bool) -> tuple[int, int]:
        millivolts, milliamperes = self._world.setpoint()
        if voltage:
            return millivolts + 2000, 200
        return (milliamperes * 11 + 10000) // 10, 500

    def _measure(self, voltage: bool, value: int, from_output: bool) -> str:
        world = self._world
        if from_output:
            return world.output_mv(value) if voltage else world.output_ma(value)
        if voltage:
            return world.terminal(value, None)
        return world.terminal(None, value)

    def _lowered(self, voltage: bool, from_output: bool) -> Generator[str, None, int]:
        """A setpoint that falls makes no fault of what was measured before; its limit."""
        world, dice = self._world, self._dice
        kept = world.request_dv, world.request_da
        world.request_dv = max(world.request_dv - 1 - dice.below(60), 0)
        world.request_da = max(world.request_da - 1 - dice.below(200), 0)
        yield world.request()
        lowered, _ = self._limit(voltage)
        if dice.chance(0.7):
            world.wait(SETTLE_MS)
            yield self._measure(voltage, lowered + dice.one_of((0, 1, 1)), from_output)
        world.request_dv, world.request_da = kept
        return lowered

    def _leave(self, voltage: bool, limit: int, from_output: bool) -> Lines:
        """The vehicle leaves; what is measured next is the end of the fault, or just not."""
        world, dice = self._world, self._dice
        if dice.chance(0.3):
            yield self._measure(voltage, limit + dice.one_of((-1, 0, 1)), from_output)
        end_ms = world.sent_ms.get("request", 0) + 3001
        if dice.chance(0.2):  # everything becomes stale at once but what shows the end
            world.wait(2001 + dice.below(900))
            yield self._measure(voltage, limit, from_output)
            world.reach(max(end_ms, world.sent_ms.get("word", 0) + 5000))
            yield world.tick()
            return
        yield from self.quiet(end_ms - 1, ("request", "terminal"))
        world.reach(end_ms - dice.below(2))
        yield world.tick()
        yield self._measure(voltage, limit + dice.one_of((0, 1, 2)), from_output)
        world.wait(dice.below(3))
        yield self._measure(voltage, limit + dice.one_of((-1, 0)), from_output)
        yield world.tick()

    def disobeys(self) -> Lines:
        """Off for 2000 ms, and then the module says on, or a current flows."""
        world, dice = self._world, self._dice
        yield from self.cured()
        if dice.chance(0.8):
            yield from self.charging(amperes=dice.chance(0.5))
        world.wait(dice.below(SETTLE_MS))
        yield from self._switched_off()
        off_ms = world.now_ms
        if dice.chance(0.2):
            world.reach(off_ms + 1999 - dice.below(1500))
            yield self._reluctant()
        if dice.chance(0.4):  # the switch is repeated meanwhile: it counts from the first
            world.reach(off_ms + 500 + dice.below(900))
            yield world.tick()
        world.reach(off_ms + 2000 + dice.one_of(NEAR))
        yield self._reluctant()
        if dice.chance(0.3):
            yield world.tick()
            return
        yield from self._leave_disobeying()

    def _switched_off(self) -> Lines:
        world = self._world
        match self._dice.below(6):
            case 0 | 1:
                world.permitted = False
                yield world.word()
                world.permitted = True
            case 2:
                world.allowed = False
                yield world.request()
                world.allowed = True
            case 3:
                yield world.bus(0, "error_passive")
            case 4:
                yield world.bus(0, "stopped")
                world.wait(self._dice.below(3))
                yield world.bus(0, self._dice.one_of(("running", "error_passive")))
            case _:
                world.reach(world.sent_ms.get("request", 0) + 3001)
                yield world.tick()

    def _reluctant(self) -> str:
        world, dice = self._world, self._dice
        match dice.below(6):
            case 0 | 1:
                return world.state(dice.one_of((ON, ON, ON, OFF)))
            case 2:
                return world.output_ma(dice.one_of((1000, 1001, 1002, 2000)))
            case _:
                milliamperes = dice.one_of((999, 1000, 1001, 1001, 1002))
                return world.terminal(None, milliamperes * dice.one_of((1, 1, -1)))

    def _leave_disobeying(self) -> Lines:
        world, dice = self._world, self._dice
        world.reach(world.sent_ms.get("request", 0) + 3001)
        choices = (world.state, world.terminal, world.output_ma)
        for _ in range(2 + dice.below(3)):
            kind = dice.one_of(choices)
            if kind == world.state:
                yield world.state(dice.one_of((OFF, OFF, ON)))
            elif kind == world.terminal:
                yield world.terminal(0, dice.one_of((0, 1000, 1001, -1000, -1001)))
            else:
                yield world.output_ma(dice.one_of((0, 1000, 1001)))
            world.wait(dice.below(3))

    def temperature(self) -> Lines:
        """Up to its limits and down again."""
        world, dice = self._world, self._dice
        yield from self.charging(amperes=False)
        for limit in (70000, 70000, 60000, 60000, 70000, 60000):
            # A scale of 0.1 degrees knows nothing smaller than that.
            near = dice.one_of((-1, 0, 1)) * dice.one_of((1, 100))
            yield world.temperature(limit + near)
            world.wait(dice.below(50))
            if dice.chance(0.2):
                yield world.request()

    # Periods

    def recovery(self) -> Lines:
        """A bus fails, and is asked to recover again and again."""
        world, dice = self._world, self._dice
        bus = dice.below(world.config.bus_count)
        yield world.bus(bus, dice.one_of(DOWN).value)
        if dice.chance(0.7):
            world.wait(dice.one_of((4999, 5000, 5001, 7000)))
            yield world.tick()
        begin_ms = world.now_ms
        for _ in range(dice.below(3)):
            world.wait(dice.below(1500))
            yield world.bus(bus, dice.one_of(DOWN).value)
        if dice.chance(0.3):  # the other one as well, later
            world.wait(dice.below(1500))
            yield world.bus(1 - bus, dice.one_of(DOWN).value)
        yield from self.edge(begin_ms + 5000)
        if dice.chance(0.5):
            yield from self.edge(world.now_ms + 4999)
        for each in (0, 1):
            yield world.bus(each)

    def repetition(self) -> Lines:
        """The switch again after 500 ms, on a bus that carries nothing else or all of it."""
        world, dice = self._world, self._dice
        if dice.chance(0.5):
            yield from self.charging()
        if dice.chance(0.7):
            yield world.bus(0, dice.one_of(DOWN).value)
        for _ in range(2 + dice.below(2)):
            world.wait(dice.one_of((0, 501, 700)))
            yield world.tick()
            yield from self.edge(world.now_ms + 500)
        if dice.chance(0.7):
            yield world.bus(0)

    def spacing(self) -> Lines:
        """Setpoints that change within 100 ms."""
        world, dice = self._world, self._dice
        yield from self.charging()
        world.wait(SETTLE_MS)
        kept = world.request_dv, world.request_da, world.limit_ma
        first_ms = world.now_ms
        for _ in range(2 + dice.below(2)):
            match dice.below(4):
                case 0:
                    world.limit_ma = dice.one_of(
                        (None, 6000, max(world.request_da * 100 - 1, 0), 1)
                    )
                    yield world.word()
                case 1:
                    world.request_dv = max(kept[0] - dice.below(3), 0)
                    yield world.request()
                case 2:
                    world.request_da = max(kept[1] - dice.below(3), 0)
                    yield world.request()
                case _:
                    world.request_dv, world.request_da, world.limit_ma = kept
                    yield world.request()
            world.wait(dice.below(40))
        if dice.chance(0.4):  # the next one is due when the gate closes
            world.reach(first_ms + 100 + dice.below(100))
            yield from self._switched_off()
        else:
            yield from self.edge(first_ms + 100)
            yield from self.edge(first_ms + 200)
        world.request_dv, world.request_da, world.limit_ma = kept

    def period(self) -> Lines:
        """What comes every 100 ms, every second or every two, called on time, early or late."""
        world, dice = self._world, self._dice
        yield from self.keep()
        if dice.chance(0.7):
            yield world.line(f"key 3{dice.one_of((1, 2, 3, 4, 5, 5, 0))}")
        unit_ms = dice.one_of((100, 100, 1000, 2000))
        for _ in range(2 + dice.below(4)):
            world.wait(max(unit_ms * dice.one_of((1, 1, 1, 2, 3)) + dice.one_of((-1, 0, 0, 1)), 0))
            yield world.tick()

    def store(self) -> Lines:
        """The register is written a minute after it was last written, if it has grown."""
        world, dice = self._world, self._dice
        world.transaction = True
        yield world.word()
        world.transaction = False
        yield world.word()
        stored_ms = world.now_ms
        world.wait(dice.below(3000))
        if dice.chance(0.9):
            yield world.terminal(72000, 900)
            world.wait(1 + dice.below(2000))
            yield world.terminal(72000, 900)
        if dice.chance(0.3):
            world.reach(stored_ms + 30000)
            world.transaction = True
            yield world.word()
        yield from self.edge(stored_ms + 60000)
        if dice.chance(0.5):
            yield world.terminal(72000, 900)
            world.wait(dice.one_of((60, 2000)))
            yield world.terminal(72000, 900)
            yield from self.edge(stored_ms + 120000)

    def report(self) -> Lines:
        """OCPP tells the register, 9 s after it was stored, or at once for a transaction."""
        world, dice = self._world, self._dice
        yield world.terminal(72000, 900)
        world.wait(60 + dice.below(1900))
        yield world.terminal(72000, 900)
        yield world.report(sample=False)
        stored_ms = world.now_ms
        if dice.chance(0.9):
            world.wait(60 + dice.below(1900))
            yield world.terminal(72000, 900)
        if dice.chance(0.3):
            world.wait(dice.below(6000))
            yield world.report(sample=dice.chance(0.8))
        due_ms = stored_ms + dice.one_of((9000, 9000, 60000))
        for near in (-1, 0, 1):
            world.reach(due_ms + near)
            yield world.report(sample=True)

    def years(self) -> Lines:
        """What was fresh is looked at after so long that a small number has run over."""
        world, dice = self._world, self._dice
        yield from self.charging()
        yield from self.keep(NEEDED, extra=True)
        if dice.chance(0.5):
            yield world.line(LOOK_KEY)
        overflow_ms = dice.one_of((2**16, 2**31, 2**32, 2**32, 2**33))
        world.wait(overflow_ms + dice.one_of((-20, -1, 0, 1, 20, 2000, 2900)))
        yield self.observe("terminal")
        yield world.line(LOOK_KEY)
