# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool provision ledger move`: from a file to a server, or back."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import click

from evtool.cli.ledger_option import ledger_option, named_ledger, opened_ledger, tried_ledger
from evtool.cli.options import found_project, project_option
from evtool.cli.output import EXIT_CODES, Output, json_option


@click.command("move", epilog=EXIT_CODES)
@click.argument("target", metavar="FILE|URL")
@project_option
@ledger_option
@click.option("--dry-run", is_flag=True, help="Say what would come of it; change nothing.")
@json_option
def command(
    target: str,
    project_path: Path | None,
    ledger_location: str | None,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Keep the ledger in another place: a file, or postgresql+psycopg://HOST/DATABASE.

    Everything is copied as `merge` takes it in; before that the old one is told where it went
    and takes no more records, so that no station goes on with it. Stopped in between, run it
    again.
    """
    from evtool.cli.provision_ledger_merge import merged_document, merged_lines
    from evtool.errors import CheckFailed, ConfigError
    from evtool.provision.ledger.merge import merge

    output = Output(as_json)
    project = found_project(project_path)
    opened = tried_ledger if dry_run else opened_ledger
    with (
        closing(named_ledger(ledger_location, project, writes=not dry_run)) as source,
        opened(target, project) as new,
    ):
        source.refuse_itself(new)
        if source.moved_to() not in (None, new.where):
            raise ConfigError(
                f"{source.where} was moved to {source.moved_to()}", fix="move that one"
            )
        if new.moved_to() not in (None, source.where):
            raise ConfigError(f"{new.where} was moved to {new.moved_to()}", fix="name that one")
        if new.moved_to() is None:
            tried = merge(new, source, only_try=True)
            # What is claimed twice here already is so there too.
            known = {(each.kind, each.value) for each in source.contested()}
            tried.conflicts = [
                each for each in tried.conflicts
                if (each.ours.kind, each.ours.value) not in known
            ]  # fmt: skip
            if not tried.is_clean:
                raise CheckFailed(
                    "\n  ".join([f"{new.where} says other things", *merged_lines(tried)]),
                    fix="`evtool provision ledger merge` one into the other first",
                )
        if dry_run:
            output.result(
                f"would move {source.where} to {new.where}",
                {"event": "plan", "from": source.where, "to": new.where},
            )
            return 0
        source.move_to(new.where)
        new.move_to(None)  # where it comes back to a place that it once left
        merged = merge(new, source)
        name = f'ledger = "{target}"'
        lines = [*merged_lines(merged), f"moved to {new.where}; in [provision]: {name}"]
        output.result(
            "\n".join(lines),
            {"event": "moved", "from": source.where, "to": new.where} | merged_document(merged),
        )
    return 0
