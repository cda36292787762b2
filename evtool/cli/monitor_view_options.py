# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of `evtool monitor` about views, and what is kept of the records."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import click

from evtool.cli.monitor_options import F, add_options

# as the keys of evtool.monitor.views, which the help of a command need not import
_VIEW_KEYS = {"bms": "1", "module": "2", "output": "3", "terminal": "4", "all": "5", "none": "0"}


@dataclass(frozen=True)
class RecordOptions:
    """What is shown and kept of records, by the names of the options; views as the board's keys."""

    views: tuple[str, ...] = ()
    csv_path: Path | None = None
    jsonl_path: Path | None = None
    plot_path: Path | None = None


@dataclass(frozen=True)
class ViewOptions(RecordOptions):
    """Those, and how a live unit is treated."""

    yes: bool = False


@dataclass(frozen=True)
class ReplayOptions(RecordOptions):
    """Those, and how a log is played."""

    speed: float | None = None
    port: str | None = None
    timestamps: bool = False
    plain: bool = False


def view_options(function: F) -> F:
    """All of them, passed on as keywords by the names in `ViewOptions`."""
    return add_options(function, (*_VIEWS, _YES, *_OUTPUTS))


def shown_options(function: F) -> F:
    """Those of a log that is replayed: no board is there that could be asked anything."""
    return add_options(function, (*_VIEWS, *_OUTPUTS))


def _view_keys(
    context: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> tuple[str, ...]:
    return tuple(_VIEW_KEYS.get(value, value) for value in values)


def _picture(context: click.Context, parameter: click.Parameter, value: Path | None) -> Path | None:
    if value is not None and value.suffix.lower() not in (".html", ".png"):
        raise click.BadParameter(f"{value}: a plot is FILE.html or FILE.png")
    return value


def _table(context: click.Context, parameter: click.Parameter, value: Path | None) -> Path | None:
    if value == Path("-"):
        raise click.BadParameter("a table is a FILE; --jsonl - prints records on stdout")
    return value


_VIEWS = (
    click.option(
        "--view",
        "views",
        multiple=True,
        type=click.Choice([*_VIEW_KEYS, *sorted(_VIEW_KEYS.values())]),
        callback=_view_keys,
        metavar="VIEW",
        help="bms, module, output, terminal, all (the default) or none, or their keys 1 to 5 "
        "and 0; give it twice to see two.",
    ),
)
_YES = click.option("--yes", is_flag=True, help="Do not ask before a typed s or t reaches a board.")
_OUTPUTS = (
    click.option(
        "--csv",
        "csv_path",
        type=click.Path(dir_okay=False, path_type=Path),
        callback=_table,
        metavar="FILE",
        help="Add every value of every record to this file, one a row.",
    ),
    click.option(
        "--jsonl",
        "jsonl_path",
        type=click.Path(dir_okay=False, path_type=Path, allow_dash=True),
        metavar="FILE",
        help="Add every record and event to this file as JSON lines; - is stdout.",
    ),
    click.option(
        "--plot",
        "plot_path",
        type=click.Path(dir_okay=False, path_type=Path),
        callback=_picture,
        metavar="FILE",
        help="Draw the values over time: FILE.html, or FILE.png.",
    ),
)
