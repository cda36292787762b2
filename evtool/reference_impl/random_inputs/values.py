# SPDX-License-Identifier: GPL-3.0-or-later
"""Values at their limits and at the edges of rounding, shown by the state, a view or a frame."""

from __future__ import annotations

from collections.abc import Iterator

from evtool.protocol.can_tables import (
    CapacityReply,
    ChargeRequest,
    ControlReply,
    DischargeReply,
    ModuleHeartbeat,
    TelemetryReply,
    TerminalPower,
    TerminalStatus,
)
from evtool.reference_impl.random_inputs.dice import Dice
from evtool.reference_impl.random_inputs.probes import LOOK_KEY, Probes
from evtool.reference_impl.random_inputs.world import World

Lines = Iterator[str]

MAX_INT32 = 2**31 - 1
FIELD_MAX_DECI = 65535
NAN, INFINITY, SIGN, HALF_MILLI = 0x7FC00000, 0x7F800000, 1 << 31, 0x3A03126F
TWO_31_MILLI = 0x4A03126F  # 2147483.75, the first float32 beyond 2**31 milli-units
FLOATS = (
    *(NAN, INFINITY, 1, 0x7FFFFF, 0x800000, HALF_MILLI - 1, HALF_MILLI, HALF_MILLI + 1),
    *(TWO_31_MILLI - 1, TWO_31_MILLI, TWO_31_MILLI + 1, 0x4A000000, 0x4B000000, 0x4F000000),
    *(0x39FFFFFF, 0x3A000000, 0x3A800000, 0x2EFFFFFF, 0x2F000000, 0x7F7FFFFF),
)
RAWS = (0, 1, 30, 61, 915, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 2**31 - 1, 2**31, 2**32 - 1)
TEMPERATURES = (0, 50, 65535, 65536, 69999, 70000, 70001, 2**31 - 1, 2**31, 2**32 - 1)
LIMITS = (None, None, 0, 1, 6000, 16000, 32000, 99999, 100000, 100001, MAX_INT32)
# Frames that show at once whether they are believed: nothing else says these values.
OURS = (
    *((ChargeRequest.ID, "02bb012b00010000"), (CapacityReply.ID, "0000409700000000")),
    *((DischargeReply.ID, "0000100100000000"), (ModuleHeartbeat.ID, "0000000008000000")),
    *((ControlReply.ID, "0132000100000000"), (ControlReply.ID, "0132000000000000")),
    *((ControlReply.ID, "0100000000011001"), (TelemetryReply.ID, "0180000000000101")),
    *((TerminalPower.ID, "428C00003F000000"), (TerminalStatus.ID, "0000000000000301")),
)
FUNCTIONS = (0x00, 0x03, 0x04, 0x32, 0x79, 0x80, 0x81, 0x82, 0x83, 0x84)


class Values:
    """Everything that has a limit in value."""

    def __init__(self, world: World, dice: Dice, probes: Probes) -> None:
        self._world = world
        self._dice = dice
        self._probes = probes

    def request_range(self) -> Lines:
        """A request at the configuration's limits, all else being well."""
        world, dice = self._world, self._dice
        yield from self._probes.charging()
        kept = world.request_dv, world.request_da
        for _ in range(2 + dice.below(3)):
            if dice.chance(0.6):
                edge = dice.one_of((world.config.request_min_mv, world.config.request_max_mv))
                world.request_dv = _field(edge // 100 + dice.one_of((-1, 0, 0, 1)))
            if dice.chance(0.6):
                edge = dice.one_of((0, world.config.request_max_ma))
                world.request_da = _field(edge // 100 + dice.one_of((-1, 0, 0, 1, 1)))
            yield world.request(dice.one_of((0, 0, 1, 2, 255)))
            world.wait(dice.one_of((0, 50, 101)))
            if dice.chance(0.2):
                yield world.line(dice.one_of((LOOK_KEY, "key 31", "key 53")))
        world.request_dv, world.request_da = kept
        if dice.chance(0.3):
            world.request_dv, world.request_da = (
                dice.one_of((720, 700, 600)),
                dice.one_of((300, 1, 100, 1000)),
            )

    def setpoint(self) -> Lines:
        """Which of request, limit and maximum is the least; now and then one is unusual."""
        world, dice = self._world, self._dice
        if dice.chance(0.5):
            config = world.config
            world.request_dv = _field(config.max_voltage_mv // 100 + dice.one_of((-1, 0, 1)))
            world.request_da = _field(config.max_current_ma // 100 + dice.one_of((-1, 0, 1)))
        yield from self._probes.charging()
        asked_ma = world.request_da * 100
        edges = (*LIMITS, asked_ma - 1, asked_ma, asked_ma + 1, world.config.max_current_ma + 1)
        for _ in range(2 + dice.below(3)):
            world.limit_ma = dice.one_of(edges)
            if world.limit_ma is not None:
                world.limit_ma = min(max(world.limit_ma, 0), MAX_INT32)
            world.wait(dice.one_of((0, 99, 100, 101)))
            yield world.word()
        yield world.request()
        world.wait(dice.one_of((101, 300)))
        yield world.tick()
        world.limit_ma = None if dice.chance(0.7) else world.limit_ma or None
        if dice.chance(0.6):
            world.request_dv, world.request_da = 720, 300

    def words(self) -> Lines:
        """Transactions begin and end, with and without permission, connection and energy."""
        world, dice = self._world, self._dice
        for _ in range(3 + dice.below(5)):
            world.transaction = dice.chance(0.5)
            world.permitted = dice.chance(0.6)
            yield world.any_word(connected=dice.chance(0.7))
            world.wait(dice.one_of((0, 20, 500, 1999)))
            if dice.chance(0.4):
                yield world.terminal(72000, dice.one_of((25000, 30000, 0, -20000)))
            if dice.chance(0.3):
                yield world.line(dice.one_of((LOOK_KEY, "key 34", "key 73", "key 74")))

    def start_key(self) -> Lines:
        """Why a start is refused, or not: each reason alone, or several at once."""
        world, dice = self._world, self._dice
        yield from self._probes.keep()
        world.transaction = dice.chance(0.3)
        world.allowed = dice.chance(0.8)
        yield world.any_word(connected=dice.chance(0.8))
        yield world.request()
        if dice.chance(0.2):
            world.wait(dice.one_of((2999, 3000, 3001, 4999, 5000)))
        elif dice.chance(0.2):
            yield world.temperature(70001)
        yield world.line(dice.one_of(("key 73", "key 53", "key 73", "key 74", "key 54")))
        world.allowed = True

    def state_of_charge(self) -> Lines:
        """Charges at the edges of rounding a tenth of a percent."""
        world, dice = self._world, self._dice
        yield world.request()
        capacity = max(world.config.battery_capacity_mah, 1)
        for _ in range(2 + dice.below(3)):
            permille = dice.one_of((1, 1000, 1001, dice.below(1000) + 1))
            remaining = -(-(2 * permille - 1) * capacity // 2000) + dice.one_of((-1, 0, 1))
            base = dice.one_of((0, 1000, 2**32 - 1 - max(remaining, 0)))
            if dice.chance(0.2):
                remaining = dice.one_of((-1, 0, 1, MAX_INT32))
            yield world.capacity(max(base + remaining, 0))
            yield world.discharge(max(base, 0))
            world.wait(dice.below(3))

    def energy(self) -> Lines:
        """Samples whose energy makes whole mWh, or nearly; gaps up to and beyond 2000 ms."""
        world, dice = self._world, self._dice
        yield from self._probes.charging()
        from_output = dice.chance(0.3)
        if from_output:
            yield from self._probes.terminal_silent()
        kinds = dice.below(4)
        for _ in range(3 + dice.below(4)):
            if kinds == 0:
                millivolts, milliamperes = dice.bits(31), dice.bits(31)
            elif kinds == 1:
                millivolts, milliamperes = dice.below(100000), dice.below(60000)
            else:
                millivolts, milliamperes = 72000, dice.one_of((25000, 25000, 12500, -25000, 0))
            if from_output:
                yield world.output_mv(millivolts)
                yield world.output_ma(max(milliamperes, 0))
            else:
                yield world.terminal(millivolts, milliamperes)
            world.wait(dice.one_of((0, 1, 2, 4, 7, 1000, 1999, 2000, 2000, 2001)))
        yield world.line(dice.one_of(("tick", "key 34", LOOK_KEY)))

    def measured(self) -> Lines:
        """Numbers at the edges of what is printed, sent as feedback, and multiplied."""
        world, dice = self._world, self._dice
        yield from self._probes.keep()
        for _ in range(2 + dice.below(3)):
            match dice.below(6):
                case 0:
                    volts, amperes = self._bits(), self._bits()
                    yield world.frame(0, TerminalPower.ID, f"{volts:08x}{amperes:08x}")
                case 1:  # sixteenths are exact, and half of them lie between two milli-units
                    sixteenths = dice.below(2000) - 500
                    yield world.terminal(sixteenths * 62.5, (dice.below(64) - 32) * 62.5)
                case 2:  # half a tenth, and what does not fit its field
                    deci = dice.one_of((0, 1, dice.below(2000), FIELD_MAX_DECI, FIELD_MAX_DECI + 1))
                    near = dice.one_of((-51, -50, -49, 0, 49, 50, 51))
                    yield world.terminal(deci * 100 + near, deci * 100 - near)
                case 3:  # half a milliwatt
                    milliamperes = dice.below(100) * dice.one_of((1, 10, -1, -10))
                    yield world.terminal(dice.below(100) * 10, milliamperes)
                case _:
                    yield self._number()
            world.wait(dice.one_of((0, 100, 100, 101)))
            yield world.line(dice.one_of(("tick", LOOK_KEY, LOOK_KEY, "key 32", "key 34")))

    def _bits(self) -> int:
        dice = self._dice
        if dice.chance(0.3):
            return dice.bits(32)
        if dice.chance(0.3):  # between 2**-11 and 2**22: what is neither nothing nor too much
            return dice.bits(23) | (116 + dice.below(34)) << 23 | dice.below(2) << 31
        return dice.one_of(FLOATS) | dice.below(2) << 31

    def _number(self) -> str:
        """A number of the module's, whatever its scale."""
        world, dice = self._world, self._dice
        value = dice.one_of((dice.one_of(RAWS), dice.bits(8), dice.bits(16), dice.bits(32)))
        match dice.below(8):
            case 0 | 1:
                return world.set_mv(value)
            case 2 | 3:
                return world.set_ma(value)
            case 4:
                return world.metric_79(value)
            case 5:
                return world.metric_83(self._bits())
            case 6:
                function = TelemetryReply.Function.TEMPERATURE
                value = dice.one_of((*TEMPERATURES, value))
                return world.telemetry("temperature", function, value)
            case _:
                functions = TelemetryReply.Function
                function = dice.one_of((functions.OUTPUT_VOLTAGE, functions.OUTPUT_CURRENT))
                return world.telemetry("output_mv", function, value)

    def forms(self) -> Lines:
        """Frames of ours that are short, remote, standard, on the other bus or nearly ours."""
        world, dice = self._world, self._dice
        if dice.chance(0.5):
            yield from self._probes.keep()
        for _ in range(4 + dice.below(8)):
            yield self.form()
            world.wait(dice.one_of((0, 1, 20, 100, 3001)) if dice.chance(0.2) else 0)
        yield world.line(LOOK_KEY)

    def form(self) -> str:
        """One such frame."""
        world, dice = self._world, self._dice
        can_id, data = dice.one_of(OURS)
        bus = world.config.bms_bus if dice.chance(0.6) else dice.below(2)
        match dice.below(9):
            case 0 | 1 | 2:
                return world.frame(bus, can_id, data[: 2 * dice.below(9)])
            case 3 | 4:
                return world.frame(bus, can_id ^ 1 << dice.below(29), data)
            case 5:
                return world.line(f"can {bus} {can_id & 0x7FF:08X} s d 8 {data}")
            case 6:
                return world.line(f"can {bus} {can_id:08X} x r {dice.below(9)} -")
            case 7:
                changed = f"{data[:2]}{dice.one_of(FUNCTIONS):02x}{data[4:6]}{dice.below(3):02x}"
                return world.frame(0, can_id, changed + data[8:])
            case _:
                return world.frame(1 - bus, can_id, data)


def _field(deci: int) -> int:
    return min(max(deci, 0), FIELD_MAX_DECI)
