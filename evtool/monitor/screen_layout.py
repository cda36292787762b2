# SPDX-License-Identifier: GPL-3.0-or-later
"""Lays the dashboard out for a terminal of any size: tables, histories, alarms, recent lines.

From top to bottom: who the unit is and how the watch stands; what holds (gate, vehicle,
transaction, CSMS); what is wrong; the tables of the view, two abreast where there is room;
recent lines; the keys, or a question. What does not fit goes in this order: tall histories, blank
lines, raw frames, the ends of the tables (which is said).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from evtool.monitor.alarms import Alarm, Level
from evtool.monitor.history import sparkline
from evtool.monitor.picture import PictureLine, Span, fit, pad, width_of
from evtool.monitor.quantities import NO_VALUE
from evtool.monitor.unit_state import UnitState
from evtool.monitor.views import VIEW_KEYS, VIEW_RECORDS, Dashboard, Row, Section, format_age

KEYS = "1 bms  2 module  3 output  4 terminal  5 all  0 mute  s start  t stop  m menu  q quit"
SHORT_KEYS = "1 bms 2 module 3 output 4 terminal 5 all 0 mute s start t stop m menu q quit"
FEW_KEYS = "1-5 view 0 mute s start t stop q quit"

_GAP = 3
_TWO_ABREAST_FROM = 76
_LABEL = 17
_VALUE = 8
_UNIT = 4
_LEAST_SPARK = 5
_MOST_SPARK = 60
_RANGE_FROM = 62  # columns of a table from which the least and the greatest value are shown
_RANGE = 19
_TALLEST = 2
_FEWEST_RECENT = 4
_AIRY_RECENT = 9  # so many recent lines are worth more than tall histories


@dataclass(frozen=True, slots=True)
class Frame:
    """What a picture is made of besides the dashboard.

    Attributes:
        port: the port's name.
        status: how the watch stands: `connected`, or what is wrong.
        question: what the user is being asked; "" for nothing.
        note: a word of evtool's own, shown in place of the keys; "" for none.
        ascii_only: whether the terminal shows no more than ASCII.
    """

    port: str
    status: str
    question: str = ""
    note: str = ""
    ascii_only: bool = False

    @property
    def ellipsis(self) -> str:
        """What stands for text that was cut off: one column."""
        return "~" if self.ascii_only else "…"


def draw(
    dashboard: Dashboard, frame: Frame, now_ms: int, size: tuple[int, int]
) -> list[list[Span]]:
    """The picture: exactly as many lines as `size` (width, height) has, none of them wider."""
    width, height = size
    sections = dashboard.sections(now_ms)
    head = [_head(dashboard, frame, now_ms, width)]
    strip = _strip(dashboard.state, width)
    if strip and height >= 10:
        head.append(strip)
    alarms = _alarm_line(dashboard.state, sections, frame.ascii_only)
    if alarms and height >= 6:
        head.append(alarms)
    foot = [_foot(frame, width)]
    room = max(0, height - len(head) - len(foot))
    tables = _fitted_tables(dashboard, sections, frame, now_ms, (width, room))
    recent = _recent(dashboard, now_ms, room - len(tables), width, frame)
    blank: list[PictureLine] = [()] * max(0, room - len(tables) - len(recent))
    lines = [*head, *tables, *recent, *blank]
    lines = [*lines[: max(0, height - 1)], *foot][:height]
    fitted = [fit(line, width, frame.ellipsis) for line in lines]
    return (
        [[(_ascii(text), style) for text, style in line] for line in fitted]
        if (frame.ascii_only)
        else fitted
    )


def _ascii(text: str) -> str:
    return text.replace("°C", "C ").encode("ascii", "replace").decode()


def _head(dashboard: Dashboard, frame: Frame, now_ms: int, width: int) -> list[Span]:
    status, style = frame.status, "good" if frame.status == "connected" else "alarm"
    if dashboard.silent_since_ms is not None and status == "connected":
        status = f"silent for {format_age(now_ms - dashboard.silent_since_ms)}"
        style = "alarm"
    dot = "*" if frame.ascii_only else "●"
    line: list[Span] = []
    if dashboard.state.charge_point:
        line += [(dashboard.state.charge_point, "name"), ("  ", "")]
    line += [(frame.port, "name"), ("  ", ""), (f"{dot} {status}", style)]
    if dashboard.malformed:
        line += [("  ", ""), (f"broken lines: {dashboard.malformed}", "warning")]
    view = f"view {_view_name(dashboard.records)}"
    space = width - width_of(line) - len(view)
    return [*line, (" " * max(2, space), ""), (view, "dim")]


def _view_name(records: tuple[str, ...]) -> str:
    for name, key in VIEW_KEYS.items():
        if VIEW_RECORDS[key] == records:
            return "muted" if name == "none" else name
    return ", ".join("module" if name == "power_module" else name for name in records)


def _strip(state: UnitState, width: int) -> list[Span]:
    """What holds, as far as the board has said it since the monitor is there."""
    words: list[tuple[str, str, str]] = []
    if state.gate is not None:
        is_open = state.gate == "open"
        reason = state.gate.replace("_", " ")
        shown = "OPEN" if is_open else "closed" if reason == "closed" else f"closed: {reason}"
        words.append(("gate", shown, "good" if is_open else "value"))
    for name, holds, yes, no, otherwise in (
        ("vehicle", state.plugged, "in", "none", "dim"),
        ("transaction", state.transaction, "running", "none", "dim"),
        ("CSMS", state.connected, "connected", "not connected", "warning"),
        ("energy", state.permitted, "permitted", "not permitted", "dim"),
    ):
        if holds is not None:
            words.append((name, yes if holds else no, "good" if holds else otherwise))
    for gap in ("  ", " "):
        line = _joined(words, gap)
        if width_of(line) <= width:
            return line
    while words and width_of(_joined(words, "  ")) > width:
        words.pop()  # the later ones say the least
    return _joined(words, "  ")


def _joined(words: Sequence[tuple[str, str, str]], gap: str) -> list[Span]:
    line: list[Span] = []
    for name, value, style in words:
        line += [(gap if line else "", ""), (f"{name} ", "dim"), (value, style)]
    return line


def _alarm_line(state: UnitState, sections: Sequence[Section], ascii_only: bool) -> list[Span]:
    """Faults, buses in trouble and values beyond a limit; the worst first."""
    line: list[Span] = []
    if state.crowded:
        line += [(" more faults or buses than a unit can have ", "shout"), (" ", "")]
    for fault in state.faults:
        line += [(f" FAULT {fault.replace('_', ' ')} ", "shout"), (" ", "")]
    for bus in state.buses_in_trouble:
        line += [(f" {bus.replace('_', ' ')} ", "shout"), (" ", "")]
    found = [
        (row.alarm, row.label)
        for section in sections
        for row in section.rows
        if row.alarm is not None and not row.alarm.reason.startswith("fault ")
    ]
    for alarm, label in sorted(found, key=lambda each: -each[0].level):
        style = _style_of(alarm)
        line += [(f"{'!' if ascii_only else '▲'} {label} {alarm.reason}", style), ("  ", "")]
    return line


def _style_of(alarm: Alarm) -> str:
    return "alarm" if alarm.level is Level.ALARM else "warning"


def _end_of(text: str, width: int, ellipsis: str) -> str:
    """A question whose beginning is cut off: at its end stands what may be answered."""
    cut = text
    while cut and width_of([(cut, "")]) > width - (cut != text):
        cut = cut[1:]
    return text if cut == text else ellipsis + cut


def _foot(frame: Frame, width: int) -> list[Span]:
    if frame.question:
        return [(f" {_end_of(frame.question, width - 2, frame.ellipsis)} ", "ask")]
    if frame.note:
        return [(frame.note, "warning")]
    keys = next((keys for keys in (KEYS, SHORT_KEYS) if len(keys) <= width), FEW_KEYS)
    return [(keys, "dim")]


def _fitted_tables(
    dashboard: Dashboard,
    sections: Sequence[Section],
    frame: Frame,
    now_ms: int,
    room: tuple[int, int],
) -> list[PictureLine]:
    """The tables in the most generous form that leaves room for recent lines."""
    width, height = room
    tables: list[PictureLine] = []
    for tall, compact, left in (
        *((tall, False, _AIRY_RECENT) for tall in range(_TALLEST, 1, -1)),
        (1, False, _FEWEST_RECENT),
        (1, True, _FEWEST_RECENT),
    ):
        layout = _Layout(dashboard, frame, now_ms, width, tall, compact)
        tables = layout.tables(sections)
        if len(tables) <= height - left:
            return tables
    fits = max(0, height - _FEWEST_RECENT - 1)
    if len(tables) <= fits:
        return tables
    return [*tables[:fits], [(f"({len(tables) - fits} more lines: choose one view)", "warning")]]


@dataclass(frozen=True, slots=True)
class _Layout:
    """One way to draw the tables."""

    dashboard: Dashboard
    frame: Frame
    now_ms: int
    width: int
    tall: int
    compact: bool

    def tables(self, sections: Sequence[Section]) -> list[PictureLine]:
        """The sections one below the other, or two abreast where there is room."""
        abreast = 2 if self.width >= _TWO_ABREAST_FROM and len(sections) > 1 else 1
        column = (self.width - _GAP * (abreast - 1)) // abreast
        blocks = [list(self._block(section, column)) for section in sections]
        lines: list[PictureLine] = []
        for first in range(0, len(blocks), abreast):
            row = blocks[first : first + abreast]
            if not self.compact:
                lines.append(())
            for index in range(max(map(len, row))):
                line: list[Span] = []
                for block in row:
                    cell = block[index] if index < len(block) else ()
                    line += [*pad(cell, column, self.frame.ellipsis), (" " * _GAP, "")]
                lines.append(line[:-1])
        return lines

    def _block(self, section: Section, width: int) -> Iterator[list[Span]]:
        if not section.heard:
            age, style = "waiting", "warning"
        elif section.stale:
            age, style = f"STALE {format_age(section.age_ms)}", "stale"
        else:
            age, style = f"age {format_age(section.age_ms)}", "dim"
        dashes = max(1, width - len(section.title) - len(age) - 2)
        rule = ("-" if self.frame.ascii_only else "─") * dashes
        yield [(f"{section.title} ", "title"), (rule, "rule"), (f" {age}", style)]
        for row in section.rows:
            if not (self.compact and row.label == "Raw frame"):
                yield from self._rows(row, width, stale=section.stale)

    def _rows(self, row: Row, width: int, *, stale: bool) -> Iterator[list[Span]]:
        """A row, and above it the upper part of its history where that is tall."""
        label = min(_LABEL, max(len(row.label), width - len(row.value) - 1))
        style = "dim" if stale or row.value == NO_VALUE else "value"
        if row.alarm is not None:
            style = _style_of(row.alarm)
        line: list[Span] = [
            (f"{row.label:<{label}} ", style if row.alarm is not None else ""),
            (f"{row.value:>{_VALUE}}", style),
        ]
        if row.unit or row.quantity is not None:
            line.append((f" {row.unit:<{_UNIT - 1}}", "dim"))
        spark_width = width - label - _VALUE - _UNIT - 2
        wide = width >= _RANGE_FROM
        spark_width = min(spark_width - _RANGE * wide, _MOST_SPARK)
        if row.quantity is None or spark_width < _LEAST_SPARK:
            yield line
            return
        values = self.dashboard.history(row.quantity, spark_width, self.now_ms)
        drawn = sparkline(values, rows=self.tall, ascii_only=self.frame.ascii_only)
        left = " " * width_of(line)
        for upper in drawn[:-1]:
            yield [(left, ""), (f" {upper}", "spark")]
        line.append((f" {drawn[-1]}", "spark"))
        known = [value for value in values if value is not None]
        if wide and known:
            low, high = row.quantity.shown(min(known)), row.quantity.shown(max(known))
            span = f"{low} .. {high}" if low != high else low
            line.append((f" {span:>{_RANGE - 1}}", "dim"))
        yield line


def _recent(
    dashboard: Dashboard, now_ms: int, room: int, width: int, frame: Frame
) -> list[PictureLine]:
    """The latest lines that are no table, newest last, with how long ago they came."""
    if room < 2:
        return []
    dashes = ("-" if frame.ascii_only else "─") * max(1, width - len("Recent "))
    title: PictureLine = [("Recent ", "title"), (dashes, "rule")]
    lines = list(dashboard.recent)
    if not lines:
        return [title, [("nothing yet", "dim")]]
    gap: list[PictureLine] = [()] if room > _FEWEST_RECENT + 1 else []
    shown = lines[-(room - 1 - len(gap)) :]
    return [
        *gap,
        title,
        *(
            [
                (f"{format_age(max(0, now_ms - line.at_ms)):>7}  ", "dim"),
                (line.text, _style_of_line(line.text, line.panic, bool(line.malformed))),
            ]
            for line in shown
        ),
    ]


def _style_of_line(text: str, panic: bool, malformed: bool) -> str:
    if panic:
        return "alarm"
    if malformed:
        return "warning"
    if not text.startswith("[event] "):
        return "dim"
    bad = text.startswith("[event] fault ") and text.endswith("state=set")
    return "alarm" if bad else "good" if text == "[event] gate state=open" else ""
