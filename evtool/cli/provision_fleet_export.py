# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool provision fleet export`: the units of the ledger as CSV or JSON; no secret is in it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from evtool.cli.fleet_rows import Look, fleet_view_options
from evtool.cli.output import EXIT_CODES, Output, json_option

if TYPE_CHECKING:
    from evtool.provision.report.rows import UnitRow


@click.command("export", epilog=EXIT_CODES)
@fleet_view_options
@click.option(
    "--format",
    "form",
    type=click.Choice(["csv", "json"]),
    help="Default: as --out ends, or csv. JSON is one object a line.",
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    default=Path("-"),
    metavar="FILE",
    help="Where to; - is stdout (default).",
)
@json_option
def command(
    form: str | None,
    out: Path,
    as_json: bool,
    **look_at: Any,
) -> None:
    """Write one line for each unit of the ledger: identity, MAC, status, certificates.

    The columns are in docs/fleet.md; no secret and no key is among them. With --json, which
    needs --out FILE, the result is told as JSON.
    """
    from evtool.link.files import write_atomically
    from evtool.provision.report.rows import csv_lines

    output = Output(as_json)
    look = Look(**look_at)
    to_stdout = str(out) == "-"
    if as_json and to_stdout:
        raise click.UsageError("--json tells the result; give --out FILE, or --format json")
    if form is None:
        form = "json" if out.suffix.lower() in (".json", ".jsonl") else "csv"
    units = 0

    def counted(rows: Iterator[UnitRow]) -> Iterator[UnitRow]:
        nonlocal units
        for row in rows:
            units += 1
            yield row

    with look.rows(output) as rows:
        lines = csv_lines(counted(rows)) if form == "csv" else _json_lines(counted(rows))
        if to_stdout:
            for line in lines:
                click.echo(line.encode(), nl=False)
            return
        write_atomically(out, "".join(lines).encode())
    output.result(
        f"{out}: {units:,} units", {"event": "exported", "file": str(out), "units": units}
    )


def _json_lines(rows: Iterator[UnitRow]) -> Iterator[str]:
    for row in rows:
        yield json.dumps(row.as_dict()) + "\n"
