# SPDX-License-Identifier: GPL-3.0-or-later
"""Anything at any pace: plausible for the most part, so that the gate opens and faults clear."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import Enum

from evtool.protocol.can_tables import ChargeRequest, ControlReply, TelemetryReply
from evtool.reference_impl.controller_types import MAX_TIME_MS, BusState
from evtool.reference_impl.random_inputs.dice import Dice
from evtool.reference_impl.random_inputs.probes import Probes
from evtool.reference_impl.random_inputs.values import LIMITS, Values
from evtool.reference_impl.random_inputs.world import World

YEAR_MS = 365 * 24 * 3600 * 1000
SHORT_STEPS_MS = (0, 1, 5, 10, 20, 20, 20, 20, 50, 99, 100, 101)
LIMIT_STEPS_MS = (
    *(199, 200, 201, 499, 500, 501, 999, 1000, 1001, 1999, 2000, 2001),
    *(2999, 3000, 3001, 4999, 5000, 5001, 9999, 10000, 10001, 59999, 60000, 60001),
)
LONG_STEPS_MS = (3_600_000, 2**31, 2**32, 2**32 + 20, YEAR_MS, 100 * YEAR_MS)
BACK_MS = (1, 20, 5000, MAX_TIME_MS)
TERMINAL_MV = (71950, 72000, 74000, 74001, 75000, 90000, 0, -1, 2147483750, 3_000_000_000)
TERMINAL_MA = (29800, 30000, 34000, 34001, 60000, 1000, 1001, 900, 0, -40000, 2147483750)
VOLTAGES_DV = (720, 720, 720, 700, 560, 561, 854, 855, 856, 0, 65535)
CURRENTS_DA = (300, 300, 300, 100, 1, 0, 1000, 3000, 3001, 65535)
TEMPERATURES = (25000, 41200, 59999, 60000, 60001, 65535, 69999, 70000, 70001, 95000)
KEYS = b"0123455555sStTmM?x \r\n\x00\x7f\x80\xff/6"
ODD = 0.1  # how much of what comes is at a limit or wrong


class Phase(Enum):
    """What the vehicle does."""

    CHARGING = "charging"
    WAITING = "waiting"
    AWAY = "away"


PHASES = (Phase.CHARGING, Phase.CHARGING, Phase.WAITING, Phase.AWAY)


class Anything:
    """Some dozens of lines in which a vehicle charges, waits, or is away."""

    def __init__(self, world: World, dice: Dice, probes: Probes, values: Values) -> None:
        self._world = world
        self._dice = dice
        self._charging = probes.charging
        self._form = values.form
        self._phase = Phase.CHARGING
        weights: tuple[tuple[int, Callable[[], str]], ...] = (
            *((30, world.tick), (14, self._request), (14, self._telemetry)),
            *((12, self._terminal), (10, self._control), (10, self._word), (4, self._capacity)),
            *((3, world.heartbeat), (2, world.status), (2, self._frame), (2, self._form)),
            *((3, self._key), (3, self._bus), (1, self._earlier), (3, self._report)),
        )
        self._actions = tuple(action for weight, action in weights for _ in range(weight))

    def phase(self) -> Iterator[str]:
        """One of them; a vehicle that charges most often begins well, one that is away leaves."""
        world, dice = self._world, self._dice
        self._phase = dice.one_of(PHASES)
        charging = self._phase is Phase.CHARGING
        if charging and dice.chance(0.8):
            yield from self._charging(amperes=dice.chance(0.7))
        else:
            world.plausible_ma = 0
        world.transaction = world.permitted = charging
        if self._phase is Phase.AWAY:
            world.wait(3001)
        for _ in range(10 + dice.below(60)):
            yield dice.one_of(self._actions)()
            self._step()

    def _step(self) -> None:
        dice = self._dice
        if not dice.chance(0.02):
            self._world.wait(dice.one_of(SHORT_STEPS_MS))
        elif dice.chance(0.9):
            self._world.wait(dice.one_of(LIMIT_STEPS_MS))
        else:
            self._world.wait(dice.one_of(LONG_STEPS_MS))

    def _odd(self) -> bool:
        return self._dice.chance(ODD)

    def _earlier(self) -> str:
        """A line whose time has passed already."""
        back_ms = self._dice.one_of(BACK_MS)
        return f"@{max(self._world.now_ms - back_ms, 0)} tick"

    def _request(self) -> str:
        world, dice = self._world, self._dice
        if self._phase is Phase.AWAY and not self._odd():
            return world.tick()
        if not self._odd():
            return world.request()
        fields = f"{dice.one_of(VOLTAGES_DV):04x}{dice.one_of(CURRENTS_DA):04x}"
        fields += f"{dice.one_of((0, 0, 0, 1, 2, 255)):02x}{dice.below(3):02x}0000"
        return world.frame(dice.below(2), ChargeRequest.ID, fields)

    def _terminal(self) -> str:
        world, dice = self._world, self._dice
        if not self._odd():
            return world.terminal()
        return world.terminal(dice.one_of(TERMINAL_MV), dice.one_of(TERMINAL_MA))

    def _telemetry(self) -> str:
        world, dice = self._world, self._dice
        match dice.below(7):
            case 0 | 1:
                return world.temperature(dice.one_of(TEMPERATURES) if self._odd() else 25600)
            case 2:
                return world.output_mv()
            case 3:
                return world.output_ma()
            case 4:
                return world.metric_79(dice.bits(32))
            case 5:
                return world.metric_83()
            case _:
                function = dice.below(256) if self._odd() else 0x84
                data = f"01{function:02x}0000{dice.bits(32):08x}"
                return world.frame(0, TelemetryReply.ID, data)

    def _control(self) -> str:
        world, dice = self._world, self._dice
        match dice.below(5):
            case 0 | 1 | 2:
                return world.state(dice.below(3) if self._odd() else None)
            case 3:
                return world.set_mv(dice.bits(17)) if self._odd() else world.set_ma(dice.bits(16))
            case _:
                function = dice.below(256) if self._odd() else 0
                return world.frame(0, ControlReply.ID, f"01{function:02x}0000{dice.bits(32):08x}")

    def _capacity(self) -> str:
        world, dice = self._world, self._dice
        charge = dice.one_of((0, 1, 16534, 30000, 45000, 2**32 - 1))
        return world.capacity(charge) if dice.chance(0.7) else world.discharge(charge)

    def _frame(self) -> str:
        world, dice = self._world, self._dice
        data = dice.bytes(dice.below(9)).hex()
        if dice.chance(0.5):
            return world.frame(dice.below(2), dice.bits(29), data)
        can_id = dice.bits(11)
        return world.line(f"can {dice.below(2)} {can_id:08X} s d {len(data) >> 1} {data or '-'}")

    def _key(self) -> str:
        return self._world.line(f"key {self._dice.one_of(KEYS):02x}")

    def _report(self) -> str:
        return self._world.report(sample=self._dice.chance(0.5))

    def _word(self) -> str:
        world, dice = self._world, self._dice
        if not self._odd():
            return world.word()
        limit = dice.one_of(LIMITS)
        return world.line(
            f"ocpp connected={dice.below(2)} transaction={dice.below(2)}"
            f" permitted={dice.below(2)} limit_ma={'-' if limit is None else limit}"
        )

    def _bus(self) -> str:
        world, dice = self._world, self._dice
        state = BusState.RUNNING if dice.chance(0.6) else dice.one_of(tuple(BusState))
        return world.bus(dice.below(2), state.value)
