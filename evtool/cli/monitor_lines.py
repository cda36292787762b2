# SPDX-License-Identifier: GPL-3.0-or-later
"""What `evtool monitor` prints where there is no screen: lines of text, or lines of JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import click

from evtool.cli.output import Output, narrate
from evtool.monitor.follow import Happening, Line, Silence
from evtool.monitor.on_view import OnView
from evtool.monitor.stream import News


def timestamp(unix_ms: int) -> str:
    """ISO 8601 in UTC with milliseconds, such as `2001-02-03T04:05:06.789Z`."""
    moment = datetime.fromtimestamp(unix_ms // 1000, UTC).replace(microsecond=0)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{unix_ms % 1000:03d}Z"


class Silent:
    """Nothing of the board; the watch's own words on stderr. For a stdout that has other work."""

    def show(self, happening: Happening) -> None:
        """Somebody else prints it."""
        if isinstance(happening, Silence):
            narrate(f"evtool: nothing has come for {happening.for_ms / 1000:.0f} s")

    def note(self, event: str, text: str) -> None:
        """Narrate; the opening of a port is no news."""
        if event != "connected":
            narrate(f"evtool: {text}")

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
        else:
            event, fields = line_fields(happening)
            self._print(event, **fields)

    def note(self, event: str, text: str) -> None:
        """Print how the watch stands."""
        self._print(event, serial_port=self._serial_port, text=text)

    def press(self, key: str) -> None:
        """The board's answer shows that a key was pressed."""

    def refresh(self, now_ms: int) -> None:
        """Lines do not age."""

    def _print(self, event: str, **fields: object) -> None:
        self._output.event(event, time=timestamp(self._unix_ms()), **fields)


def line_fields(line: Line) -> tuple[str, dict[str, object]]:
    """What a line is as a JSON object: its `event`, and the fields behind it."""
    record = line.record
    if record is not None:
        if record.name == "event":
            return "board_event", {"name": record.kind, "fields": dict(record.fields)}
        return "record", {"name": record.name, "fields": dict(record.fields)}
    if line.malformed:
        return "malformed", {"text": line.text, "reason": line.malformed}
    if line.panic:
        return "panic", {"text": line.text}
    if line.reset:
        return "reset", {"reason": line.reset, "text": line.text}
    return "text", {"text": line.text}


class LiveJsonLines:
    """The same for a live watch: the objects of all lines that came together in one write.

    Args:
        write: takes whole lines.
        view: the records that are printed.
        several: whether each object says which port it is of.
    """

    def __init__(self, write: Callable[[bytes], None], view: OnView, *, several: bool) -> None:
        self._write = write
        self._view = view
        self._several = several

    def on_lines(self, lines: Sequence[Line]) -> None:
        """Print them."""
        documents = []
        for line in filter(self._view.shows, lines):
            event, fields = line_fields(line)
            documents.append(self._document(event, line.at_ns, line.port, fields))
        if documents:
            self._write("".join(documents).encode())

    def on_news(self, news: News) -> None:
        """Print how the watch stands."""
        if news.event == "silence":
            fields: dict[str, object] = {"for_ms": news.for_ms}
        else:
            fields = {"serial_port": news.port, "text": news.text}
        self._write(self._document(news.event, news.at_ns, news.port, fields).encode())

    def _document(self, event: str, at_ns: int, port: str, fields: dict[str, object]) -> str:
        head: dict[str, object] = {"event": event, "time": timestamp(at_ns // 1_000_000)}
        if self._several:
            head["serial_port"] = port
        # Escaped to ASCII: the same bytes in every locale.
        return json.dumps(head | fields) + "\n"
