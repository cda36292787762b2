# SPDX-License-Identifier: GPL-3.0-or-later
"""The serial console's lines: bytes in any chunks -> lines -> records with typed values.

A record is one line, `[name] key=value key=value ...`, and an event's first word is what
happened: `[event] gate state=closed reason=not_plugged`. Values come out as integers in the
project's units with the unit in the name (`v=72.00V` becomes `voltage_mv` 72000), words as
text, and `-` (the board does not know) as None. An event has words only: they are names, and
a charge point may well be called 72V. Whatever else the board prints is text; a
line that begins as a record and breaks off, or was mangled on its way, is `Malformed`.

Nothing here raises on what a wire may carry. Fields: docs/serial-console.md.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evtool.protocol.can_frame import Malformed

MAX_LINE_BYTES = 1024
BOOT = "[event] boot "

Value = int | str | None

# unit on the wire: (ending of the field's name, power of ten from the wire's unit to ours)
UNITS: dict[str, tuple[str, int]] = {
    "V": ("mv", 3),
    "mV": ("mv", 0),
    "A": ("ma", 3),
    "mA": ("ma", 0),
    "W": ("mw", 3),
    "kW": ("mw", 6),
    "Wh": ("mwh", 3),
    "kWh": ("mwh", 6),
    "C": ("mdegc", 3),
    "%": ("permille", 1),
    "ms": ("ms", 0),
    "s": ("ms", 3),
}


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number on the wire: its unit ("" for a bare one), the decimals that the firmware
    prints, and the power of ten from the wire's number to ours."""

    unit: str
    decimals: int
    power: int


_VOLTAGE = Quantity("V", 2, 3)
_CURRENT = Quantity("A", 2, 3)
_ENERGY = Quantity("kWh", 3, 6)
_AGE = Quantity("ms", 0, 0)

# record: {key on the wire: (field's name, its number, or None for a word)}
Field = tuple[str, Quantity | None]
FIELDS: dict[str, dict[str, Field]] = {
    "bms": {
        "v": ("voltage_mv", _VOLTAGE),
        "i": ("current_ma", _CURRENT),
        "switch": ("switch", None),
        "mode": ("mode", None),
        "soc": ("soc_permille", Quantity("%", 1, 1)),
        "age": ("age_ms", _AGE),
    },
    "power_module": {
        "state": ("state", None),
        "set_v": ("setpoint_mv", _VOLTAGE),
        "set_i": ("setpoint_ma", _CURRENT),
        "heartbeat": ("heartbeat", None),
        "age": ("age_ms", _AGE),
    },
    "output": {
        "v": ("voltage_mv", _VOLTAGE),
        "i": ("current_ma", _CURRENT),
        "temp": ("temperature_mdegc", Quantity("C", 1, 3)),
        "m79": ("m79", Quantity("", 0, 0)),
        "m83": ("m83_milli", Quantity("", 3, 3)),
        "age": ("age_ms", _AGE),
    },
    "terminal": {
        "v": ("voltage_mv", _VOLTAGE),
        "i": ("current_ma", _CURRENT),
        "p": ("power_mw", Quantity("W", 1, 3)),
        "status": ("status", None),
        "energy": ("energy_mwh", _ENERGY),
        "session": ("session_mwh", _ENERGY),
        "age": ("age_ms", _AGE),
    },
    "event": {},
}

_RECORD = re.compile(r"\[([a-z][a-z0-9_]{0,31})\](?: (.*))?\Z")
_KEY = re.compile(r"[a-z][a-z0-9_]{0,31}\Z")
_NUMBER = re.compile(r"(-?)([0-9]{1,20})(?:\.([0-9]{1,9}))?([A-Za-z%]*)\Z")
# what terminals obey: colours (ESP-IDF's log has them) go, other control characters show
_ESCAPE_SEQUENCE = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def _factor(quantity: Quantity | None) -> int:
    """From the digits of a number, its point left out, to our unit."""
    return 1 if quantity is None else 10 ** (quantity.power - quantity.decimals)


def _usual(name: str, fields: Mapping[str, Field]) -> re.Pattern[str]:
    """A record as today's firmware prints it: every field, in its order, with its decimals.

    A group for each word; for each number one, or two where it has decimals. An unknown value
    leaves the groups of a number empty.
    """
    words = []
    for key, (_, quantity) in fields.items():
        if quantity is None:
            words.append(f"{key}=([!-~]+)")
        else:
            decimals = rf"\.([0-9]{{{quantity.decimals}}})" if quantity.decimals else ""
            words.append(f"{key}=(?:-|(-?[0-9]{{1,12}}){decimals}{quantity.unit})")
    return re.compile(rf"\[{name}\] {' '.join(words)}(?: raw=(.*))?\Z")


# name: the whole line, and its fields, each with what its digits are to be multiplied by
_USUAL = {
    name: (
        _usual(name, fields),
        tuple(
            (field, quantity is None, bool(quantity and quantity.decimals), _factor(quantity))
            for field, quantity in fields.values()
        ),
    )
    for name, fields in FIELDS.items()
    if fields
}


@dataclass(frozen=True, slots=True)
class Record:
    """One record as the board printed it.

    Attributes:
        name: `bms`, `power_module`, `output`, `terminal`, `event`, or one of a newer firmware.
        fields: field name with its unit -> value, in the order of the line.
        kind: for an event, what happened; else "".
    """

    name: str
    fields: Mapping[str, Value]
    kind: str = ""


class LineSplitter:
    """Cuts a stream of bytes into lines of text, the same in every chunking.

    A line longer than `MAX_LINE_BYTES` is delivered once, cut there; its rest is dropped.
    """

    def __init__(self) -> None:
        self._pending = b""
        self._dropping = False

    def feed(self, data: bytes) -> list[str]:
        """The lines that `data` completes, without their line ends."""
        lines = []
        *ended, rest = data.split(b"\n")
        for piece in ended:
            line = self._extend(piece)
            if line is None and not self._dropping:
                # Only where a line really ends is a CR a part of its end.
                line, self._pending = self._pending.removesuffix(b"\r"), b""
            if line is not None:
                lines.append(clean_text(line))
            self._dropping = False
        line = self._extend(rest)
        if line is not None:
            lines.append(clean_text(line))
        return lines

    def finish(self) -> list[str]:
        """The line that the stream broke off in, if it did."""
        line, self._pending = self._pending, b""
        self._dropping = False
        return [clean_text(line)] if line else []

    def _extend(self, piece: bytes) -> bytes | None:
        """Add to the pending line; the cut line when it becomes too long."""
        if self._dropping:
            return None
        self._pending += piece[: MAX_LINE_BYTES + 2]
        # one more for the CR that a line of just the allowed length may end in
        body = self._pending
        if len(body) <= MAX_LINE_BYTES or (len(body) == MAX_LINE_BYTES + 1 and body[-1:] == b"\r"):
            return None
        self._pending = b""
        self._dropping = True
        return body[:MAX_LINE_BYTES]


def clean_text(line: bytes) -> str:
    """A line as text that is safe to show: bytes that are no UTF-8 and control characters
    appear as `\\xNN` (`\\uNNNN`), colour sequences and such are dropped."""
    text = line.decode("utf-8", errors="backslashreplace")
    if text.isascii() and text.isprintable():
        return text
    text = _ESCAPE_SEQUENCE.sub("", text)
    return _CONTROL.sub(_show_control, text)


def _show_control(match: re.Match[str]) -> str:
    code = ord(match[0])
    if match[0] == "\t":
        return " "
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def parse_line(line: str) -> Record | Malformed | None:
    """The record in `line`; None where it is not one, Malformed where it is a broken one."""
    usual = _USUAL.get(line[1 : line.find("]")])
    if usual is not None:
        found = _parse_usual(line, *usual)
        if found is not None:
            return found
    return take_apart(line)


def take_apart(line: str) -> Record | Malformed | None:
    """`parse_line`, word by word."""
    match = _RECORD.match(line)
    if match is None:
        return None
    name, rest = match[1], (match[2] or "").rstrip(" ")
    head, separator, raw = f" {rest}".partition(" raw=")
    words = head.split()
    kind = ""
    if name == "event":
        if not words or not _KEY.match(words[0]):
            return Malformed("an event without a name")
        kind = words.pop(0)
    fields = _parse_words(name, words)
    if isinstance(fields, Malformed):
        # `[wifi] connected` of some library has the brackets of a record and no more of it
        return fields if name in FIELDS else None
    if separator:
        fields["raw"] = None if raw in ("", "-") else raw
    return Record(name, fields, kind)


def _parse_usual(
    line: str, pattern: re.Pattern[str], known: Sequence[tuple[str, bool, bool, int]]
) -> Record | None:
    """A line as it nearly always is; None for any other, which `parse_line` takes apart."""
    match = pattern.match(line)
    if match is None:
        return None
    groups = match.groups()
    at = 0
    fields: dict[str, Value] = {}
    for field, is_word, has_decimals, factor in known:
        text = groups[at]
        at += 1
        if is_word:
            fields[field] = None if text == "-" else text
            continue
        if has_decimals:
            text = None if text is None else text + groups[at]
            at += 1
        fields[field] = None if text is None else int(text) * factor
    raw = groups[at]
    if raw is not None:
        raw = raw.rstrip(" ")
        fields["raw"] = None if raw in ("", "-") else raw
    return Record(line[1 : line.index("]")], fields)


def boot_fields(line: str) -> dict[str, str] | None:
    """The words of a boot line as the board wrote them; None for any other line."""
    if not line.startswith(BOOT):
        return None
    pairs = (word.partition("=") for word in line.removeprefix(BOOT).split())
    return {key: value for key, equals, value in pairs if equals}


def _parse_words(name: str, words: list[str]) -> dict[str, Value] | Malformed:
    known = FIELDS.get(name, {})
    fields: dict[str, Value] = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not equals or not text or not _KEY.match(key):
            return Malformed(f"{word!r} is not key=value")
        field, value = _parse_field(key, text, (key, None) if name == "event" else known.get(key))
        if isinstance(value, Malformed):
            return value
        if field in fields:
            return Malformed(f"{key} comes twice")
        fields[field] = value
    return fields


def _parse_field(key: str, text: str, known: Field | None) -> tuple[str, Value | Malformed]:
    if known is None:
        return _parse_unknown(key, text)
    field, quantity = known
    if text == "-":
        return field, None
    if quantity is None:
        return field, text
    match = _NUMBER.match(text)
    if match is None or match[4] != quantity.unit:
        return field, Malformed(f"{key}={text} is not a number in {quantity.unit or 'no unit'}")
    value = _scale(match, quantity.power)
    return field, Malformed(f"{key}={text} has too many decimals") if value is None else value


def _parse_unknown(key: str, text: str) -> tuple[str, Value]:
    """A field of a newer firmware: a number where it has a unit that we know, else text."""
    if text == "-":
        return key, None
    match = _NUMBER.match(text)
    if match is not None and match[4] in UNITS:
        ending, power = UNITS[match[4]]
        value = _scale(match, power)
        if value is not None:
            return f"{key}_{ending}", value
    return key, text


def _scale(number: re.Match[str], power: int) -> int | None:
    """The number times 10**power, or None where that is not whole."""
    sign, whole, decimals = number[1], number[2], number[3] or ""
    kept, lost = decimals[:power], decimals[power:]
    if lost.strip("0"):
        return None
    value = int(whole + kept.ljust(power, "0"))
    return -value if sign else value


def render_record(record: Record) -> str:
    """The line that the firmware prints for `record`; `parse_line` reads it back.

    Numbers are rounded half away from zero to the decimals of their field.

    Raises:
        ValueError: a value that such a line cannot carry.
    """
    names = {field: (key, number) for key, (field, number) in FIELDS.get(record.name, {}).items()}
    words = [f"[{record.name}]"]
    if record.kind:
        words.append(record.kind)
    for field, value in record.fields.items():
        key, quantity = names.get(field, (field, None))
        if field != "raw":
            words.append(f"{key}={_render_value(field, value, quantity)}")
    if "raw" in record.fields:
        raw = record.fields["raw"]
        words.append(f"raw={'-' if raw is None else raw}")
    return " ".join(words)


def _render_value(field: str, value: Value, quantity: Quantity | None) -> str:
    if value is None:
        return "-"
    if isinstance(value, int):
        return str(value) if quantity is None else format_quantity(value, quantity)
    if quantity is not None or not value or set(value) & set(" \r\n") or value == "-":
        raise ValueError(f"{field}={value!r}")
    return value


def format_quantity(value: int, quantity: Quantity) -> str:
    """`value` with its unit and decimals, rounded half away from zero: 72000 -> `72.00V`."""
    drop = 10 ** max(0, quantity.power - quantity.decimals)
    shown = (abs(value) * 10 ** max(0, quantity.decimals - quantity.power) + drop // 2) // drop
    digits = str(shown).rjust(quantity.decimals + 1, "0")
    if quantity.decimals:
        digits = f"{digits[: -quantity.decimals]}.{digits[-quantity.decimals :]}"
    return ("-" if value < 0 and shown else "") + digits + quantity.unit
