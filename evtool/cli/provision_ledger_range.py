# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool provision ledger range`: numbers that several stations draw from one pool."""

from __future__ import annotations

from pathlib import Path

import click

from evtool.cli.ledger_option import existing_ledger, ledger_option, opened_ledger
from evtool.cli.options import found_project, project_option
from evtool.cli.output import EXIT_CODES, Output, json_option


@click.command("range", epilog=EXIT_CODES)
@click.argument("name", required=False)
@click.argument("first", type=click.IntRange(0), required=False)
@click.argument("last", type=click.IntRange(0), required=False)
@project_option
@ledger_option
@json_option
def command(
    name: str | None,
    first: int | None,
    last: int | None,
    project_path: Path | None,
    ledger_location: str | None,
    as_json: bool,
) -> None:
    """Define the range NAME of serial numbers, FIRST to LAST; or, without them, list all.

    Each number is given out once, in order. A station that works offline needs a range of its
    own: two that draw from one apart give the same numbers out.
    """
    output = Output(as_json)
    if name is not None and (first is None or last is None):
        raise click.UsageError("a range has a NAME, its FIRST and its LAST number")
    project = found_project(project_path)
    if name is not None and first is not None and last is not None:
        with opened_ledger(ledger_location, project) as opened:
            with opened.change() as change:
                change.add_range(name, first, last)
            found = opened.ranges()
    else:
        with existing_ledger(ledger_location, project) as ledger:
            found = [] if ledger is None else ledger.ranges()
    if not found:
        output.say("no ranges are defined")
    for each in found:
        left = each.last - each.next + 1
        output.result(
            f"{each.name}: {each.first} to {each.last}, "
            + (f"next {each.next}, {left:,} left" if left else "used up"),
            {"name": each.name, "first": each.first, "last": each.last, "left": left},
        )
