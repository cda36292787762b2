# SPDX-License-Identifier: GPL-3.0-or-later
"""Random command lines for the lockstep mode: the same seed, the same lines.

They come in phases: a vehicle charges, waits, or is away. Most of what comes in a phase is
plausible, so that the gate opens and stays open for a while and latched faults find their way
out; the rest sits on the rules' limits (3000 ms, 85.5 V, 70 degrees, ...) or is wrong in some way:
short, foreign, remote or standard frames, NaN, unknown functions, time that stands still, jumps
by years or goes back.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterator
from enum import Enum

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
from evtool.reference_impl.controller_types import MAX_TIME_MS, BusState

YEAR_MS = 365 * 24 * 3600 * 1000

SHORT_STEPS_MS: tuple[int, ...] = (0, 1, 5, 10, 20, 20, 20, 20, 50, 99, 100, 101)
LIMIT_STEPS_MS: tuple[int, ...] = (
    *(199, 200, 201, 499, 500, 501, 999, 1000, 1001, 1999, 2000, 2001),
    *(2999, 3000, 3001, 4999, 5000, 5001, 9999, 10000, 10001, 59999, 60000, 60001),
)
LONG_STEPS_MS: tuple[int, ...] = (
    3_600_000,
    2**31,
    2**32 - 1,
    2**32,
    2**32 + 20,
    YEAR_MS,
    100 * YEAR_MS,
    -1,
    -5000,
)

VOLTAGES_DV = (720, 720, 720, 700, 560, 561, 854, 855, 856, 0, 65535)
CURRENTS_DA = (300, 300, 300, 100, 1, 0, 3000, 3001, 65535)
TERMINAL_VOLTS = (71.95, 72.0, 74.0, 74.001, 75.0, 90.0, 0.0, -1.0, 2147483.75, 3e9)
TERMINAL_AMPERES = (29.8, 30.0, 34.0, 34.001, 60.0, 1.0, 1.001, 0.9, 0.0, -0.0, -40.0, 2147483.75)
ODD_FLOATS = (0x7F800000, 0xFF800000, 0x7FC00000, 0x00000001, 0x80000001, 0x4F000000, 0x3A03126F)
TEMPERATURES_MDEGC = (
    *(25000, 41200, 41200, 59999, 60000, 60001, 65535, 69999, 70000, 70001, 95000),
    *(2**31 - 1, 2**31, 2**32 - 1),
)
LIMITS = ("-", "-", "-", "0", "1", "6000", "16000", "32000", "2147483647")
CONFIGS = (
    "buses=1",
    "buses=2",
    "capacity_source=charged_minus_discharged battery_capacity_mah=60000",
    "capacity_source=remaining battery_capacity_mah=0",
    "module_current_scale=1/10 module_temperature_scale=deci",
    "module_current_scale=1/1024 module_temperature_scale=milli",
    "max_voltage_mv=70000 max_current_ma=20000",
    "request_min_mv=0 request_max_mv=2147483647 request_max_ma=2147483647",
    "max_voltage_mv=2147483647 max_current_ma=2147483647",
    "id_tag=LOCAL-0001",
    "id_tag=-",
)
ODD = 0.08  # how much of what comes is at a limit or wrong
KEYS = b"0123455555sStTmM?x \r\n\x00\x80\xff"


class Phase(Enum):
    """What the vehicle does."""

    CHARGING = "charging"
    WAITING = "waiting"
    AWAY = "away"


class RandomInputs:
    """An endless, seeded source of lines; the first two configure and boot."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - tests must repeat, not be secret
        self._now_ms = 0
        self._phase = Phase.CHARGING
        self._left = 0
        self._amperes = 0.0

    def lines(self, count: int) -> Iterator[str]:
        """`count` command lines, each with its time."""
        pending: list[str] = [f"config {self._pick(CONFIGS)}", self._boot(), "bus 0 running"]
        for _ in range(count):
            if not pending:
                pending = self._next()
            yield f"@{self._now_ms} {pending.pop(0)}"
            self._step()

    def _pick(self, choices: tuple[object, ...]) -> object:
        return self._random.choice(choices)

    def _step(self) -> None:
        dice = self._random.random()
        steps = SHORT_STEPS_MS
        if dice > 0.998:
            steps = LONG_STEPS_MS
        elif dice > 0.985:
            steps = LIMIT_STEPS_MS
        step_ms = self._random.choice(steps)
        self._now_ms = min(max(self._now_ms + step_ms, 0), MAX_TIME_MS)

    def _odd(self) -> bool:
        return self._random.random() < ODD

    def _next(self) -> list[str]:
        self._left -= 1
        if self._left < 0:
            return self._next_phase()
        actions: tuple[tuple[int, Callable[[], list[str]]], ...] = (
            (2, self._everything_well),
            (27, lambda: ["tick"]),
            (3, lambda: [f"report {('sample', 'transaction')[self._now_ms % 2]}"]),
            (14, lambda: [self._request()]),
            (14, lambda: [self._telemetry()]),
            (12, lambda: [self._terminal()]),
            (10, lambda: [self._control()]),
            (10, lambda: [self._word()]),
            (4, lambda: [self._capacity()]),
            (3, lambda: [self._heartbeat_or_status()]),
            (2, lambda: [self._any_frame()]),
            (1, lambda: ["bus 0 running"]),
            (1, lambda: ["bus 1 running"]),
            (3, lambda: [f"key {self._random.choice(KEYS):02x}"]),
            (1, self._bus),
        )
        weights = [weight for weight, _ in actions]
        return self._random.choices([action for _, action in actions], weights)[0]()

    def _next_phase(self) -> list[str]:
        self._phase = self._random.choice(tuple(Phase))
        self._left = self._random.randrange(10, 120)
        self._amperes = 0.0
        if self._phase is Phase.CHARGING:
            self._amperes = self._random.choice((29.8, 0.8, 0.8))
        elif self._phase is Phase.AWAY:
            self._now_ms = min(self._now_ms + 3001, MAX_TIME_MS)
        if self._random.random() < 0.15:
            return [f"config {self._pick(CONFIGS)}", self._boot(), "bus 0 running"]
        return self._everything_well()

    def _everything_well(self) -> list[str]:
        """What opens the gate while charging, unless a fault or the configuration forbids it."""
        bms_bus = self._random.choice((0, 0, 1))
        lines = ["bus 0 running", "bus 1 running"]
        lines.append(self._frame(0, TelemetryReply.ID, "018000000000" + "0100"))
        lines.append(self._frame(0, TerminalPower.ID, self._plausible_terminal()))
        if self._phase is not Phase.AWAY:
            lines.append(self._frame(bms_bus, ChargeRequest.ID, "02d0012c00000000"))
        lines.append(self._plausible_word())
        return lines

    def _plausible_terminal(self) -> str:
        return struct.pack(">ff", 71.95, self._amperes).hex()

    def _plausible_word(self) -> str:
        bit = int(self._phase is Phase.CHARGING)
        return f"ocpp connected=1 transaction={bit} permitted={bit} limit_ma=-"

    def _boot(self) -> str:
        energy = self._random.choice((0, 1, 12345678, 2**62 - 1, 2**62, 2**64 - 1))
        return (
            f"boot reset=power_on version=0.1.0 build=1a2b3c4d charge_point=CP-0001"
            f" energy_mwh={energy}"
        )

    def _frame(self, bus: int, can_id: int, data: str, kind: str = "x d") -> str:
        return f"can {bus} {can_id:08X} {kind} {len(data) // 2} {data or '-'}"

    def _own(self, bus: int, can_id: int, data: str) -> str:
        """A frame of ours that is now and then short, standard, remote or on the other bus."""
        dice = self._random.random()
        if dice < 0.03:
            return self._frame(bus, can_id, data[: 2 * self._random.randrange(8)])
        if dice < 0.04:
            return self._frame(bus, can_id & 0x7FF, data, "s d")
        if dice < 0.05:
            return f"can {bus} {can_id:08X} x r {self._random.randrange(9)} -"
        if dice < 0.06:
            return self._frame(bus, can_id ^ 1 << self._random.randrange(29), data)
        return self._frame(1 - bus if dice < 0.08 else bus, can_id, data)

    def _request(self) -> str:
        bus = self._random.choice((0, 0, 1))
        if self._phase is Phase.AWAY and not self._odd():
            return "tick"
        if not self._odd():
            return self._frame(bus, ChargeRequest.ID, "02d0012c00000000")
        voltage = self._random.choice(VOLTAGES_DV)
        current = self._random.choice(CURRENTS_DA)
        control = self._random.choice((0, 0, 0, 1, 2, 255))
        mode = self._random.choice((0, 1, 2))
        data = struct.pack(">HHBBH", voltage, current, control, mode, 0)
        return self._own(bus, ChargeRequest.ID, data.hex())

    def _float(self, usual: tuple[float, ...]) -> bytes:
        if self._random.random() < 0.05:
            return struct.pack(">I", self._random.choice(ODD_FLOATS))
        if self._random.random() < 0.05:
            return self._random.randbytes(4)
        return struct.pack(">f", self._random.choice(usual))

    def _terminal(self) -> str:
        if not self._odd():
            return self._frame(0, TerminalPower.ID, self._plausible_terminal())
        data = self._float(TERMINAL_VOLTS) + self._float(TERMINAL_AMPERES)
        return self._own(0, TerminalPower.ID, data.hex())

    def _telemetry(self) -> str:
        function = self._random.choice((0x84, 0x82, 0x80, 0x80, 0x79, 0x83, 0x81))
        if function == 0x84:
            value = struct.pack(">I", self._random.choice((73677, 73677, 80000, 0, 2**32 - 1)))
        elif function == 0x82:
            on = self._phase is Phase.CHARGING
            value = struct.pack(
                ">I", self._random.choice((300, 30515, 1024, 65535) if on else (0,))
            )
        elif function == 0x80:
            value = self._temperature()
        elif function == 0x83:
            value = self._float((1.5, -0.0004, 1e-40))
        else:
            value = self._random.randbytes(4)
        return self._own(0, TelemetryReply.ID, f"01{function:02x}0000{value.hex()}")

    def _temperature(self) -> bytes:
        if not self._odd():
            return struct.pack(">I", 256)  # pleasant in either scale
        return struct.pack(">I", self._random.choice(TEMPERATURES_MDEGC))

    def _control(self) -> str:
        function = self._random.choice((0x32, 0x32, 0x00, 0x03, 0x04))
        state = 0 if self._amperes > 1 else 1
        if self._odd():
            state = self._random.choice((0, 1, 2))
        value = self._random.choice((0, 73728, 915, 2**32 - 1))
        return self._own(0, ControlReply.ID, f"01{function:02x}00{state:02x}{value:08x}")

    def _capacity(self) -> str:
        can_id = self._random.choice((CapacityReply.ID, CapacityReply.ID, DischargeReply.ID))
        charge = self._random.choice((0, 1, 16534, 30000, 45000, 2**32 - 1))
        return self._own(self._random.choice((0, 0, 1)), can_id, f"{charge:08x}00000000")

    def _heartbeat_or_status(self) -> str:
        if self._random.random() < 0.5:
            flags = self._random.choice((0, 8, 16, 255))
            return self._own(0, ModuleHeartbeat.ID, f"00000000{flags:02x}000000")
        status = self._random.choice((0x301, 0x302, 0x300, 0x203, 0))
        return self._own(0, TerminalStatus.ID, f"000000000000{status:04x}")

    def _any_frame(self) -> str:
        data = self._random.randbytes(self._random.randrange(9)).hex()
        if self._random.random() < 0.5:
            return self._frame(self._random.randrange(2), self._random.getrandbits(29), data)
        return self._frame(self._random.randrange(2), self._random.getrandbits(11), data, "s d")

    def _word(self) -> str:
        if not self._odd():
            return self._plausible_word()
        bits = tuple(self._random.randrange(2) for _ in range(3))
        limit = self._random.choice(LIMITS)
        return (
            f"ocpp connected={bits[0]} transaction={bits[1]} permitted={bits[2]} limit_ma={limit}"
        )

    def _bus(self) -> list[str]:
        state = self._random.choice((*BusState, BusState.RUNNING)).value
        return [f"bus {self._random.choice((0, 0, 1))} {state}"]


def random_lines(seed: int, count: int) -> Iterator[str]:
    """`count` lines of `RandomInputs(seed)`."""
    return RandomInputs(seed).lines(count)
