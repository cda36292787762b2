# SPDX-License-Identifier: GPL-3.0-or-later
"""Records and events as rows of CSV and as JSON lines. Text comes out; nothing is opened.

CSV is in long form, a row a value: its columns stay the same whatever fields a newer firmware
adds, and one file holds all records. A pivot table or pandas makes a column of each quantity.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Sequence

from evtool.monitor.device_clock import NONE, DeviceClock
from evtool.monitor.follow import Line
from evtool.protocol.console import FIELDS, Field, Record, Value, format_quantity

COLUMNS = ("host_time", "device_ms", "device_clock", "port", "quantity", "value", "unit")
HEADER = ",".join(COLUMNS) + "\n"

# record: {field's name: (key on the wire, its number)}
_KEYS: dict[str, dict[str, Field]] = {
    record: {field: (key, number) for key, (field, number) in fields.items()}
    for record, fields in FIELDS.items()
}
_KNOWN_NAMES = frozenset(f"{record}.{key}" for record, fields in FIELDS.items() for key in fields)
# a spreadsheet takes what begins so for a formula
_FORMULA = ("=", "+", "-", "@", "\t", "\r")

MAX_NAMES = 1000
"""So many names of values a file of CSV holds beside those that evtool knows: a broken or a hostile
board may invent names without end, and whoever makes a table of the file gets a column for each."""

Stamp = Callable[[Line], str]
"""The time of a line as it is written: ISO 8601 in UTC, or seconds for a log without a date."""


class RecordWriter:
    """What lines add to a file. One for each port: each board has its own clock.

    Args:
        stamp: how the host's time of a line is written.
        render: what a record becomes.
    """

    def __init__(
        self, stamp: Stamp, render: Callable[[Line, Record, str, DeviceClock], str]
    ) -> None:
        self._stamp = stamp
        self._render = render
        self._clocks: dict[str, DeviceClock] = {}

    def text(self, lines: Sequence[Line]) -> str:
        """Whole lines for the file; "" where there is nothing for it."""
        parts = []
        for line in lines:
            clock = self._clocks.get(line.port)
            if clock is None:
                clock = self._clocks[line.port] = DeviceClock()
            clock.observe(line, line.at_ms)
            if line.record is not None:
                parts.append(self._render(line, line.record, self._stamp(line), clock))
        return "".join(parts)


def csv_writer(stamp: Stamp, crowded: Callable[[], None] = lambda: None) -> RecordWriter:
    """Rows of `COLUMNS`; `HEADER` stands above them.

    Args:
        crowded: told once that there are more than `MAX_NAMES` names; the further ones get no row.
    """
    return RecordWriter(stamp, _CsvRows(crowded).render)


def jsonl_writer(stamp: Stamp) -> RecordWriter:
    """The objects `record` and `board_event` of `--json`, with port and the board's time."""
    return RecordWriter(stamp, _json_line)


class _CsvRows:
    """The rows of one file."""

    def __init__(self, crowded: Callable[[], None]) -> None:
        self._crowded = crowded
        self._names: set[str] = set()
        self._is_crowded = False

    def render(self, line: Line, record: Record, stamp: str, clock: DeviceClock) -> str:
        """A row for each value of `record`."""
        known = clock.source != NONE
        device_ms = str(clock.at(line.at_ms)) if known else ""
        stream = io.StringIO()
        rows = csv.writer(stream, lineterminator="\n")
        for quantity, value, unit in _values(record):
            if quantity in _KNOWN_NAMES or self._has_room(quantity):
                rows.writerow((stamp, device_ms, clock.source, line.port, quantity, value, unit))
        return stream.getvalue()

    def _has_room(self, name: str) -> bool:
        if name in self._names:
            return True
        if len(self._names) < MAX_NAMES:
            self._names.add(name)
            return True
        if not self._is_crowded:
            self._is_crowded = True
            self._crowded()
        return False


def _values(record: Record) -> Iterator[tuple[str, str, str]]:
    """Name, value and unit of each field, in the unit and the decimals of the board's line."""
    keys = _KEYS.get(record.name, {})
    prefix = f"event.{record.kind}" if record.kind else record.name
    if record.kind and not record.fields:
        yield prefix, "", ""
    for field, value in record.fields.items():
        key, number = keys.get(field, (field, None))
        if isinstance(value, int) and number is not None:
            shown = format_quantity(value, number)
            cut = len(shown) - len(number.unit)
            yield f"{prefix}.{key}", shown[:cut], shown[cut:]
        else:
            yield f"{prefix}.{key}", _word(value), ""


def _word(value: Value) -> str:
    if value is None:
        return ""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else str(value)


def _json_line(line: Line, record: Record, stamp: str, clock: DeviceClock) -> str:
    event = record.name == "event"
    document = {
        "event": "board_event" if event else "record",
        "time": stamp,
        "device_ms": clock.at(line.at_ms) if clock.source != NONE else None,
        "device_clock": clock.source,
        "port": line.port,
        "name": record.kind if event else record.name,
        "fields": dict(record.fields),
    }
    return json.dumps(document) + "\n"
