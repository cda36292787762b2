# SPDX-License-Identifier: GPL-3.0-or-later
"""What the views 1 to 5 show: rows of text with units and age, as data without a screen."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from evtool.monitor.follow import Happening, Line, Silence
from evtool.protocol.console import Record, Value

# After this long the firmware calls a value stale as well (docs/serial-console.md).
STALE_MS = 3000
RECENT_LINES = 50
NO_VALUE = "-"

MUTE = "0"
ALL = "5"
# key: the records that the view is made of
VIEW_RECORDS: dict[str, tuple[str, ...]] = {
    MUTE: (),
    "1": ("bms",),
    "2": ("power_module",),
    "3": ("output",),
    "4": ("terminal",),
    ALL: ("bms", "power_module", "output", "terminal"),
}

TITLES: dict[str, str] = {
    "bms": "Vehicle (BMS)",
    "power_module": "Power module",
    "output": "Output and temperature",
    "terminal": "Terminal and energy",
}

_LABELS: dict[str, dict[str, str]] = {
    "bms": {
        "voltage_mv": "Requested voltage",
        "current_ma": "Requested current",
        "switch": "Vehicle's switch",
        "mode": "Mode",
        "soc_permille": "State of charge",
        "raw": "Raw frame",
    },
    "power_module": {
        "state": "State",
        "setpoint_mv": "Voltage setpoint",
        "setpoint_ma": "Current setpoint",
        "heartbeat": "Heartbeat",
        "raw": "Raw frame",
    },
    "output": {
        "voltage_mv": "Output voltage",
        "current_ma": "Output current",
        "temperature_mdegc": "Temperature",
        "m79": "Metric 0x79",
        "m83_milli": "Metric 0x83",
    },
    "terminal": {
        "voltage_mv": "Terminal voltage",
        "current_ma": "Terminal current",
        "power_mw": "Power",
        "status": "Status",
        "energy_mwh": "Energy register",
        "session_mwh": "Session energy",
    },
}

# ending of a field's name: (divisor, decimals, unit to show)
_SHOWN: dict[str, tuple[int, int, str]] = {
    "mv": (1000, 2, "V"),
    "ma": (1000, 2, "A"),
    "mw": (1_000_000, 3, "kW"),
    "mwh": (1_000_000, 3, "kWh"),
    "mdegc": (1000, 1, "°C"),
    "permille": (10, 1, "%"),
    "ms": (1, 0, "ms"),
    "milli": (1000, 3, ""),
}


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table; `unit` may be empty, an unknown value is `-`."""

    label: str
    value: str
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """One record as a table.

    Attributes:
        name: the record's name.
        title: what people call it.
        rows: its fields, in the firmware's order; empty until the first record.
        age_ms: how old the values are: the board's own figure, plus the time since then. None
            where the board has never heard the other side, or nothing has arrived.
        heard: whether such a record has arrived at all.
        stale: whether the values say nothing about now.
    """

    name: str
    title: str
    rows: tuple[Row, ...]
    age_ms: int | None
    heard: bool
    stale: bool


class Dashboard:
    """What is known of the board: the latest of each record, and recent lines.

    Attributes:
        records: the names of the records on view.
        recent: the latest lines that are no view's records, oldest first.
        malformed: how many broken records have arrived.
        silent_since_ms: since when nothing arrives; None while something does.
    """

    def __init__(self, records: tuple[str, ...] = VIEW_RECORDS[ALL]) -> None:
        self.records = records
        self.recent: deque[Line] = deque(maxlen=RECENT_LINES)
        self.malformed = 0
        self.silent_since_ms: int | None = None
        self._latest: dict[str, tuple[Record, int]] = {}

    def observe(self, happening: Happening) -> None:
        """Take in what the follower reports."""
        if isinstance(happening, Silence):
            self.silent_since_ms = happening.at_ms - happening.for_ms
            return
        self.silent_since_ms = None
        record = happening.record
        if record is not None and record.name in TITLES:
            self._latest[record.name] = (record, happening.at_ms)
            return
        self.malformed += bool(happening.malformed)
        if happening.reset or happening.event == "boot":
            self._latest.clear()  # what the board knew before it started anew is gone
        if happening.text.strip():
            self.recent.append(happening)

    def press(self, key: str) -> None:
        """Follow the view that `key` chooses; other keys change nothing."""
        if key in VIEW_RECORDS:
            self.records = VIEW_RECORDS[key]

    def sections(self, now_ms: int) -> list[Section]:
        """The chosen view."""
        return [self._section(name, now_ms) for name in self.records]

    def _section(self, name: str, now_ms: int) -> Section:
        latest = self._latest.get(name)
        if latest is None:
            return Section(name, TITLES[name], (), None, heard=False, stale=True)
        record, at_ms = latest
        since_ms = max(0, now_ms - at_ms)
        printed_age = record.fields.get("age_ms")
        age_ms = printed_age + since_ms if isinstance(printed_age, int) else None
        stale = since_ms > STALE_MS or age_ms is None or age_ms > STALE_MS
        return Section(name, TITLES[name], record_rows(record), age_ms, heard=True, stale=stale)


def record_rows(record: Record) -> tuple[Row, ...]:
    """The fields of `record` but its age, labelled; one of a newer firmware by its own name."""
    labels = _LABELS.get(record.name, {})
    return tuple(
        Row(labels.get(field, field), *format_value(field, value))
        for field, value in record.fields.items()
        if field != "age_ms"
    )


def format_value(field: str, value: Value) -> tuple[str, str]:
    """A value and its unit as people read them: (`72.00`, `V`)."""
    if value is None:
        return NO_VALUE, ""
    shown = _SHOWN.get(field.rpartition("_")[2])
    if isinstance(value, str) or shown is None:
        return str(value).replace("_", " ") if field != "raw" else str(value), ""
    divisor, decimals, unit = shown
    return f"{value / divisor:.{decimals}f}", unit


def format_age(age_ms: int | None) -> str:
    """`0.1 s`, `12 s`, `3 min`; `never` for None."""
    if age_ms is None:
        return "never"
    seconds = age_ms / 1000
    if seconds < 10:
        return f"{seconds:.1f} s"
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
