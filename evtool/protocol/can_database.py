# SPDX-License-Identifier: GPL-3.0-or-later
"""A DBC file as frozen values.

Besides the usual attributes (`GenMsgCycleTime`, `GenSigStartValue`) two of our own are read:

`MinLength` of a message: how many data bytes make it believable (default: its length).

`OtherReading` of a signal: a second meaning of bits that the DBC has given away already,
which a strict reader would refuse as an overlap::

    [<sender> <message>.]<signal> <start>|<length>@<0|1><+|-> (<factor>,<offset>) [<unit>]

Without a message the reading is a further signal of the same message (and of the same
multiplexed function); with one it is the same identifier sent by somebody else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from evtool.errors import ConfigError
from evtool.protocol.can_signal import ByteOrder, Kind, Signal

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

_OTHER_READING = re.compile(
    r"(?:(?P<sender>\w+) (?P<message>\w+)\.)?(?P<signal>\w+) "
    r"(?P<start>\d{1,3})\|(?P<length>\d{1,3})@(?P<order>[01])(?P<sign>[+-]) "
    r"\((?P<factor>[0-9.]+),(?P<offset>-?[0-9.]+)\)(?: (?P<unit>\S+))?\Z"
)
_AT_LINE = re.compile(r"\bline (\d+)")


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


def load_can_database(path: Path) -> tuple[DatabaseMessage, ...]:
    """Every message of the DBC file at `path`, in the file's order.

    Raises:
        ConfigError: the file is missing or broken (with its line), signals overlap, or a
            message or signal that the controller needs is not there.
    """
    try:
        text = path.read_bytes().decode("utf-8")
    except OSError as error:
        raise ConfigError(
            f"cannot read CAN database {path}: {error.strerror or error}",
            fix="correct can_database in evtool.toml, or leave it out for evtool's own",
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{path}: byte {error.start} is not UTF-8", fix="save the DBC file as UTF-8"
        ) from error
    return parse_can_database(text, str(path))


def parse_can_database(
    text: str, name: str, required: Mapping[str, Sequence[str]] = REQUIRED
) -> tuple[DatabaseMessage, ...]:
    """As `load_can_database`, from the file's `text`; `name` is for the errors.

    Args:
        required: the messages, and their signals, that must be there.
    """
    reader = _Reader(text, name)
    messages: list[DatabaseMessage] = []
    for source in reader.load():
        messages.extend(reader.message(source))
    _check_names(messages, name)
    _check_required(messages, name, required)
    return tuple(messages)


class _Reader:
    """Turns cantools' values into ours, and every complaint into one with file and line."""

    def __init__(self, text: str, name: str) -> None:
        self.text = text
        self.name = name

    def load(self) -> list[Any]:
        # 120 ms, and only codegen needs it
        import cantools.database  # noqa: PLC0415

        if not re.search(r"^BO_ ", self.text, re.MULTILINE):
            raise ConfigError(f"{self.name}: no message (BO_) in this file; is it a DBC file?")
        try:
            database = cantools.database.load_string(self.text, "dbc", strict=True)
        except Exception as error:  # cantools lets KeyError and others through
            raise self._broken(error) from error
        messages: list[Any] = cast(Any, database).messages
        return messages

    def _broken(self, error: Exception) -> ConfigError:
        said = str(error) if str(error) else type(error).__name__
        found = _AT_LINE.search(said)
        if found:
            line: int | None = int(found[1])
        else:
            line = self._line_of_message_named_in(said)
        if isinstance(error, KeyError | IndexError):
            said = f"refers to something that is not defined: {error.args[0]!r}"
        where = f"{self.name}:{line}" if line else self.name
        return ConfigError(f"{where}: {said}", fix="correct the DBC file; evtool's own is a model")

    def _line_of_message_named_in(self, said: str) -> int | None:
        for number, line in enumerate(self.text.splitlines(), 1):
            found = re.match(r"BO_ \d+ (\w+)\s*:", line)
            if found and re.search(rf"\b{found[1]}\b", said):
                return number
        return None

    def _fail(self, message: str, signal: str, attribute: str, rule: str) -> ConfigError:
        at = 0
        for number, line in enumerate(self.text.splitlines(), 1):
            if attribute in line and re.search(rf"\b{re.escape(signal)}\b", line):
                at = number
        where = f"{self.name}:{at}" if at else self.name
        return ConfigError(f"{where}: {attribute} of {message}.{signal}: {rule}")

    def message(self, source: Any) -> list[DatabaseMessage]:
        """The message and those that share its identifier."""
        attributes = source.dbc.attributes
        minimum = attributes.get("MinLength")
        own = DatabaseMessage(
            name=source.name,
            can_id=source.frame_id,
            extended=source.is_extended_frame,
            length=source.length,
            min_length=min(int(minimum.value), source.length) if minimum else source.length,
            period_ms=source.cycle_time or 0,
            sender=source.senders[0] if source.senders else "",
            comment=source.comment or "",
            signals=(),
        )
        if own.length > 8:
            raise ConfigError(
                f"{self.name}: {own.name} has {own.length} bytes; a classic CAN frame holds 8"
            )
        signals: list[DatabaseSignal] = []
        others: list[DatabaseMessage] = []
        for item in source.signals:
            signal = _signal(item)
            signals.append(signal)
            reading = item.dbc.attributes.get("OtherReading") if item.dbc else None
            if reading is not None and reading.value:
                other, further = self._other_reading(own, signal, reading.value)
                if other is None:
                    signals.append(further)
                else:
                    others.append(replace(other, signals=(further,)))
        signals.sort(key=_place)
        return [replace(own, signals=tuple(signals)), *others]

    def _other_reading(
        self, own: DatabaseMessage, beside: DatabaseSignal, text: str
    ) -> tuple[DatabaseMessage | None, DatabaseSignal]:
        found = _OTHER_READING.match(text)
        if found is None:
            raise self._fail(
                own.name,
                beside.name,
                "OtherReading",
                f"{text!r} is not `[sender message.]signal start|length@order (factor,offset)`",
            )
        try:
            bits = Signal(
                start_bit=int(found["start"]),
                length=int(found["length"]),
                byte_order=_order(found["order"] == "1"),
                kind=Kind.SIGNED if found["sign"] == "-" else Kind.UNSIGNED,
            )
            further = DatabaseSignal(
                name=found["signal"],
                signal=bits,
                factor=float(found["factor"]),
                offset=float(found["offset"]),
                unit=found["unit"] or "",
                comment=f"Another reading of the bits of {own.name}.{beside.name}.",
                functions=beside.functions if found["message"] is None else (),
            )
        except ValueError as error:
            raise self._fail(own.name, beside.name, "OtherReading", str(error)) from error
        if bits.byte_count > own.length:
            raise self._fail(
                own.name, beside.name, "OtherReading", f"leaves the {own.length} bytes"
            )
        if found["message"] is None:
            return None, further
        other = replace(
            own,
            name=found["message"],
            sender=found["sender"],
            period_ms=0,
            min_length=own.length,
            shares_id_of=own.name,
            comment=f"Carries the identifier of {own.name}, which {own.sender} sends.",
        )
        return other, further


def _place(signal: DatabaseSignal) -> tuple[tuple[int, ...], int, str]:
    return signal.functions, min(signal.signal.bits), signal.name


def _order(little_endian: bool) -> ByteOrder:
    return ByteOrder.LITTLE_ENDIAN if little_endian else ByteOrder.BIG_ENDIAN


def _signal(item: Any) -> DatabaseSignal:
    if item.is_float:
        kind = Kind.FLOAT
    else:
        kind = Kind.SIGNED if item.is_signed else Kind.UNSIGNED
    return DatabaseSignal(
        name=item.name,
        signal=Signal(
            start_bit=item.start,
            length=item.length,
            byte_order=_order(item.byte_order == "little_endian"),
            kind=kind,
        ),
        factor=item.scale,
        offset=item.offset,
        unit=item.unit or "",
        comment=item.comment or "",
        functions=tuple(item.multiplexer_ids or ()),
        start_value=int(item.raw_initial or 0),
        values=tuple(sorted((int(raw), str(text)) for raw, text in (item.choices or {}).items())),
    )


def _check_names(messages: list[DatabaseMessage], name: str) -> None:
    seen: set[str] = set()
    for message in messages:
        if message.name in seen:
            raise ConfigError(f"{name}: two messages are named {message.name}")
        seen.add(message.name)
        signals = [signal.name for signal in message.signals]
        twice = {signal for signal in signals if signals.count(signal) > 1}
        if twice:
            raise ConfigError(f"{name}: {message.name} has two signals named {min(twice)}")


def _check_required(
    messages: list[DatabaseMessage], name: str, required: Mapping[str, Sequence[str]]
) -> None:
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
