# SPDX-License-Identifier: GPL-3.0-or-later
"""An AC/DC power module: set and read over CAN, it feeds whatever is at its terminals.

A current and voltage source with a ramp. With a battery at the terminals it gives the set
current until the set voltage is reached, then as much as holds that voltage. Off and with
no battery its capacitors keep the voltage up for more than a minute: a voltage at the
terminals is no vehicle. It has no watchdog: silence on the bus leaves it as it was.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import Enum
from typing import Literal, NamedTuple

from evtool.protocol.can_frame import CanFrame
from evtool.protocol.can_signal import Signal
from evtool.protocol.can_tables import (
    ControlReply,
    ControlRequest,
    ModuleHeartbeat,
    TelemetryReply,
    TelemetryRequest,
    TerminalPower,
    TerminalStatus,
)

_CAPACITOR_MS = 400_000
"""Time constant of the voltage after off: 72 V are still above 56 V after 100 seconds."""
_VOLTS_PER_SECOND_MV = 100_000
_AMBIENT_MDEGC = 25_000
_HOT_MDEGC = 78_000


class Behaviour(Enum):
    """What the module does with its orders."""

    NORMAL = "normal"
    SILENT = "silent"  # neither hears nor sends; the output stays as it is
    HOT = "hot"  # warms up beyond 70 degrees, whatever it delivers
    DISOBEY = "disobey"  # takes no order to switch off


@dataclass(frozen=True, slots=True)
class PowerModuleSettings:
    """Scales that differ between module firmwares, periods and ratings."""

    current_scale: Literal["1/1024", "1/10"] = "1/1024"
    temperature_scale: Literal["milli", "deci"] = "milli"
    terminal_period_ms: int = 200
    heartbeat_period_ms: int = 500
    rated_mv: int = 90_000
    rated_ma: int = 100_000
    ramp_ma_per_s: int = 20_000
    fall_ma_per_s: int = 1_000_000
    warming_mdegc_per_s: int = 3_000


class Battery(NamedTuple):
    """What is connected to the terminals."""

    open_circuit_mv: int
    resistance_mohm: int


@dataclass(frozen=True, slots=True)
class Shown:
    """What the module says that it measures, whatever it does; None says what it measures."""

    voltage_mv: int | None = None
    current_ma: int | None = None
    temperature_mdegc: int | None = None


class PowerModule:
    """The model; `on_frame` and `tick` return the frames that the module sends."""

    def __init__(self, settings: PowerModuleSettings | None = None) -> None:
        self.settings = settings or PowerModuleSettings()
        self.behaviour = Behaviour.NORMAL
        self.shows = Shown()
        self.on = False
        self.set_mv = 0
        self.set_ma = 0
        self.output_mv = 0
        self.output_ma = 0
        self.temperature_mdegc = _AMBIENT_MDEGC
        self._raw_voltage = 0
        self._raw_current = 0
        self._next_terminal_ms: int | None = None
        self._next_heartbeat_ms: int | None = None

    @property
    def _shown_mv(self) -> int:
        shown = self.shows.voltage_mv
        return self.output_mv if shown is None else shown

    @property
    def _shown_ma(self) -> int:
        shown = self.shows.current_ma
        return self.output_ma if shown is None else shown

    @property
    def _shown_mdegc(self) -> int:
        shown = self.shows.temperature_mdegc
        return self.temperature_mdegc if shown is None else shown

    def on_frame(self, frame: CanFrame) -> list[CanFrame]:
        """Hear a frame; return the answers. Whatever is not for the module is ignored."""
        if self.behaviour is Behaviour.SILENT or not frame.extended or frame.remote:
            return []
        if frame.can_id == ControlRequest.ID and len(frame.data) >= ControlRequest.MIN_LENGTH:
            return self._on_control(frame.data)
        if frame.can_id == TelemetryRequest.ID and len(frame.data) >= TelemetryRequest.MIN_LENGTH:
            return self._on_telemetry(TelemetryRequest.FUNCTION.extract(frame.data))
        return []

    def tick(self, now_ms: int) -> list[CanFrame]:
        """What the module says by itself, when its periods have come."""
        if self.behaviour is Behaviour.SILENT:
            return []
        frames = []
        if self._next_terminal_ms is None or now_ms >= self._next_terminal_ms:
            self._next_terminal_ms = now_ms + self.settings.terminal_period_ms
            frames += [self._terminal_power(), self._terminal_status()]
        if self._next_heartbeat_ms is None or now_ms >= self._next_heartbeat_ms:
            self._next_heartbeat_ms = now_ms + self.settings.heartbeat_period_ms
            frames.append(_HEARTBEAT)
        return frames

    def deliver(self, battery: Battery | None, elapsed_ms: int) -> int:
        """Let `elapsed_ms` pass with `battery` at the terminals; return the current in mA."""
        wanted_ma = 0
        if self.on and battery is not None:
            room_mv = max(0, self.set_mv - battery.open_circuit_mv)
            holds_ma = room_mv * 1000 // max(1, battery.resistance_mohm)
            wanted_ma = min(self.set_ma, holds_ma, self.settings.rated_ma)
        self.output_ma = self._ramped(wanted_ma, elapsed_ms) if battery is not None else 0
        if battery is not None:
            drop_mv = self.output_ma * battery.resistance_mohm // 1000
            self.output_mv = battery.open_circuit_mv + drop_mv
        elif self.on:
            change = _VOLTS_PER_SECOND_MV * elapsed_ms // 1000
            self.output_mv = _towards(self.output_mv, self.set_mv, change)
        else:
            lost = self.output_mv * elapsed_ms // _CAPACITOR_MS
            self.output_mv = max(0, self.output_mv - max(lost, 1))
        self._warm(elapsed_ms)
        return self.output_ma

    def _ramped(self, wanted_ma: int, elapsed_ms: int) -> int:
        settings = self.settings
        rising = wanted_ma > self.output_ma
        rate = settings.ramp_ma_per_s if rising else settings.fall_ma_per_s
        return _towards(self.output_ma, wanted_ma, rate * elapsed_ms // 1000)

    def _warm(self, elapsed_ms: int) -> None:
        if self.behaviour is Behaviour.HOT:
            target = _HOT_MDEGC
        else:
            # 30 degrees above the ambient at the rated current
            target = _AMBIENT_MDEGC + 30_000 * self.output_ma // self.settings.rated_ma
        change = self.settings.warming_mdegc_per_s * elapsed_ms // 1000
        self.temperature_mdegc = _towards(self.temperature_mdegc, target, change)

    def _on_control(self, request: bytes) -> list[CanFrame]:
        function = ControlRequest.FUNCTION.extract(request)
        data = bytearray(ControlReply.LENGTH)
        ControlReply.FUNCTION.insert(data, function)
        match function:
            case ControlRequest.Function.OUTPUT:
                self._switch(ControlRequest.OUTPUT.extract(request))
                state = ControlReply.Output.ON if self.on else ControlReply.Output.OFF
                ControlReply.OUTPUT.insert(data, state)
            case ControlRequest.Function.VOLTAGE_SETPOINT:
                self._raw_voltage = ControlRequest.VOLTAGE_SETPOINT.extract(request)
                self.set_mv = min((self._raw_voltage * 1000 + 512) // 1024, self.settings.rated_mv)
                ControlReply.VOLTAGE_SETPOINT.insert(data, self._raw_voltage)
            case ControlRequest.Function.CURRENT_SETPOINT:
                self._raw_current = ControlRequest.CURRENT_SETPOINT.extract(request)
                self.set_ma = min((self._raw_current * 2000 + 30) // 61, self.settings.rated_ma)
                ControlReply.CURRENT_SETPOINT.insert(data, self._raw_current)
            case _:
                return []
        return [CanFrame(ControlReply.ID, bytes(data))]

    def _switch(self, order: int) -> None:
        if order == ControlRequest.Output.ON:
            self.on = True
        elif order == ControlRequest.Output.OFF and self.behaviour is not Behaviour.DISOBEY:
            self.on = False

    def _on_telemetry(self, function: int) -> list[CanFrame]:
        data = bytearray(TelemetryReply.LENGTH)
        TelemetryReply.FUNCTION.insert(data, function)
        match function:
            case TelemetryReply.Function.OUTPUT_VOLTAGE:
                TelemetryReply.OUTPUT_VOLTAGE.insert(data, (self._shown_mv * 1024 + 500) // 1000)
            case TelemetryReply.Function.OUTPUT_CURRENT:
                TelemetryReply.OUTPUT_CURRENT.insert(data, self._raw_output_current())
            case TelemetryReply.Function.TEMPERATURE if self.settings.temperature_scale == "deci":
                TelemetryReply.TEMPERATURE_DECI.insert(data, (self._shown_mdegc + 50) // 100)
            case TelemetryReply.Function.TEMPERATURE:
                TelemetryReply.TEMPERATURE.insert(data, self._shown_mdegc)
            case TelemetryReply.Function.METRIC_79:
                TelemetryReply.METRIC_79.insert(data, 12)  # meaning unknown; a value to look at
            case TelemetryReply.Function.METRIC_83:
                TelemetryReply.METRIC_83.insert(data, _float_bits(1500))  # likewise
            case _:
                return []
        return [CanFrame(TelemetryReply.ID, bytes(data))]

    def _raw_output_current(self) -> int:
        if self.settings.current_scale == "1/10":
            raw = (self._shown_ma + 50) // 100
        else:
            raw = (self._shown_ma * 1024 + 500) // 1000
        return min(max(raw, 0), 0xFFFF)  # 16 bits of 1/1024 A end at 64 A: more than that saturates

    def _terminal_power(self) -> CanFrame:
        data = bytearray(TerminalPower.LENGTH)
        TerminalPower.VOLTAGE.insert(data, _float_bits(self._shown_mv))
        TerminalPower.CURRENT.insert(data, _float_bits(self._shown_ma))
        return CanFrame(TerminalPower.ID, bytes(data))

    def _terminal_status(self) -> CanFrame:
        return _CHARGING if self.on and self.output_ma > 0 else _NOT_CHARGING


def _towards(value: int, target: int, change: int) -> int:
    """`value`, moved towards `target` by at most `change` (not negative)."""
    if value == target:
        return value
    return min(value + change, target) if value < target else max(value - change, target)


def _one_signal(
    message: type[ModuleHeartbeat | TerminalStatus], signal: Signal, value: int
) -> CanFrame:
    data = bytearray(message.LENGTH)
    signal.insert(data, value)
    return CanFrame(message.ID, bytes(data))


_HEARTBEAT = _one_signal(ModuleHeartbeat, ModuleHeartbeat.ALIVE, 1)
_CHARGING = _one_signal(TerminalStatus, TerminalStatus.STATUS, TerminalStatus.Status.CHARGING)
_NOT_CHARGING = _one_signal(
    TerminalStatus, TerminalStatus.STATUS, TerminalStatus.Status.NOT_CHARGING
)


def _float_bits(milli: int) -> int:
    """The bits of the float32 of a value in milli-units."""
    bits: int = struct.unpack(">I", struct.pack(">f", milli / 1000))[0]
    return bits
