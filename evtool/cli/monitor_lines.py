# SPDX-License-Identifier: GPL-3.0-or-later
"""What `evtool monitor` prints where there is no screen: lines of text, or lines of JSON."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import click

from evtool.cli.output import Output
from evtool.monitor.follow import Happening, Line, Silence


def timestamp(unix_ms: int) -> str:
    """ISO 8601 in UTC with milliseconds, such as `2001-02-03T04:05:06.789Z`."""
    moment = datetime.fromtimestamp(unix_ms // 1000, UTC).replace(microsecond=0)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{unix_ms % 1000:03d}Z"


class Silent:
    """Nothing of the board; the watch's own words on stderr. For a stdout that has other work."""

    def show(self, happening: Happening) -> None:
        """Somebody else prints it."""
        if isinstance(happening, Silence):
            click.echo(f"evtool: nothing has come for {happening.for_ms / 1000:.0f} s", err=True)

    def note(self, event: str, text: str) -> None:
        """Narrate; the opening of a port is no news."""
        if event != "connected":
            click.echo(f"evtool: {text}", err=True)

    def press(self, key: str) -> None:
        """The board's answer shows that a key was pressed."""

    def refresh(self, now_ms: int) -> None:
        """Lines do not age."""


class TextLines(Silent):
    """The board's lines on stdout as they come; the watch's own words on stderr."""

    def __init__(self, unix_ms: Callable[[], int], *, timestamps: bool) -> None:
        self._unix_ms = unix_ms
        self._timestamps = timestamps

    def show(self, happening: Happening) -> None:
        """Print a line."""
        if isinstance(happening, Silence):
            super().show(happening)
            return
        prefix = f"{timestamp(self._unix_ms())} " if self._timestamps else ""
        click.echo(prefix + happening.text)


class JsonLines:
    """One JSON object a line for everything that happens; documented in docs/monitor.md."""

    def __init__(self, output: Output, unix_ms: Callable[[], int], serial_port: str) -> None:
        self._output = output
        self._unix_ms = unix_ms
        self._serial_port = serial_port

    def show(self, happening: Happening) -> None:
        """Print a happening."""
        if isinstance(happening, Silence):
            self._print("silence", for_ms=happening.for_ms)
        elif happening.record is not None:
            self._show_record(happening)
        elif happening.malformed:
            self._print("malformed", text=happening.text, reason=happening.malformed)
        elif happening.panic:
            self._print("panic", text=happening.text)
        elif happening.reset:
            self._print("reset", reason=happening.reset, text=happening.text)
        else:
            self._print("text", text=happening.text)

    def note(self, event: str, text: str) -> None:
        """Print how the watch stands."""
        self._print(event, serial_port=self._serial_port, text=text)

    def press(self, key: str) -> None:
        """The board's answer shows that a key was pressed."""

    def refresh(self, now_ms: int) -> None:
        """Lines do not age."""

    def _show_record(self, line: Line) -> None:
        record = line.record
        if record is None:
            return
        if record.name == "event":
            self._print("board_event", name=record.kind, fields=dict(record.fields))
        else:
            self._print("record", name=record.name, fields=dict(record.fields))

    def _print(self, event: str, **fields: object) -> None:
        self._output.event(event, time=timestamp(self._unix_ms()), **fields)
