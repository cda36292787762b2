# SPDX-License-Identifier: GPL-3.0-or-later
"""What the views 1 to 5 show: rows with units, age, alarms, history; data without a screen."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace

from evtool.monitor.alarms import Alarm, Seen, judge_value
from evtool.monitor.follow import Happening, Line, Silence
from evtool.monitor.history import History
from evtool.monitor.quantities import (
    BY_FIELD,
    LABELS,
    QUANTITIES,
    TITLES,
    Quantity,
    format_value,
)
from evtool.monitor.unit_state import UnitState
from evtool.protocol.console import Record
from evtool.reference_impl.controller_types import Config

# After this long the firmware calls a value stale as well (docs/serial-console.md).
STALE_MS = 3000
RECENT_LINES = 200

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
# what people call the views, for `--view`
VIEW_KEYS: dict[str, str] = {
    "bms": "1",
    "module": "2",
    "output": "3",
    "terminal": "4",
    "all": ALL,
    "none": MUTE,
}


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table; `unit` may be empty, an unknown value is `-`.

    Attributes:
        alarm: why the value has a colour; None where it has none.
        quantity: what it is, where it is a number with a history.
    """

    label: str
    value: str
    unit: str = ""
    alarm: Alarm | None = None
    quantity: Quantity | None = field(default=None, compare=False)


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
    """What is known of the board: the latest of each record, what was before, recent lines.

    Args:
        records: the names of the records on view.
        config: the limits of this charge point.

    Attributes:
        recent: the latest lines that are no view's records, oldest first.
        malformed: how many broken records have arrived.
        silent_since_ms: since when nothing arrives; None while something does.
        state: what the board's events say.
        heard_ms: when the board last said anything; None before its first word.
    """

    def __init__(
        self, records: tuple[str, ...] = VIEW_RECORDS[ALL], config: Config | None = None
    ) -> None:
        self.records = records
        self.recent: deque[Line] = deque(maxlen=RECENT_LINES)
        self.malformed = 0
        self.silent_since_ms: int | None = None
        self.state = UnitState()
        self.heard_ms: int | None = None
        self._config = config or Config()
        self._latest: dict[str, tuple[Record, int]] = {}
        self._histories = {name: History() for name in QUANTITIES}

    def observe(self, happening: Happening) -> None:
        """Take in what the follower reports."""
        if isinstance(happening, Silence):
            self.silent_since_ms = happening.at_ms - happening.for_ms
            return
        self.silent_since_ms = None
        self.heard_ms = happening.at_ms
        record = happening.record
        if record is not None and record.name in TITLES:
            self._take(record, happening.at_ms)
            return
        self.malformed += bool(happening.malformed)
        if happening.reset or happening.event == "boot":
            self._latest.clear()  # what the board knew before it started anew is gone
            self.state.forget()
        if record is not None:
            self.state.observe(record)
        if happening.text.strip():
            self.recent.append(happening)

    def press(self, key: str) -> None:
        """Follow the view that `key` chooses; other keys change nothing."""
        if key in VIEW_RECORDS:
            self.records = VIEW_RECORDS[key]

    def sections(self, now_ms: int) -> list[Section]:
        """The chosen view."""
        latest = {name: record for name, (record, _) in self._latest.items()}
        seen = Seen(latest, self.state, self._config)
        return [self._section(name, now_ms, seen) for name in self.records]

    def history(self, quantity: Quantity, count: int, now_ms: int) -> list[int | None]:
        """The values of the last `count` seconds, in the field's own unit; oldest first."""
        return self._histories[quantity.name].last(count, now_ms)

    def _take(self, record: Record, at_ms: int) -> None:
        self._latest[record.name] = (record, at_ms)
        for key, value in record.fields.items():
            quantity = BY_FIELD.get((record.name, key))
            if quantity is not None and not isinstance(value, str):
                self._histories[quantity.name].add(at_ms, value)

    def _section(self, name: str, now_ms: int, seen: Seen) -> Section:
        latest = self._latest.get(name)
        if latest is None:
            return Section(name, TITLES[name], (), None, heard=False, stale=True)
        record, at_ms = latest
        since_ms = max(0, now_ms - at_ms)
        printed_age = record.fields.get("age_ms")
        age_ms = printed_age + since_ms if isinstance(printed_age, int) else None
        stale = since_ms > STALE_MS or age_ms is None or age_ms > STALE_MS
        rows = record_rows(record)
        if not stale:  # what is stale says nothing about now, good or bad
            rows = tuple(
                replace(row, alarm=judge_value(name, key, record.fields[key], seen))
                for row, key in zip(rows, _shown_fields(record), strict=True)
            )
        return Section(name, TITLES[name], rows, age_ms, heard=True, stale=stale)


def record_rows(record: Record) -> tuple[Row, ...]:
    """The fields of `record` but its age, labelled; one of a newer firmware by its own name."""
    labels = LABELS.get(record.name, {})
    return tuple(
        Row(
            labels.get(key, key),
            *format_value(key, record.fields[key]),
            quantity=BY_FIELD.get((record.name, key)),
        )
        for key in _shown_fields(record)
    )


def _shown_fields(record: Record) -> list[str]:
    return [key for key in record.fields if key != "age_ms"]


def format_age(age_ms: int | None) -> str:
    """`0.1 s`, `12 s`, `3 min`; `never` for None."""
    if age_ms is None:
        return "never"
    seconds = age_ms / 1000
    if seconds < 10:
        return f"{seconds:.1f} s"
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
