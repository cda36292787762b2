# SPDX-License-Identifier: GPL-3.0-or-later
"""The frames that the controller sends: commands and questions to the module, feedback to the BMS.

A frame built here is off and zero unless told otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable

from evtool.protocol.can_frame import CanFrame
from evtool.protocol.can_tables import ChargeFeedback, ControlRequest, TelemetryRequest
from evtool.reference_impl.controller_types import Fault
from evtool.reference_impl.numbers import (
    current_setpoint_to_raw,
    milli_to_deci_field,
    voltage_setpoint_to_raw,
)

TELEMETRY_TURNS = (
    TelemetryRequest.Function.OUTPUT_VOLTAGE,
    TelemetryRequest.Function.OUTPUT_CURRENT,
    TelemetryRequest.Function.TEMPERATURE,
    TelemetryRequest.Function.METRIC_79,
    TelemetryRequest.Function.METRIC_83,
)


def _control(function: int) -> bytearray:
    data = bytearray(ControlRequest.LENGTH)
    ControlRequest.HEADER.insert(data, ControlRequest.HEADER_START)
    ControlRequest.FUNCTION.insert(data, function)
    return data


def switch(on: bool) -> CanFrame:
    """On or off."""
    data = _control(ControlRequest.Function.OUTPUT)
    output = ControlRequest.Output.ON if on else ControlRequest.Output.OFF
    ControlRequest.OUTPUT.insert(data, output)
    return CanFrame(ControlRequest.ID, bytes(data))


def voltage_setpoint(millivolts: int) -> CanFrame:
    """The voltage that the module is to hold."""
    data = _control(ControlRequest.Function.VOLTAGE_SETPOINT)
    ControlRequest.VOLTAGE_SETPOINT.insert(data, voltage_setpoint_to_raw(millivolts))
    return CanFrame(ControlRequest.ID, bytes(data))


def current_setpoint(milliamperes: int) -> CanFrame:
    """The current that the module is not to exceed."""
    data = _control(ControlRequest.Function.CURRENT_SETPOINT)
    ControlRequest.CURRENT_SETPOINT.insert(data, current_setpoint_to_raw(milliamperes))
    return CanFrame(ControlRequest.ID, bytes(data))


def telemetry(function: int) -> CanFrame:
    """Ask for one measurement."""
    data = bytearray(TelemetryRequest.LENGTH)
    TelemetryRequest.HEADER.insert(data, TelemetryRequest.HEADER_START)
    TelemetryRequest.FUNCTION.insert(data, function)
    return CanFrame(TelemetryRequest.ID, bytes(data))


def feedback_flags(faults: Iterable[Fault], *, plugged: bool, silent: bool) -> int:
    """Byte 4 of charge_feedback; every fault but over_temperature is a hardware failure.

    The input voltage's flag stays 0: nothing on this hardware measures it.
    """
    active = set(faults)
    data = bytearray(ChargeFeedback.LENGTH)
    hardware_failure = bool(active - {Fault.OVER_TEMPERATURE})
    ChargeFeedback.HARDWARE_FAILURE.insert(data, int(hardware_failure))
    ChargeFeedback.OVER_TEMPERATURE.insert(data, int(Fault.OVER_TEMPERATURE in active))
    ChargeFeedback.BATTERY_NOT_CONNECTED.insert(data, int(not plugged))
    ChargeFeedback.COMMUNICATION_TIMEOUT.insert(data, int(silent))
    return data[4]


def feedback(millivolts: int, milliamperes: int, flags: int) -> CanFrame:
    """Tell the BMS what it is given; fields saturate."""
    data = bytearray(ChargeFeedback.LENGTH)
    data[4] = flags
    ChargeFeedback.VOLTAGE.insert(data, milli_to_deci_field(millivolts))
    ChargeFeedback.CURRENT.insert(data, milli_to_deci_field(milliamperes))
    return CanFrame(ChargeFeedback.ID, bytes(data))
