# SPDX-License-Identifier: GPL-3.0-or-later
"""The power module (AC/DC): what it measures and reports, and the frames that command it.

Rules:
    alive      a well-formed frame of the module came at most 3000 ms ago. The heartbeat does not
               count: its identifier is also that of our own feedback, and it opens no gate.
    measured   terminal_power while that is fresh (3000 ms), else the module's own output
    a reply to a function that is never asked for, or a state that is neither on nor off, is
    Malformed: it counts as not received
"""

from __future__ import annotations

from dataclasses import dataclass

from evtool.protocol.can_frame import CanFrame
from evtool.protocol.can_tables import (
    ControlReply,
    ModuleHeartbeat,
    TelemetryReply,
    TerminalPower,
    TerminalStatus,
)
from evtool.reference_impl.controller_types import Config, CurrentScale, TemperatureScale
from evtool.reference_impl.freshness import Timed
from evtool.reference_impl.numbers import (
    current_setpoint_to_milli,
    deci_to_milli,
    float32_to_milli,
    per_1024_to_milli,
)

FRESH_MS = 3000
MAX_INT32 = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Heard:
    """Which facts a frame renewed: a fault is judged on new samples only."""

    malformed: bool = False
    voltage: bool = False
    current: bool = False
    state: bool = False


NOTHING = Heard()
BROKEN = Heard(malformed=True)


class PowerModule:
    """What the module said, and when."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._any: Timed[bool] = Timed()
        self._heartbeat: Timed[bool] = Timed()
        self._on: Timed[bool] = Timed()
        self._set_mv: Timed[int] = Timed()
        self._set_ma: Timed[int] = Timed()
        self._control: Timed[bytes] = Timed()
        self._telemetry: Timed[bool] = Timed()
        self._output_mv: Timed[int] = Timed()
        self._output_ma: Timed[int] = Timed()
        self._temperature: Timed[int] = Timed()
        self._metric_79: Timed[int] = Timed()
        self._metric_83: Timed[int] = Timed()
        self._terminal: Timed[tuple[int, int]] = Timed()
        self._status: Timed[int] = Timed()

    def receive(self, frame: CanFrame, now_ms: int) -> Heard:
        """Take a frame from the module's bus."""
        if not frame.extended or frame.remote:
            return NOTHING
        take = {
            ModuleHeartbeat.ID: self._take_heartbeat,
            ControlReply.ID: self._take_control,
            TelemetryReply.ID: self._take_telemetry,
            TerminalPower.ID: self._take_terminal,
            TerminalStatus.ID: self._take_status,
        }.get(frame.can_id)
        if take is None:
            return NOTHING
        if frame.dlc < ControlReply.MIN_LENGTH:  # the same 8 for every frame of the module
            return BROKEN
        heard = take(frame.data, now_ms)
        if not heard.malformed and frame.can_id != ModuleHeartbeat.ID:
            self._any.set(True, now_ms)
        return heard

    def _take_heartbeat(self, data: bytes, now_ms: int) -> Heard:
        self._heartbeat.set(ModuleHeartbeat.ALIVE.extract(data) == 1, now_ms)
        return NOTHING

    def _take_control(self, data: bytes, now_ms: int) -> Heard:
        function = ControlReply.FUNCTION.extract(data)
        if function == ControlReply.Function.OUTPUT:
            output = ControlReply.OUTPUT.extract(data)
            if output not in (ControlReply.Output.ON, ControlReply.Output.OFF):
                return BROKEN
            self._on.set(output == ControlReply.Output.ON, now_ms)
        elif function == ControlReply.Function.VOLTAGE_SETPOINT:
            raw = ControlReply.VOLTAGE_SETPOINT.extract(data)
            self._set_mv.set(per_1024_to_milli(raw), now_ms)
        elif function == ControlReply.Function.CURRENT_SETPOINT:
            raw = ControlReply.CURRENT_SETPOINT.extract(data)
            self._set_ma.set(current_setpoint_to_milli(raw), now_ms)
        else:
            return BROKEN
        self._control.set(data, now_ms)
        return Heard(state=function == ControlReply.Function.OUTPUT)

    def _take_telemetry(self, data: bytes, now_ms: int) -> Heard:
        function = TelemetryReply.FUNCTION.extract(data)
        terminal_silent = self._terminal.within(FRESH_MS, now_ms) is None
        heard = NOTHING
        if function == TelemetryReply.Function.OUTPUT_VOLTAGE:
            raw = TelemetryReply.OUTPUT_VOLTAGE.extract(data)
            self._output_mv.set(per_1024_to_milli(raw), now_ms)
            heard = Heard(voltage=terminal_silent)
        elif function == TelemetryReply.Function.OUTPUT_CURRENT:
            self._output_ma.set(self._output_current_ma(data), now_ms)
            heard = Heard(current=terminal_silent)
        elif function == TelemetryReply.Function.TEMPERATURE:
            temperature = self._temperature_mdegc(data)
            if temperature > MAX_INT32:
                return BROKEN
            self._temperature.set(temperature, now_ms)
        elif function == TelemetryReply.Function.METRIC_79:
            self._metric_79.set(TelemetryReply.METRIC_79.extract(data), now_ms)
        elif function == TelemetryReply.Function.METRIC_83:
            metric = float32_to_milli(TelemetryReply.METRIC_83.extract(data))
            if metric is None:
                return BROKEN
            self._metric_83.set(metric, now_ms)
        else:
            return BROKEN
        self._telemetry.set(True, now_ms)
        return heard

    def _output_current_ma(self, data: bytes) -> int:
        if self._config.module_current_scale is CurrentScale.PER_10:
            return deci_to_milli(TelemetryReply.OUTPUT_CURRENT_DECI.extract(data))
        return per_1024_to_milli(TelemetryReply.OUTPUT_CURRENT.extract(data))

    def _temperature_mdegc(self, data: bytes) -> int:
        if self._config.module_temperature_scale is TemperatureScale.DECI:
            return deci_to_milli(TelemetryReply.TEMPERATURE_DECI.extract(data))
        return TelemetryReply.TEMPERATURE.extract(data)

    def _take_terminal(self, data: bytes, now_ms: int) -> Heard:
        voltage_mv = float32_to_milli(TerminalPower.VOLTAGE.extract(data))
        current_ma = float32_to_milli(TerminalPower.CURRENT.extract(data))
        if voltage_mv is None or current_ma is None:
            return BROKEN
        self._terminal.set((voltage_mv, current_ma), now_ms)
        return Heard(voltage=True, current=True)

    def _take_status(self, data: bytes, now_ms: int) -> Heard:
        self._status.set(TerminalStatus.STATUS.extract(data), now_ms)
        return NOTHING

    def alive(self, now_ms: int) -> bool:
        """Whether the module is there."""
        return self._any.within(FRESH_MS, now_ms) is not None

    def silence_ms(self, now_ms: int) -> int | None:
        """How long nothing came from it; None if nothing ever came."""
        return self._any.age_ms(now_ms)

    def measured_mv(self, now_ms: int) -> int | None:
        """Voltage at the vehicle."""
        terminal = self._terminal.within(FRESH_MS, now_ms)
        return self.output_mv(now_ms) if terminal is None else terminal[0]

    def measured_ma(self, now_ms: int) -> int | None:
        """Current into the vehicle."""
        terminal = self._terminal.within(FRESH_MS, now_ms)
        return self.output_ma(now_ms) if terminal is None else terminal[1]

    def terminal(self, now_ms: int) -> tuple[int, int] | None:
        """terminal_power in mV and mA."""
        return self._terminal.within(FRESH_MS, now_ms)

    def terminal_age_ms(self, now_ms: int) -> int | None:
        """Age of the last terminal_power, stale or not."""
        return self._terminal.age_ms(now_ms)

    def status(self, now_ms: int) -> int | None:
        """terminal_status as it came."""
        return self._status.within(FRESH_MS, now_ms)

    def output_mv(self, now_ms: int) -> int | None:
        """The module's own output voltage."""
        return self._output_mv.within(FRESH_MS, now_ms)

    def output_ma(self, now_ms: int) -> int | None:
        """The module's own output current."""
        return self._output_ma.within(FRESH_MS, now_ms)

    def temperature_mdegc(self, now_ms: int) -> int | None:
        """The module's temperature."""
        return self._temperature.within(FRESH_MS, now_ms)

    def metric_79(self, now_ms: int) -> int | None:
        """A number of unknown meaning."""
        return self._metric_79.within(FRESH_MS, now_ms)

    def metric_83_milli(self, now_ms: int) -> int | None:
        """Another one, in thousandths."""
        return self._metric_83.within(FRESH_MS, now_ms)

    def telemetry_age_ms(self, now_ms: int) -> int | None:
        """Age of the last telemetry_reply, stale or not."""
        return self._telemetry.age_ms(now_ms)

    def on(self, now_ms: int) -> bool | None:
        """Whether the module says that it is on."""
        return self._on.within(FRESH_MS, now_ms)

    def set_mv(self, now_ms: int) -> int | None:
        """The voltage setpoint that the module says it has."""
        return self._set_mv.within(FRESH_MS, now_ms)

    def set_ma(self, now_ms: int) -> int | None:
        """The current setpoint that the module says it has."""
        return self._set_ma.within(FRESH_MS, now_ms)

    def heartbeat(self, now_ms: int) -> bool | None:
        """The heartbeat's alive bit."""
        return self._heartbeat.within(FRESH_MS, now_ms)

    def control_raw(self, now_ms: int) -> bytes | None:
        """The last control_reply's bytes."""
        return self._control.within(FRESH_MS, now_ms)

    def control_age_ms(self, now_ms: int) -> int | None:
        """Age of the last control_reply, stale or not."""
        return self._control.age_ms(now_ms)
