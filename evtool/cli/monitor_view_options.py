# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of `evtool monitor` about views, and what is kept of the records."""

from __future__ import annotations

from dataclasses import dataclass

import click

from evtool.cli.monitor_options import F, add_options


@dataclass(frozen=True)
class ViewOptions:
    """What the user gave, by the names of the options."""

    views: tuple[str, ...] = ()


def view_options(function: F) -> F:
    """All of them, passed on as keywords by the names in `ViewOptions`."""
    return add_options(function, _OPTIONS)


_OPTIONS = (
    click.option(
        "--view",
        "views",
        multiple=True,
        type=click.Choice(["1", "2", "3", "4", "5", "0"]),
        help="1 bms, 2 power module, 3 output, 4 terminal, 5 all (the default), 0 none; "
        "give it twice to see two.",
    ),
)
