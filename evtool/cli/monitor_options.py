# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of `evtool monitor` about ports, what is printed, and the log."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

import click

from evtool.cli.options import serial_port_option

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")

_MAX_SECONDS = 10_000_000


def seconds(
    context: click.Context, parameter: click.Parameter, value: float | None
) -> float | None:
    """A click callback: a time above 0."""
    # click's FloatRange lets NaN pass, which is neither below nor above its limits
    if value is not None and not 0 < value <= _MAX_SECONDS:
        raise click.BadParameter(f"{value:g} is not a time above 0 and up to {_MAX_SECONDS} s")
    return value


@dataclass(frozen=True)
class StreamOptions:
    """What the user gave, by the names of the options."""

    serial_port: str
    baudrate: int = 115200
    log_path: Path | None = None
    timestamps: bool = False
    plain: bool = False
    no_reconnect: bool = False


def stream_options(function: F) -> F:
    """All of them, passed on as keywords by the names in `StreamOptions`."""
    return add_options(function, _OPTIONS)


def add_options(function: F, options: Sequence[Callable[[Any], Any]]) -> F:
    """`function` with `options`, in this order in the help."""
    decorated: Any = function
    for option in reversed(options):
        decorated = option(decorated)
    result: F = decorated
    return result


def collect(kind: type[T], values: dict[str, Any]) -> T:
    """Those of click's keywords that `kind`, a dataclass, has, as one value."""
    return kind(**{each.name: values[each.name] for each in fields(kind)})  # type: ignore[arg-type]


_OPTIONS = (
    serial_port_option,
    click.option(
        "--baudrate",
        type=click.IntRange(min=1),
        default=115200,
        show_default=True,
        help="The console's speed.",
    ),
    click.option(
        "--log",
        "log_path",
        type=click.Path(dir_okay=False, path_type=Path),
        help="Add every line, with the time, to this file.",
    ),
    click.option("--timestamps", is_flag=True, help="Begin each printed line with the time."),
    click.option("--plain", is_flag=True, help="Print lines in a terminal too, instead of tables."),
    click.option("--no-reconnect", is_flag=True, help="End with 3 when the port disappears."),
)
