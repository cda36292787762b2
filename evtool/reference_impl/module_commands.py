# SPDX-License-Identifier: GPL-3.0-or-later
"""The frames that the controller sends: commands and questions to the module, feedback to the BMS.

A frame built here is off and zero unless told otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from evtool.protocol.can_frame import CanFrame
from evtool.protocol.can_signal import Signal
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


FLAGS_BYTE = 4


def _flag(signal: Signal) -> int:
    """The flag's bit in the flags' byte."""
    data = bytearray(ChargeFeedback.LENGTH)
    signal.insert(data, 1)
    return data[FLAGS_BYTE]


_HARDWARE_FAILURE = _flag(ChargeFeedback.HARDWARE_FAILURE)
_OVER_TEMPERATURE = _flag(ChargeFeedback.OVER_TEMPERATURE)
_NOT_CONNECTED = _flag(ChargeFeedback.BATTERY_NOT_CONNECTED)
_TIMEOUT = _flag(ChargeFeedback.COMMUNICATION_TIMEOUT)


def _control(function: int) -> bytearray:
    data = bytearray(ControlRequest.LENGTH)
    ControlRequest.HEADER.insert(data, ControlRequest.HEADER_START)
    ControlRequest.FUNCTION.insert(data, function)
    return data


@lru_cache
def switch(on: bool) -> CanFrame:
    """On or off."""
    data = _control(ControlRequest.Function.OUTPUT)
    output = ControlRequest.Output.ON if on else ControlRequest.Output.OFF
    ControlRequest.OUTPUT.insert(data, output)
    return CanFrame(ControlRequest.ID, bytes(data))


@lru_cache
def voltage_setpoint(millivolts: int) -> CanFrame:
    """The voltage that the module is to hold."""
    data = _control(ControlRequest.Function.VOLTAGE_SETPOINT)
    ControlRequest.VOLTAGE_SETPOINT.insert(data, voltage_setpoint_to_raw(millivolts))
    return CanFrame(ControlRequest.ID, bytes(data))


@lru_cache
def current_setpoint(milliamperes: int) -> CanFrame:
    """The current that the module is not to exceed."""
    data = _control(ControlRequest.Function.CURRENT_SETPOINT)
    ControlRequest.CURRENT_SETPOINT.insert(data, current_setpoint_to_raw(milliamperes))
    return CanFrame(ControlRequest.ID, bytes(data))


@lru_cache
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
    flags = 0
    for fault in faults:
        too_hot = fault is Fault.OVER_TEMPERATURE
        flags |= _OVER_TEMPERATURE if too_hot else _HARDWARE_FAILURE
    return flags | (0 if plugged else _NOT_CONNECTED) | (_TIMEOUT if silent else 0)


@lru_cache
def feedback(millivolts: int, milliamperes: int, flags: int) -> CanFrame:
    """Tell the BMS what it is given; fields saturate."""
    data = bytearray(ChargeFeedback.LENGTH)
    data[FLAGS_BYTE] = flags
    ChargeFeedback.VOLTAGE.insert(data, milli_to_deci_field(millivolts))
    ChargeFeedback.CURRENT.insert(data, milli_to_deci_field(milliamperes))
    return CanFrame(ChargeFeedback.ID, bytes(data))
