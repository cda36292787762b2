# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes into the controller and comes out: the twin of evcore's types.hpp.

Names of enumerators are the words that the console and the state line print.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from evtool.protocol.can_frame import CanFrame

MODULE_BUS = 0
MAX_TIME_MS = 2**62
MAX_ENERGY_MWH = 2**62


class CapacitySource(Enum):
    """How a pack tells its charge."""

    REMAINING = "remaining"
    CHARGED_MINUS_DISCHARGED = "charged_minus_discharged"


class CurrentScale(Enum):
    """The bit of the power module's output current, in amperes."""

    PER_1024 = "1/1024"
    PER_10 = "1/10"


class TemperatureScale(Enum):
    """The bit of the power module's temperature: 0.001 or 0.1 degrees Celsius."""

    MILLI = "milli"
    DECI = "deci"


@dataclass(frozen=True, slots=True)
class Config:
    """What a charge point is made of; the defaults are those of evtool.toml."""

    buses: int = 1
    capacity_source: CapacitySource = CapacitySource.REMAINING
    battery_capacity_mah: int = 30000
    module_current_scale: CurrentScale = CurrentScale.PER_1024
    module_temperature_scale: TemperatureScale = TemperatureScale.MILLI
    request_min_mv: int = 56000
    request_max_mv: int = 85500
    request_max_ma: int = 300000
    max_voltage_mv: int = 85500
    max_current_ma: int = 100000
    id_tag: str = ""

    @property
    def bms_bus(self) -> int:
        """The bus on which the vehicle's BMS is."""
        return self.bus_count - 1

    @property
    def bus_count(self) -> int:
        """1 or 2, whatever was written."""
        return 2 if self.buses == 2 else 1


@dataclass(frozen=True, slots=True)
class BootInfo:
    """Who this is, and why it starts; `energy_mwh` is the register as it was last stored."""

    reset: str = ""
    version: str = ""
    build: str = ""
    charge_point: str = ""
    energy_mwh: int = 0


@dataclass(frozen=True, slots=True)
class OcppWord:
    """What OCPP says, repeated at least once a second; believed for less than 5000 ms.

    `limit_ma`: the smart-charging limit, None if there is none; 0 means not permitted.
    """

    connected: bool = False
    transaction: bool = False
    permitted: bool = False
    limit_ma: int | None = None


class Report(Enum):
    """What OCPP is about to tell the register in."""

    SAMPLE = "sample"
    TRANSACTION = "transaction"  # its start or its end


class BusState(Enum):
    """A CAN controller's state."""

    STOPPED = "stopped"
    RUNNING = "running"
    ERROR_PASSIVE = "error_passive"
    BUS_OFF = "bus_off"
    RECOVERING = "recovering"


class Fault(Enum):
    """In the order in which they are reported."""

    OVER_TEMPERATURE = "over_temperature"
    OVER_VOLTAGE = "over_voltage"
    OVER_CURRENT = "over_current"
    MODULE_DISOBEYS = "module_disobeys"
    BUS_OFF = "bus_off"


class GateReason(Enum):
    """Open, or the first condition in this order that keeps the gate closed."""

    OPEN = "open"
    NO_VEHICLE = "no_vehicle"
    VEHICLE_SWITCH_OFF = "vehicle_switch_off"
    REQUEST_OUT_OF_RANGE = "request_out_of_range"
    BUS_DOWN = "bus_down"
    FAULT = "fault"
    MODULE_SILENT = "module_silent"
    TEMPERATURE_UNKNOWN = "temperature_unknown"
    TOO_HOT = "too_hot"
    PERMISSION_STALE = "permission_stale"
    NOT_PERMITTED = "not_permitted"
    LIMIT_ZERO = "limit_zero"


class View(Enum):
    """What the console shows once a second; the value is the key, the name the word."""

    MUTE = "0"
    BMS = "1"
    POWER_MODULE = "2"
    OUTPUT = "3"
    TERMINAL = "4"
    ALL = "5"


@dataclass(frozen=True, slots=True)
class SendFrame:
    """Send `frame` on `bus`; `urgent` ones (the off command) overtake whatever waits."""

    bus: int
    frame: CanFrame
    urgent: bool = False


@dataclass(frozen=True, slots=True)
class ConsoleText:
    """Print one line."""

    text: str


@dataclass(frozen=True, slots=True)
class OcppStart:
    """Ask OCPP to authorise `id_tag` and to start a transaction."""

    id_tag: str


@dataclass(frozen=True, slots=True)
class OcppStop:
    """End the transaction with a Reason of OCPP 1.6."""

    reason: str


@dataclass(frozen=True, slots=True)
class Store:
    """Write a value to NVS, namespace evstate."""

    key: str
    value: int


@dataclass(frozen=True, slots=True)
class Recover:
    """Start the recovery of a bus."""

    bus: int


Output = SendFrame | ConsoleText | OcppStart | OcppStop | Store | Recover


class Snapshot(NamedTuple):
    """Everything that is known at one instant; None is unknown or stale.

    Units stand in the names; `module` is True for on; `flags` is charge_feedback's byte 4;
    `error` is an OCPP 1.6 ChargePointErrorCode.
    """

    plugged: bool
    bms_alive: bool
    in_range: bool
    ev_ready: bool
    module_alive: bool
    evse_ready: bool
    connected: bool
    transaction: bool
    permitted: bool
    energised: bool
    gate: GateReason
    faults: tuple[Fault, ...]
    error: str
    limit_ma: int | None
    requested_mv: int | None
    requested_ma: int | None
    setpoint_mv: int
    setpoint_ma: int
    offered_ma: int
    measured_mv: int | None
    measured_ma: int | None
    power_mw: int | None
    temperature_mdegc: int | None
    soc_permille: int | None
    energy_mwh: int
    stored_mwh: int
    session_mwh: int | None
    module: bool | None
    flags: int
    malformed: int
    bus: tuple[BusState, BusState]
    view: View
