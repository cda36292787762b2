# SPDX-License-Identifier: GPL-3.0-or-later
"""What `evtool monitor` and its replay keep of the records: CSV, JSON lines, a plot."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from evtool.cli.output import narrate

if TYPE_CHECKING:
    from contextlib import ExitStack

    from evtool.cli.monitor_view_options import RecordOptions
    from evtool.monitor.follow import Line
    from evtool.monitor.record_files import RecordWriter, Stamp
    from evtool.monitor.stream import Audience

STDOUT = Path("-")


class Records:
    """Hands what a writer makes of lines to whoever keeps it."""

    def __init__(self, writer: RecordWriter, keep: Callable[[str], None]) -> None:
        self._writer = writer
        self._keep = keep

    def on_lines(self, lines: Sequence[Line]) -> None:
        """Write what these lines say, in one piece."""
        text = self._writer.text(lines)
        if text:
            self._keep(text)


def unix_stamp(line: Line) -> str:
    """When a line came, as ISO 8601 in UTC."""
    from evtool.cli.monitor_lines import timestamp

    return timestamp(line.at_ns // 1_000_000)


def check_outputs(
    view: RecordOptions, *, as_json: bool, others: Mapping[str, Path | None] | None = None
) -> None:
    """Two outputs in one place are none.

    Args:
        others: further files that are read or written, by what the user calls them.

    Raises:
        click.UsageError: naming them.
    """
    if view.jsonl_path == STDOUT and as_json:
        raise click.UsageError("--json prints JSON lines already: leave --jsonl - out")
    given = [
        (name, path.resolve())
        for name, path in (
            ("--csv", view.csv_path),
            ("--jsonl", view.jsonl_path),
            ("--plot", view.plot_path),
            *(others or {}).items(),
        )
        if path is not None and path != STDOUT
    ]
    for index, (name, path) in enumerate(given):
        for other, elsewhere in given[index + 1 :]:
            if path == elsewhere:
                raise click.UsageError(f"{name} and {other} name the same file")


def open_outputs(
    view: RecordOptions,
    audience: Audience,
    stack: ExitStack,
    stamp: Stamp = unix_stamp,
    *,
    dated: bool = True,
    source: str = "",
    note: Callable[[str, str], None] = lambda event, text: narrate(f"evtool: {text}"),
) -> None:
    """Open what the options name, and let it listen; `stack` closes it.

    Args:
        stamp: how the time of a line is written.
        dated: whether `Line.at_ns` is Unix time.
        source: the log's name, for the title of a plot.
        note: takes what a person must know of these files: an event's name, and a line.

    Raises:
        EvtoolError: a file cannot be written, or is another one than it should be.
    """
    from evtool.link.table_file import TableFile
    from evtool.monitor.record_files import HEADER, MAX_NAMES, csv_writer, jsonl_writer

    if view.csv_path is not None:
        file = stack.enter_context(TableFile(view.csv_path, HEADER))
        text = (
            f"{view.csv_path}: the board invents names of values: beside those of its views,"
            f" {MAX_NAMES} are kept, and rows of further ones are left out"
        )
        writer = csv_writer(stamp, lambda: note("left_out", text))
        audience.lines.append(Records(writer, file.append))
    if view.jsonl_path is not None:
        keep = _print
        if view.jsonl_path != STDOUT:
            keep = stack.enter_context(TableFile(view.jsonl_path)).append
        audience.lines.append(Records(jsonl_writer(stamp), keep))
    if view.plot_path is not None:
        from evtool.cli.monitor_plot import PlotFile, check_plot
        from evtool.link.clock import monotonic_ms

        check_plot(view.plot_path)
        plot = PlotFile(view.plot_path, dated=dated, now_ms=monotonic_ms, source=source, note=note)
        audience.telling.append(plot)
        audience.times.append(plot)
        stack.callback(plot.finish)


def _print(text: str) -> None:
    import sys

    from evtool.cli.output import leave_without_reader

    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        leave_without_reader()
