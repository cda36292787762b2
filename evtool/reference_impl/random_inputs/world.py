# SPDX-License-Identifier: GPL-3.0-or-later
"""What was said to the controller and when: the lines are made here, so nothing is forgotten.

A limit counts from an earlier input, and a value from what was asked for. To come to lie on
either, a generator must know both.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

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
from evtool.reference_impl.controller_types import (
    MAX_TIME_MS,
    CapacitySource,
    Config,
    CurrentScale,
    TemperatureScale,
)

_pack_floats = struct.Struct(">ff").pack

# What the gate wants to hear again and again; a state of charge and the rest it does without.
NEEDED = ("request", "word", "temperature", "terminal")
OFF, ON = 1, 0


def _per_1024(milli: int) -> int:
    """What is read as so many milli-units."""
    return -((512 - milli * 1024) // 1000) & 0xFFFFFFFF


@dataclass(slots=True)
class World:
    """The time, the configuration and what is in force; every method but `wait` gives a line.

    Attributes:
        now_ms: the time of the next line.
        sent_ms: when each kind of thing was last said.
        plausible_mv, plausible_ma: what the terminals show where nothing is wrong.
        suspect: a fault may be latched.
    """

    now_ms: int = 0
    config: Config = field(default_factory=Config)
    sent_ms: dict[str, int] = field(default_factory=dict)
    request_dv: int = 720
    request_da: int = 300
    allowed: bool = True
    transaction: bool = True
    permitted: bool = True
    limit_ma: int | None = None
    plausible_mv: int = 71950
    plausible_ma: int = 29800
    suspect: bool = False
    running: list[bool] = field(default_factory=lambda: [False, False])

    def wait(self, duration_ms: int) -> None:
        """Time passes."""
        self.now_ms = min(self.now_ms + duration_ms, MAX_TIME_MS)

    def reach(self, at_ms: int) -> None:
        """It is `at_ms` if that has not passed."""
        self.now_ms = min(max(self.now_ms, at_ms), MAX_TIME_MS)

    def age_ms(self, kind: str) -> int:
        """How long ago this kind of thing was said; very long if never."""
        return self.now_ms - self.sent_ms.get(kind, -MAX_TIME_MS)

    def setpoint(self) -> tuple[int, int]:
        """What the module must be told while the gate is open, in mV and mA."""
        config = self.config
        limit_ma = config.max_current_ma if self.limit_ma is None else self.limit_ma
        return (
            min(self.request_dv * 100, config.max_voltage_mv),
            min(self.request_da * 100, config.max_current_ma, limit_ma),
        )

    def ask_in_range(self) -> None:
        """The request becomes one that may be served, if there is any."""
        config = self.config
        highest_dv = min((config.request_max_mv - 1) // 100, 0xFFFF)
        self.request_dv = max(min(self.request_dv, highest_dv), config.request_min_mv // 100 + 1)
        self.request_da = max(min(self.request_da, config.request_max_ma // 100), 1)

    def line(self, text: str) -> str:
        """Anything else, now."""
        return f"@{self.now_ms} {text}"

    def tick(self) -> str:
        """Nothing but the time."""
        return f"@{self.now_ms} tick"

    def report(self, sample: bool) -> str:
        """OCPP is about to tell the register, for a sample or for a transaction."""
        return f"@{self.now_ms} report {'sample' if sample else 'transaction'}"

    def bus(self, bus: int, state: str = "running") -> str:
        """A CAN controller reports."""
        self.running[bus] = state == "running"
        self.sent_ms["bus"] = self.now_ms
        return f"@{self.now_ms} bus {bus} {state}"

    def word(self) -> str:
        """OCPP's word as it is in force, with a connection."""
        return self.any_word(connected=True)

    def any_word(self, *, connected: bool) -> str:
        """OCPP's word as it is in force."""
        self.sent_ms["word"] = self.now_ms
        limit = "-" if self.limit_ma is None else self.limit_ma
        return (
            f"@{self.now_ms} ocpp connected={connected:d} transaction={self.transaction:d}"
            f" permitted={self.permitted:d} limit_ma={limit}"
        )

    def frame(self, bus: int, can_id: int, data: str) -> str:
        """An extended data frame."""
        return f"@{self.now_ms} can {bus} {can_id:08X} x d {len(data) >> 1} {data or '-'}"

    def request(self, mode: int = 0) -> str:
        """The vehicle asks for what is in force."""
        self.sent_ms["request"] = self.now_ms
        data = f"{self.request_dv:04x}{self.request_da:04x}{not self.allowed:02x}{mode:02x}0000"
        return self.frame(self.config.bms_bus, ChargeRequest.ID, data)

    def terminal(self, millivolts: float | None = None, milliamperes: float | None = None) -> str:
        """What is measured at the terminals: the plausible, or this."""
        self.sent_ms["terminal"] = self.now_ms
        volts = (self.plausible_mv if millivolts is None else millivolts) / 1000
        amperes = (self.plausible_ma if milliamperes is None else milliamperes) / 1000
        return self.frame(0, TerminalPower.ID, _pack_floats(volts, amperes).hex())

    def telemetry(self, kind: str, function: int, value: int) -> str:
        """A telemetry_reply."""
        self.sent_ms[kind] = self.now_ms
        return self.frame(0, TelemetryReply.ID, f"01{function:02x}0000{value:08x}")

    def temperature(self, mdegc: int = 25600) -> str:
        """The module's temperature, as near as the scale comes to it (below 6553.5 degrees)."""
        if self.config.module_temperature_scale is TemperatureScale.DECI:
            mdegc = mdegc // 100 & 0xFFFF
        return self.telemetry("temperature", TelemetryReply.Function.TEMPERATURE, mdegc)

    def output_mv(self, millivolts: int | None = None) -> str:
        """The module's own voltage."""
        wanted = self.plausible_mv if millivolts is None else millivolts
        function = TelemetryReply.Function.OUTPUT_VOLTAGE
        return self.telemetry("output_mv", function, _per_1024(wanted))

    def output_ma(self, milliamperes: int | None = None) -> str:
        """The module's own current, in its scale."""
        wanted = self.plausible_ma if milliamperes is None else milliamperes
        if self.config.module_current_scale is CurrentScale.PER_10:
            raw = wanted // 100 & 0xFFFF
        else:
            raw = _per_1024(wanted) & 0xFFFF
        return self.telemetry("output_ma", TelemetryReply.Function.OUTPUT_CURRENT, raw)

    def metric_79(self, raw: int = 1234) -> str:
        """A number of unknown meaning."""
        return self.telemetry("metric_79", TelemetryReply.Function.METRIC_79, raw)

    def metric_83(self, bits: int = 0x3FC00000) -> str:
        """Another one, a float32."""
        return self.telemetry("metric_83", TelemetryReply.Function.METRIC_83, bits)

    def control(self, kind: str, function: int, state: int = 0, value: int = 0) -> str:
        """A control_reply."""
        self.sent_ms[kind] = self.now_ms
        return self.frame(0, ControlReply.ID, f"01{function:02x}00{state:02x}{value:08x}")

    def state(self, state: int | None = None) -> str:
        """The module says whether it is on: as it should, or this byte."""
        if state is None:
            state = ON if self.plausible_ma > 1000 else OFF
        return self.control("state", ControlReply.Function.OUTPUT, state)

    def set_mv(self, raw: int = 73728) -> str:
        """The voltage that the module says it was told, in 1/1024 V."""
        return self.control("set_mv", ControlReply.Function.VOLTAGE_SETPOINT, value=raw)

    def set_ma(self, raw: int = 915) -> str:
        """The current that the module says it was told, in 1/30.5 A."""
        return self.control("set_ma", ControlReply.Function.CURRENT_SETPOINT, value=raw)

    def heartbeat(self, flags: int = 8) -> str:
        """The module's heartbeat, or our own feedback's echo."""
        self.sent_ms["heartbeat"] = self.now_ms
        return self.frame(0, ModuleHeartbeat.ID, f"00000000{flags:02x}000000")

    def status(self, status: int = 0x302) -> str:
        """What the terminals say of themselves."""
        self.sent_ms["status"] = self.now_ms
        return self.frame(0, TerminalStatus.ID, f"000000000000{status:04x}")

    def capacity(self, milliampere_hours: int = 16534) -> str:
        """The charge that remains, or on a newer pack all that it was ever given."""
        self.sent_ms["capacity"] = self.now_ms
        if self.config.capacity_source is CapacitySource.REMAINING:
            milliampere_hours &= 0xFFFF
        data = f"{milliampere_hours & 0xFFFFFFFF:08x}00000000"
        return self.frame(self.config.bms_bus, CapacityReply.ID, data)

    def discharge(self, milliampere_hours: int = 5000) -> str:
        """All that a newer pack ever gave."""
        self.sent_ms["discharge"] = self.now_ms
        data = f"{milliampere_hours & 0xFFFFFFFF:08x}00000000"
        return self.frame(self.config.bms_bus, DischargeReply.ID, data)

    def say(self, kind: str) -> str:
        """The plausible line of a kind: the name of one of the methods above."""
        line: str = getattr(self, kind)()
        return line
