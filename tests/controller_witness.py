# SPDX-License-Identifier: GPL-3.0-or-later
"""What the wire said, written down without the controller: it knows no code of evtool's.

It reads the lockstep's command lines as docs/controller.md reads them, and says which of the
gate's conditions held. Both controllers could be wrong alike; this one shares nothing with them.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

REQUEST, CAPACITY, DISCHARGE = 0x1806E5F4, 0x160B8001, 0x160D8001
CONTROL_REPLY, TELEMETRY_REPLY = 0x0681817E, 0x0681827E
TERMINAL_POWER, TERMINAL_STATUS = 0x00433F01, 0x00473F01
LAST_MS = 2**62
DEFAULTS = {
    "buses": "1",
    "capacity_source": "remaining",
    "module_temperature_scale": "milli",
    "request_min_mv": "56000",
    "request_max_mv": "85500",
    "request_max_ma": "300000",
    "max_voltage_mv": "85500",
    "max_current_ma": "100000",
}


@dataclass
class Seen:
    """The last well-formed one of a kind, and when it came."""

    at_ms: int | None = None
    value: Any = None

    def take(self, value: Any, now_ms: int) -> None:
        self.value, self.at_ms = value, now_ms

    def within(self, limit_ms: int, now_ms: int) -> bool:
        return self.at_ms is not None and now_ms - self.at_ms <= limit_ms


@dataclass
class Witness:
    """Give it every command line; ask it about the time that it has come to."""

    config: dict[str, str] = field(default_factory=lambda: dict(DEFAULTS))
    now_ms: int = 0
    booted: bool = False

    def __post_init__(self) -> None:
        self._start()

    def _start(self) -> None:
        self.active = dict(self.config)
        self.buses = ["stopped", "stopped"]
        self.request, self.word = Seen(), Seen()
        self.module, self.terminal, self.temperature = Seen(), Seen(), Seen()
        self.state, self.output_mv, self.output_ma = Seen(), Seen(), Seen()
        self.capacity, self.discharge = Seen(), Seen()

    def pass_time(self, line: str) -> str:
        """Come to the line's time, and give its command. A start has a clock of its own."""
        stamp, _, command = line.partition(" ")
        earliest = 0 if command.startswith("boot") else self.now_ms
        if not command.startswith("config"):
            self.now_ms = min(max(earliest, int(stamp[1:])), LAST_MS)
        return command

    def take(self, command: str) -> None:
        """The command takes effect."""
        name, _, rest = command.partition(" ")
        fields = dict(word.split("=", 1) for word in rest.split(" ") if "=" in word)
        if name == "config":
            self.config |= fields
        elif name == "boot":
            self._start()
            self.booted = True
        elif name == "bus":
            bus, state = rest.split(" ")
            self.buses[int(bus)] = state
        elif name == "ocpp":
            self.word.take(fields, self.now_ms)
        elif name == "can":
            self._frame(*rest.split(" "))

    def bus_count(self) -> int:
        return int(self.active["buses"])

    def _frame(self, bus: str, can_id: str, form: str, kind: str, dlc: str, text: str) -> None:
        if form != "x" or kind != "d":
            return
        data = bytes.fromhex("" if text == "-" else text)
        number = int(can_id, 16)
        assert len(data) == int(dlc)
        if int(bus) == self.bus_count() - 1:
            self._from_vehicle(number, data)
        if int(bus) == 0 and len(data) == 8 and self._from_module(number, data):
            self.module.take(True, self.now_ms)

    def _from_vehicle(self, can_id: int, data: bytes) -> None:
        if can_id == REQUEST and len(data) >= 6:
            self.request.take(struct.unpack(">HHB", data[:5]), self.now_ms)
        elif can_id == CAPACITY and len(data) >= 4:
            self.capacity.take(data, self.now_ms)
        elif can_id == DISCHARGE and len(data) >= 4:
            self.discharge.take(data, self.now_ms)

    def _from_module(self, can_id: int, data: bytes) -> bool:
        function, value = data[1], int.from_bytes(data[4:], "big")
        if can_id == CONTROL_REPLY:
            if function == 0x32 and data[3] in (0, 1):
                self.state.take(data[3] == 0, self.now_ms)
                return True
            return function in (0x00, 0x03)
        if can_id == TERMINAL_POWER:
            pair = believable(data[:4]), believable(data[4:])
            if None in pair:
                return False
            self.terminal.take(pair, self.now_ms)
            return True
        if can_id == TELEMETRY_REPLY:
            return self._telemetry(function, value, data)
        return can_id == TERMINAL_STATUS

    def _telemetry(self, function: int, value: int, data: bytes) -> bool:
        if function == 0x80:
            if self.active["module_temperature_scale"] == "deci":
                value = (value & 0xFFFF) * 100
            if value >= 2**31:
                return False
            self.temperature.take(value, self.now_ms)
        elif function == 0x84:
            self.output_mv.take(value, self.now_ms)
        elif function == 0x82:
            self.output_ma.take(value, self.now_ms)
        elif function == 0x83:
            return believable(data[4:]) is not None
        return function in (0x79, 0x80, 0x82, 0x83, 0x84)

    def plugged(self) -> bool:
        return self.request.within(3000, self.now_ms)

    def word_counts(self) -> bool:
        return self.word.within(4999, self.now_ms)

    def asked(self) -> tuple[int, int]:
        """What the vehicle asks for, in mV and mA."""
        return self.request.value[0] * 100, self.request.value[1] * 100

    def allowed(self) -> tuple[int, int]:
        """The setpoints that follow from the request, the configuration and the limit."""
        millivolts, milliamperes = self.asked()
        limit = self.word.value["limit_ma"]
        caps = [milliamperes, int(self.active["max_current_ma"])]
        if limit != "-":
            caps.append(int(limit))
        return min(millivolts, int(self.active["max_voltage_mv"])), min(caps)

    def may_charge(self) -> bool:
        """Every condition of the gate but the faults."""
        if not (self.booted and self.plugged() and self.word_counts()):
            return False
        millivolts, milliamperes = self.asked()
        low, high, most = (
            int(self.active[f"request_{name}"]) for name in ("min_mv", "max_mv", "max_ma")
        )
        word = self.word.value
        return (
            self.request.value[2] == 0
            and low < millivolts < high
            and 0 < milliamperes <= most
            and all(state == "running" for state in self.buses[: self.bus_count()])
            and self.module.within(3000, self.now_ms)
            and self.temperature.within(3000, self.now_ms)
            and self.temperature.value <= 70000
            and word["transaction"] == word["permitted"] == "1"
            and word["limit_ma"] != "0"
        )


def believable(pattern: bytes) -> float | None:
    """A float32 that does not lie beyond 2^31 thousandths."""
    (value,) = struct.unpack(">f", pattern)
    if not math.isfinite(value):
        return None
    return value if abs(Fraction(value)) * 1000 + Fraction(1, 2) < 2**31 + 1 else None
