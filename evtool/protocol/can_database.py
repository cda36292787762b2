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
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from evtool.errors import ConfigError
from evtool.protocol.can_description import (
    REQUIRED,
    DatabaseMessage,
    DatabaseSignal,
    check_names,
    check_required,
    place,
)
from evtool.protocol.can_signal import ByteOrder, Kind, Signal

_OTHER_READING = re.compile(
    r"(?:(?P<sender>\w+) (?P<message>\w+)\.)?(?P<signal>\w+) "
    r"(?P<start>\d{1,3})\|(?P<length>\d{1,3})@(?P<order>[01])(?P<sign>[+-]) "
    r"\((?P<factor>[0-9.]+),(?P<offset>-?[0-9.]+)\)(?: (?P<unit>\S+))?\Z",
    re.ASCII,
)
_MESSAGE_LINE = re.compile(r"BO_ (\d+) (\w+)\s*:")
_USE_LINE = re.compile(r"\s*(?:BA_|VAL_|SIG_VALTYPE_) (.*)")
_SIGNAL_LINE = re.compile(r"\s*SG_ (\w+)\b")
_AT_LINE = re.compile(r"\bline (\d+)")


def load_can_database(path: Path) -> tuple[DatabaseMessage, ...]:
    """Every message of the DBC file at `path`, in the file's order.

    Raises:
        ConfigError: the file is missing or broken (with its line), signals overlap, or a
            message or signal that the controller needs is not there.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"cannot read CAN database {path}: {error.strerror or error}",
            fix="correct can_database in evtool.toml, or leave it out for evtool's own",
        ) from error
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("cp1252", errors="replace")  # what editors of DBC files write
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
    check_names(messages, name)
    check_required(messages, name, required)
    return tuple(messages)


class _Reader:
    """Turns cantools' values into ours, and every complaint into one with file and line."""

    def __init__(self, text: str, name: str) -> None:
        self.text = text
        self.name = name

    def load(self) -> list[Any]:
        # cantools takes 120 ms, and only codegen needs it
        from cantools.database import load_string  # noqa: PLC0415
        from cantools.database.errors import UnsupportedDatabaseFormatError  # noqa: PLC0415

        self._refuse_twins()
        try:
            database = load_string(self.text, "dbc", strict=True)
        except UnsupportedDatabaseFormatError as error:
            raise self._broken(error.e_dbc or error) from error
        except Exception as error:  # cantools lets KeyError and others through
            raise self._broken(error) from error
        messages: list[Any] = cast(Any, database).messages
        return messages

    def _refuse_twins(self) -> None:
        """Two messages of one name or identifier: cantools drops the first and goes on."""
        seen: dict[str, int] = {}
        for number, line in enumerate(self.text.splitlines(), 1):
            found = _MESSAGE_LINE.match(line)
            for what in found.groups() if found else ():
                if what in seen:
                    raise ConfigError(
                        f"{self.name}:{number}: message {what} is already on line {seen[what]}",
                        fix="for a second meaning of one identifier use OtherReading",
                    )
                seen[what] = number
        if not seen:
            raise ConfigError(f"{self.name}: no message (BO_) in this file; is it a DBC file?")

    def _broken(self, error: Exception) -> ConfigError:
        said = str(error) or type(error).__name__
        if isinstance(error, KeyError | IndexError):
            said = f"{error.args[0]!r} is used but not defined"
        found = _AT_LINE.search(said)
        line = int(found[1]) if found else self._line_named_in(said)
        where = f"{self.name}:{line}" if line else self.name
        return ConfigError(f"{where}: {said}", fix="correct the DBC file; evtool's own is a model")

    def _line_named_in(self, said: str) -> int | None:
        """The last line that begins what `said` is about: a signal, else a message, else a use."""
        words = set(re.findall(r"\w+", said))
        message = signal = use = None
        in_message = False
        for number, line in enumerate(self.text.splitlines(), 1):
            owner = _MESSAGE_LINE.match(line)
            if owner:
                in_message = owner[2] in words
                message = number if in_message else message
            item = _SIGNAL_LINE.match(line)
            if item and in_message and item[1] in words:
                signal = number
            used = _USE_LINE.match(line)
            if used and words & set(re.findall(r"\w+", used[1])):
                use = number
        return signal or message or use

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
            min_length=int(minimum.value) if minimum else source.length,
            period_ms=source.cycle_time or 0,
            sender=source.senders[0] if source.senders else "",
            comment=source.comment or "",
            signals=(),
        )
        if own.length > 8:
            raise ConfigError(
                f"{self.name}: {own.name} has {own.length} bytes; a classic CAN frame holds 8"
            )
        if not 0 <= own.min_length <= own.length:
            raise ConfigError(f"{self.name}: MinLength of {own.name} must be 0 to {own.length}")
        signals: list[DatabaseSignal] = []
        others: list[DatabaseMessage] = []
        for item in source.signals:
            signal = self._signal(own.name, item)
            signals.append(signal)
            reading = item.dbc.attributes.get("OtherReading") if item.dbc else None
            if reading is not None and reading.value:
                other, further = self._other_reading(own, signal, reading.value)
                if other is None:
                    signals.append(further)
                else:
                    others.append(replace(other, signals=(further,)))
        signals.sort(key=place)
        return [replace(own, signals=tuple(signals)), *others]

    def _signal(self, message: str, item: Any) -> DatabaseSignal:
        if item.is_float:
            kind = Kind.FLOAT
        else:
            kind = Kind.SIGNED if item.is_signed else Kind.UNSIGNED
        bits = Signal(
            start_bit=item.start,
            length=item.length,
            byte_order=_order(item.byte_order == "little_endian"),
            kind=kind,
        )
        where = f"{self.name}: {message}.{item.name}"
        if item.is_float and item.length not in (32, 64):
            raise ConfigError(f"{where}: a float has 32 or 64 bits, not {item.length}")
        values = tuple(sorted((int(raw), str(name)) for raw, name in (item.choices or {}).items()))
        start_value = int(item.raw_initial or 0)
        for raw in (start_value, *(raw for raw, _ in values)):
            if not bits.lowest <= raw <= bits.highest:
                raise ConfigError(
                    f"{where}: value {raw} is not in {bits.lowest} to {bits.highest}",
                    fix="correct VAL_ or GenSigStartValue of this signal",
                )
        return DatabaseSignal(
            name=item.name,
            signal=bits,
            factor=item.scale,
            offset=item.offset,
            unit=item.unit or "",
            comment=item.comment or "",
            functions=tuple(item.multiplexer_ids or ()),
            start_value=start_value,
            values=values,
        )

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


def _order(little_endian: bool) -> ByteOrder:
    return ByteOrder.LITTLE_ENDIAN if little_endian else ByteOrder.BIG_ENDIAN
