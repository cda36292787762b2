# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool provision ledger migrate`: the tables of an older evtool's ledger, brought up."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import click

from evtool.cli.ledger_option import ledger_option, named_ledger
from evtool.cli.options import found_project, project_option
from evtool.cli.output import EXIT_CODES, Output, json_option


@click.command("migrate", epilog=EXIT_CODES)
@project_option
@ledger_option
@json_option
def command(project_path: Path | None, ledger_location: str | None, as_json: bool) -> None:
    """Bring the tables of an older evtool's ledger to those of this one.

    Every command that records something does so too, before anything else; those that only look
    read older tables as they are. No record is changed, and stopped in between all is as before.

    Stop older evtools that work with it first: one that has it open already goes on by its own
    rules, one that opens it later refuses it.
    """
    output = Output(as_json)
    project = found_project(project_path)
    with closing(named_ledger(ledger_location, project)) as looked:
        before, is_older = looked.version(), looked.is_older
    with closing(named_ledger(ledger_location, project, writes=is_older)) as ledger:
        after = ledger.version()
        done = f"brought from version {before} to {after}"
        text = f"{ledger.where}: its tables " + (
            f"are {done}" if before < after else f"are of version {after} already"
        )
        output.result(
            text,
            {
                "event": "migrated",
                "ledger": ledger.where,
                "from": before,
                "to": after,
                "contested": [
                    {"kind": each.kind, "value": each.value, "unit": each.unit, "mac": each.mac}
                    for each in ledger.twins
                ],
            },
        )
