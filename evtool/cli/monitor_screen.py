# SPDX-License-Identifier: GPL-3.0-or-later
"""The live screen of `evtool monitor`: the chosen view as tables, recent lines below."""

from __future__ import annotations

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from evtool.monitor.follow import Happening, Line
from evtool.monitor.views import (
    ALL,
    NO_VALUE,
    VIEW_RECORDS,
    Dashboard,
    Row,
    Section,
    format_age,
)

REDRAW_MS = 200
KEYS = "1 bms 2 module 3 output 4 terminal 5 all 0 mute s start t stop m menu q quit"
FEW_KEYS = "1-5 view 0 mute s start t stop q quit"
_GAP = 3
_TWO_COLUMNS_FROM = 78
_LABEL_WIDTH = 19
_VALUE_WIDTH = 9
_FEWEST_RECENT = 3


class Screen:
    """Fills the terminal from the port's opening on; leaving it gives the terminal back."""

    def __init__(self, console: Console, port_name: str, records: tuple[str, ...]) -> None:
        self._console = console
        self._port_name = port_name
        self._dashboard = Dashboard(records)
        self._status = "opening"
        self._drawn_ms: int | None = None
        self._live = Live(
            console=console,
            screen=True,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def __enter__(self) -> Screen:
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, happening: Happening) -> None:
        """Take in what the board said."""
        self._dashboard.observe(happening)

    def note(self, event: str, text: str) -> None:
        """Say how the watch stands, in the first line."""
        short = {"connected": "connected", "disconnected": "port gone, waiting for it"}
        self._status = short.get(event, text)
        self._live.start()

    def press(self, key: str) -> None:
        """Change the view."""
        self._dashboard.press(key)
        self._drawn_ms = None

    def refresh(self, now_ms: int) -> None:
        """Draw, if the last picture is old enough."""
        if self._drawn_ms is not None and now_ms - self._drawn_ms < REDRAW_MS:
            return
        self._drawn_ms = now_ms
        width, height = self._console.size
        lines = draw(self._dashboard, self._port_name, self._status, now_ms, (width, height))
        self._live.update(Group(*lines), refresh=True)


def draw(
    dashboard: Dashboard, port_name: str, status: str, now_ms: int, size: tuple[int, int]
) -> list[Text]:
    """The picture, as at most `size` (width, height) of text.

    Where the terminal is too low for the tables, raw frames go first, then the tables' ends;
    the first line, the last and a few recent lines stay.
    """
    width, height = size
    if dashboard.silent_since_ms is not None and status == "connected":
        status = f"silent for {format_age(now_ms - dashboard.silent_since_ms)}"
    head = Text(f"{port_name}  {_view_name(dashboard.records)}  ", style="bold")
    head.append(status, style="green" if status == "connected" else "bold red")
    if dashboard.malformed:
        head.append(f"  broken lines: {dashboard.malformed}", style="yellow")
    foot = Text(KEYS if width >= len(KEYS) else FEW_KEYS, style="dim")
    room = max(0, height - 2)
    tables = _tables(dashboard.sections(now_ms), width, compact=False)
    if len(tables) > room - _FEWEST_RECENT:
        tables = _tables(dashboard.sections(now_ms), width, compact=True)
    if len(tables) > room - _FEWEST_RECENT:
        fits = max(0, room - _FEWEST_RECENT - 1)
        left_out = Text(f"({len(tables) - fits} more lines: choose one view)", style="yellow")
        tables = [*tables[:fits], left_out]
    elif not tables or len(tables) < room - 2 * _FEWEST_RECENT:
        tables.append(Text())
    recent = _recent(dashboard, now_ms, room - len(tables))
    blank = [Text()] * max(0, room - len(tables) - len(recent))
    lines = [head, *tables, *recent, *blank, foot][:height]
    for line in lines:
        line.no_wrap = True
        line.truncate(width, overflow="ellipsis")
    return lines


def _view_name(records: tuple[str, ...]) -> str:
    if records == VIEW_RECORDS[ALL]:
        return "all"
    return ", ".join(records) if records else "muted"


def _tables(sections: list[Section], width: int, *, compact: bool) -> list[Text]:
    """The sections one below the other, or two abreast where there is room."""
    abreast = 2 if width >= _TWO_COLUMNS_FROM and len(sections) > 1 else 1
    column = (width - _GAP * (abreast - 1)) // abreast
    blocks = [_table(section, column, compact=compact) for section in sections]
    lines: list[Text] = []
    for first in range(0, len(blocks), abreast):
        row = blocks[first : first + abreast]
        if not compact:
            lines.append(Text())
        for index in range(max(map(len, row))):
            line = Text()
            for block in row:
                cell = block[index].copy() if index < len(block) else Text()
                cell.truncate(column, overflow="ellipsis", pad=True)
                line.append_text(cell).append(" " * _GAP)
            line.rstrip()
            lines.append(line)
    return lines


def _table(section: Section, width: int, *, compact: bool) -> list[Text]:
    title = Text(section.title, style="bold cyan")
    if not section.heard:
        age = Text("waiting", style="yellow")
    elif section.stale:
        age = Text(f"STALE {format_age(section.age_ms)}", style="bold yellow")
    else:
        age = Text(f"age {format_age(section.age_ms)}", style="dim")
    space = max(1, min(width, 48) - title.cell_len - age.cell_len)
    title.append(" " * space).append_text(age)
    rows = [
        _row(row, width, stale=section.stale)
        for row in section.rows
        if not (compact and row.label == "Raw frame")
    ]
    return [title, *rows]


def _row(row: Row, width: int, *, stale: bool) -> Text:
    unknown = row.value == NO_VALUE
    label_width = min(_LABEL_WIDTH, max(len(row.label), width - len(row.value) - 1))
    line = Text(f"{row.label:<{label_width}} ")
    line.append(f"{row.value:>{_VALUE_WIDTH}}", style="dim" if stale or unknown else "bold")
    return line.append(f" {row.unit}" if row.unit else "", style="dim")


def _recent(dashboard: Dashboard, now_ms: int, room: int) -> list[Text]:
    """The latest lines that are no table, newest last, with how long ago they came."""
    if room < 2:
        return []
    title = Text("Recent", style="bold cyan")
    if not dashboard.recent:
        return [title.append("  nothing yet", style="dim")]
    lines = list(dashboard.recent)[-(room - 1) :]
    return [title, *(_recent_line(line, now_ms) for line in lines)]


def _recent_line(line: Line, now_ms: int) -> Text:
    text = Text(f"{format_age(max(0, now_ms - line.at_ms)):>7}  ", style="dim")
    style = "bold red" if line.panic else "yellow" if line.malformed else ""
    return text.append(line.text, style=style or "default")
