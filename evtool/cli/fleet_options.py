# SPDX-License-Identifier: GPL-3.0-or-later
"""The argument and options that name a fleet; `evtool.cli.fleet_input` opens it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])
_PATH = click.Path(dir_okay=False, path_type=Path)


def serial_range_options(function: F) -> F:
    """`--serial-range` and `--serial-format`, passed on as `serial_range`, `serial_format`."""
    from_range = click.option(
        "--serial-range",
        metavar="NAME",
        help="Draw serial numbers that are not given from this range of the ledger.",
    )
    in_format = click.option(
        "--serial-format",
        metavar="TEXT",
        help="With {number} or {number:06} in it (default: {number}).",
    )
    decorated: F = from_range(in_format(function))
    return decorated


def fleet_options(function: F) -> F:
    """FILE, `--template`, `--delimiter`, `--shared`, `--serial-range` and `--serial-format`, as
    `open_fleet` takes them."""
    decorated: F = click.argument("file", type=_PATH)(_reading_options(function))
    return decorated


def optional_fleet_options(function: F) -> F:
    """The same for a command that also does without a FILE, which is None then."""
    file = click.argument("file", required=False, type=_PATH, metavar="[FILE]")
    decorated: F = file(_reading_options(function))
    return decorated


def _reading_options(function: F) -> F:
    template = click.option(
        "--template",
        "template_path",
        type=_PATH,
        metavar="TOML",
        help="What all units have in common, for a FILE in CSV.",
    )
    delimiter = click.option(
        "--delimiter",
        metavar="CHAR",
        help="What separates the cells: , ; tab or | (default: found out, and said).",
    )
    shared = click.option(
        "--shared",
        multiple=True,
        metavar="COLUMN",
        help="Several units may have the same secret here; as `shared` in the template.",
    )
    decorated: F = template(delimiter(shared(serial_range_options(function))))
    return decorated
