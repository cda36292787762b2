# SPDX-License-Identifier: GPL-3.0-or-later
"""The frames behind the console's records: as they were where it shows them, made where not."""

from __future__ import annotations

import struct

from evtool.protocol.can_frame import CanFrame
from evtool.protocol.can_signal import Signal
from evtool.protocol.can_tables import (
    ChargeRequest,
    ControlReply,
    TelemetryReply,
    TerminalPower,
    TerminalStatus,
)
from evtool.reference_impl.controller_types import Config, CurrentScale, TemperatureScale
from evtool.reference_impl.numbers import current_setpoint_to_raw, voltage_setpoint_to_raw

_STATUS = {
    "charging": int(TerminalStatus.Status.CHARGING),
    "not_charging": int(TerminalStatus.Status.NOT_CHARGING),
    "unknown": 0,
}


def charge_request(raw: str) -> CanFrame | None:
    """The BMS's frame from the record's `raw`; None where that is no frame."""
    try:
        data = bytes.fromhex(raw)
    except ValueError:
        return None
    return CanFrame(ChargeRequest.ID, data) if len(data) <= 8 else None


def switch_reply(*, on: bool) -> CanFrame:
    """The module says that it is on, or off."""
    output = ControlReply.Output.ON if on else ControlReply.Output.OFF
    function = int(ControlReply.Function.OUTPUT)
    return _made(ControlReply.ID, (ControlReply.FUNCTION, function), (ControlReply.OUTPUT, output))


def voltage_reply(millivolts: int) -> CanFrame:
    """The module's voltage setpoint."""
    return _made(
        ControlReply.ID,
        (ControlReply.FUNCTION, int(ControlReply.Function.VOLTAGE_SETPOINT)),
        (ControlReply.VOLTAGE_SETPOINT, voltage_setpoint_to_raw(max(0, millivolts))),
    )


def current_reply(milliamperes: int) -> CanFrame:
    """The module's current setpoint."""
    return _made(
        ControlReply.ID,
        (ControlReply.FUNCTION, int(ControlReply.Function.CURRENT_SETPOINT)),
        (ControlReply.CURRENT_SETPOINT, current_setpoint_to_raw(max(0, milliamperes))),
    )


def output_voltage(millivolts: int) -> CanFrame:
    """The module's own output voltage."""
    raw = (TelemetryReply.OUTPUT_VOLTAGE, voltage_setpoint_to_raw(max(0, millivolts)))
    return _telemetry(TelemetryReply.Function.OUTPUT_VOLTAGE, raw)


def output_current(milliamperes: int, config: Config) -> CanFrame:
    """The module's own output current, in its configured unit."""
    signal, raw = TelemetryReply.OUTPUT_CURRENT, voltage_setpoint_to_raw(max(0, milliamperes))
    if config.module_current_scale is CurrentScale.PER_10:
        signal, raw = TelemetryReply.OUTPUT_CURRENT_DECI, (max(0, milliamperes) + 50) // 100
    return _telemetry(TelemetryReply.Function.OUTPUT_CURRENT, (signal, raw))


def temperature(millidegrees: int, config: Config) -> CanFrame:
    """The module's temperature, in its configured unit."""
    signal, raw = TelemetryReply.TEMPERATURE, max(0, millidegrees)
    if config.module_temperature_scale is TemperatureScale.DECI:
        signal, raw = TelemetryReply.TEMPERATURE_DECI, raw // 100
    return _telemetry(TelemetryReply.Function.TEMPERATURE, (signal, raw))


def terminal_power(millivolts: int, milliamperes: int) -> CanFrame:
    """What flows at the vehicle's terminals."""
    data = struct.pack(">ff", millivolts / 1000, milliamperes / 1000)
    return CanFrame(TerminalPower.ID, data)


def terminal_status(word: str) -> CanFrame:
    """What the module says of charging."""
    return _made(TerminalStatus.ID, (TerminalStatus.STATUS, _STATUS.get(word, 0)))


def _telemetry(function: TelemetryReply.Function, value: tuple[Signal, int]) -> CanFrame:
    return _made(TelemetryReply.ID, (TelemetryReply.FUNCTION, int(function)), value)


def _made(can_id: int, *values: tuple[Signal, int]) -> CanFrame:
    data = bytearray(8)
    for signal, raw in values:
        signal.insert(data, min(raw, signal.highest))
    return CanFrame(can_id, bytes(data))
