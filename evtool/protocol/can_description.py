# SPDX-License-Identifier: GPL-3.0-or-later
"""The messages and signals of a CAN database, and what the controller needs of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evtool.errors import ConfigError
from evtool.protocol.can_signal import Signal

# What the controller cannot do without: docs/can-protocol.md.
REQUIRED: dict[str, tuple[str, ...]] = {
    "charge_request": ("voltage", "current", "control", "mode"),
    "charge_feedback": (
        "voltage",
        "current",
        "hardware_failure",
        "over_temperature",
        "input_voltage",
        "battery_not_connected",
        "communication_timeout",
    ),
    "module_heartbeat": ("alive",),
    "capacity_query": (),
    "capacity_reply": ("remaining", "charged"),
    "discharge_query": (),
    "discharge_reply": ("discharged",),
    "control_request": ("header", "function", "output", "voltage_setpoint", "current_setpoint"),
    "control_reply": ("function", "output", "voltage_setpoint", "current_setpoint"),
    "telemetry_request": ("header", "function"),
    "telemetry_reply": (
        "function",
        "output_voltage",
        "output_current",
        "output_current_deci",
        "temperature",
        "temperature_deci",
        "metric_79",
        "metric_83",
    ),
    "terminal_power": ("voltage", "current"),
    "terminal_status": ("status",),
}
CONTROLLER = "CONTROLLER"
_SENT = frozenset(
    {
        "charge_feedback",
        "capacity_query",
        "discharge_query",
        "control_request",
        "telemetry_request",
    }
)


@dataclass(frozen=True, slots=True)
class DatabaseSignal:
    """One signal of a message.

    Attributes:
        signal: where its bits lie.
        factor, offset: physical value = raw x factor + offset, in `unit`.
        functions: the multiplexer's values for which it is there; empty for always.
        start_value: the raw value that a sender begins with.
        values: (raw, name) of the value table, by raw value.
    """

    name: str
    signal: Signal
    factor: float = 1
    offset: float = 0
    unit: str = ""
    comment: str = ""
    functions: tuple[int, ...] = ()
    start_value: int = 0
    values: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True, slots=True)
class DatabaseMessage:
    """One message: identifier, sender, length in bytes, period and signals.

    Attributes:
        min_length: data bytes from which a received one is believed.
        period_ms: how often it is sent, 0 for the sender's own.
        signals: by function, then from the first byte on.
        shares_id_of: the message that owns the identifier, where this is its other reading.
    """

    name: str
    can_id: int
    extended: bool
    length: int
    min_length: int
    period_ms: int
    sender: str
    comment: str
    signals: tuple[DatabaseSignal, ...]
    shares_id_of: str | None = None

    @property
    def received(self) -> bool:
        """Whether the controller receives it."""
        return self.sender != CONTROLLER


def place(signal: DatabaseSignal) -> tuple[tuple[int, ...], int, str]:
    """What signals of a message are sorted by."""
    return signal.functions, min(signal.signal.bits), signal.name


def check_names(messages: Sequence[DatabaseMessage], name: str) -> None:
    """Every name once.

    Raises:
        ConfigError: naming the message or signal that is there twice.
    """
    names = [message.name for message in messages]
    for message in messages:
        if names.count(message.name) > 1:
            raise ConfigError(f"{name}: two messages are named {message.name}")
        signals = [signal.name for signal in message.signals]
        twice = {signal for signal in signals if signals.count(signal) > 1}
        if twice:
            raise ConfigError(f"{name}: {message.name} has two signals named {min(twice)}")


def check_required(
    messages: Sequence[DatabaseMessage], name: str, required: Mapping[str, Sequence[str]]
) -> None:
    """All that `required` names, sent by the right side.

    Raises:
        ConfigError: naming everything that is missing, or a message with the wrong sender.
    """
    there = {m.name: {signal.name for signal in m.signals} for m in messages}
    missing = [message for message in required if message not in there]
    missing += [
        f"{message}.{signal}"
        for message, signals in required.items()
        for signal in signals
        if message in there and signal not in there[message]
    ]
    if missing:
        raise ConfigError(
            f"{name}: the controller needs what is not here: {', '.join(missing)}",
            fix="add them to the DBC file; docs/can-protocol.md describes each",
        )
    for message in messages:
        if message.name in required and message.received == (message.name in _SENT):
            rule = "must be" if message.name in _SENT else "must not be"
            raise ConfigError(f"{name}: the sender of {message.name} {rule} {CONTROLLER}")
