# SPDX-License-Identifier: GPL-3.0-or-later
"""What a board shows of itself: its frames and its console lines as fields with values.

The fields that a state line has too carry its names and values (docs/host-program.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from evtool.protocol.can_frame import CanFrame
from evtool.protocol.can_tables import (
    CapacityQuery,
    CapacityReply,
    ChargeFeedback,
    ChargeRequest,
    ControlReply,
    ControlRequest,
    DischargeQuery,
    DischargeReply,
    TelemetryReply,
    TelemetryRequest,
    TerminalPower,
    TerminalStatus,
)
from evtool.protocol.console import Record
from evtool.reference_impl import module_commands
from evtool.reference_impl.numbers import current_setpoint_to_milli, per_1024_to_milli
from evtool.verify.board.course import Sighting

SWITCH = "energised"
VOLTAGE, CURRENT = "setpoint_mv", "setpoint_ma"
FLAGS = "flags"
FEEDBACK_VOLTAGE, FEEDBACK_CURRENT = "feedback.voltage", "feedback.current"
GATE, PLUG = "gate", "plugged"
TRANSACTION, PERMIT, CONNECTED = "transaction", "permitted", "connected"
FAULT = "fault."
CLOSED = "closed"
"""The gate before its first event: closed, for a reason that nobody has said."""

# What the board sends, and what only a BMS or a power module does. The heartbeat is neither:
# its identifier is also that of charge_feedback.
BOARD_IDS = frozenset((ControlRequest.ID, TelemetryRequest.ID, CapacityQuery.ID, DischargeQuery.ID))
OTHERS_IDS: Mapping[int, str] = {
    ChargeRequest.ID: "a vehicle's BMS",
    CapacityReply.ID: "a vehicle's BMS",
    DischargeReply.ID: "a vehicle's BMS",
    ControlReply.ID: "a power module",
    TelemetryReply.ID: "a power module",
    TerminalPower.ID: "a power module",
    TerminalStatus.ID: "a power module",
}

# event kind: (field, {its word: the field's value})
_EVENTS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "plug": (PLUG, {"in": "1", "out": "0"}),
    "transaction": (TRANSACTION, {"started": "1", "ended": "0"}),
    "permit": (PERMIT, {"granted": "1", "withdrawn": "0"}),
    "ocpp": (CONNECTED, {"connected": "1", "disconnected": "0"}),
}


class Seen:
    """Everything that was seen of one board, by field, in order of time."""

    def __init__(self) -> None:
        self.fields: dict[str, list[Sighting]] = {}

    def note(self, field: str, value: str, since_ms: int, at_ms: int) -> bool:
        """Take one; whether the field had another value before, or none."""
        known = self.fields.setdefault(field, [])
        changed = not known or known[-1].value != value
        known.append(Sighting(value, since_ms, at_ms))
        return changed

    def last(self, field: str) -> Sighting | None:
        """The latest of a field."""
        known = self.fields.get(field)
        return known[-1] if known else None

    def at(self, field: str, now_ms: int) -> str | None:
        """The latest value of a field that was seen by `now_ms`."""
        value = None
        for each in self.fields.get(field, ()):
            if each.at_ms > now_ms:
                break
            value = each.value
        return value


def fields_of_frame(frame: CanFrame) -> Iterator[tuple[str, str]]:
    """The fields of a frame that the board sent; none of a frame that is not one of its."""
    data = frame.data
    if not frame.extended or frame.remote:
        return
    match frame.can_id:
        case ControlRequest.ID:
            yield _control(frame)
        case TelemetryRequest.ID:
            function = TelemetryRequest.FUNCTION.extract(data) if len(data) == 8 else 0
            exact = frame == module_commands.telemetry(function) if len(data) == 8 else False
            asked = function in module_commands.TELEMETRY_TURNS and exact
            yield ("question", f"{function:02X}" if asked else f"unknown {frame}")
        case ChargeFeedback.ID:
            if len(data) != ChargeFeedback.LENGTH or any(data[5:]):
                yield (FLAGS, f"unknown {frame}")
                return
            yield (FLAGS, f"{data[4]:02X}")
            yield (FEEDBACK_VOLTAGE, str(ChargeFeedback.VOLTAGE.extract(data)))
            yield (FEEDBACK_CURRENT, str(ChargeFeedback.CURRENT.extract(data)))
        case CapacityQuery.ID:
            yield ("capacity_query", data.hex())
        case DischargeQuery.ID:
            yield ("discharge_query", data.hex())


def _control(frame: CanFrame) -> tuple[str, str]:
    """One of the three commands, exact to the last bit; else as a value that nothing equals."""
    data = frame.data
    if len(data) == ControlRequest.LENGTH:
        for on in (False, True):
            if frame == module_commands.switch(on):
                return SWITCH, str(int(on))
        function = ControlRequest.FUNCTION.extract(data)
        if function == ControlRequest.Function.VOLTAGE_SETPOINT:
            raw = ControlRequest.VOLTAGE_SETPOINT.extract(data)
            millivolts = per_1024_to_milli(raw)
            if frame == module_commands.voltage_setpoint(millivolts):
                return VOLTAGE, str(millivolts)
            return VOLTAGE, f"unknown {frame}"
        if function == ControlRequest.Function.CURRENT_SETPOINT:
            raw = ControlRequest.CURRENT_SETPOINT.extract(data)
            milliamperes = current_setpoint_to_milli(raw)
            if frame == module_commands.current_setpoint(milliamperes):
                return CURRENT, str(milliamperes)
            return CURRENT, f"unknown {frame}"
    return SWITCH, f"unknown {frame}"


def field_of_event(record: Record) -> tuple[str, str] | None:
    """The field that an event changes; None for one that changes none."""
    state = str(record.fields.get("state"))
    if record.kind == "gate":
        return GATE, "open" if state == "open" else str(record.fields.get("reason"))
    if record.kind == "fault":
        return f"{FAULT}{record.fields.get('name')}", "1" if state == "set" else "0"
    if record.kind in _EVENTS:
        field, words = _EVENTS[record.kind]
        return field, words.get(state, state)
    return None


def fields_of_record(record: Record) -> Iterator[tuple[str, str]]:
    """The fields of a record of the console's views, `-` where the board does not know."""
    for name, value in record.fields.items():
        yield f"{record.name}.{name}", "-" if value is None else str(value)
