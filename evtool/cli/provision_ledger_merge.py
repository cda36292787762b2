# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool provision ledger merge`: what a station recorded while it was apart."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from evtool.cli.ledger_option import ledger_option, named_ledger, opened_ledger, tried_ledger
from evtool.cli.options import found_project, project_option
from evtool.cli.output import EXIT_CODES, Output, json_option
from evtool.cli.provision_ledger_release import release_words

if TYPE_CHECKING:
    from evtool.protocol.ledger_record import Claim
    from evtool.provision.ledger.merge import Merged


@click.command("merge", epilog=EXIT_CODES)
@click.argument("other", metavar="FILE|URL")
@project_option
@ledger_option
@click.option("--dry-run", is_flag=True, help="Say what would come of it; change nothing.")
@json_option
def command(
    other: str,
    project_path: Path | None,
    ledger_location: str | None,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Take in the ledger of a station that was offline.

    Its records are added as they are, each chain whole or not at all. What both ledgers gave
    away is reported with both sides and never decided here: the first holder keeps it, until
    one of the two is released. A second time nothing is new.

    Exit code 1: a person must look at something.
    """
    from evtool.provision.ledger.merge import merge

    output = Output(as_json)
    opened = tried_ledger if dry_run else opened_ledger
    with (
        opened(ledger_location, found_project(project_path)) as ours,
        closing(named_ledger(other, None, "the other ledger")) as theirs,
    ):
        ours.refuse_itself(theirs)
        merged = merge(ours, theirs, only_try=dry_run)
        output.result(
            "\n".join(merged_lines(merged)),
            {"event": "plan" if dry_run else "merged", "from": theirs.where}
            | merged_document(merged),
        )
        contested = len(ours.contested())
        if contested:
            output.say(
                f"note: {contested} claims are made twice; `evtool provision ledger verify` "
                "lists them"
            )
    return 0 if merged.is_clean and not contested else 1


def merged_lines(merged: Merged) -> list[str]:
    """What came of a merge, for people."""
    lines = [f"{station}: {count:,} records are new" for station, count in merged.taken.items()]
    if merged.sealed:
        lines.append(f"{merged.sealed:,} sealed values and images are new")
    for each in merged.breaks:
        lines.append(f"BROKEN {each.station}: {each.reason}; nothing of this chain was taken")
    for fork in merged.forks:
        lines.append(
            f"FORK {fork.station} {fork.seq}: here {fork.ours.event} {fork.ours.unit or ''} at "
            f"{fork.ours.time}, there {fork.theirs.event} {fork.theirs.unit or ''} at "
            f"{fork.theirs.time}; nothing of theirs was taken"
        )
    for conflict in merged.conflicts:
        lines.append(
            f"TWICE {conflict.ours.kind} {conflict.ours.value}: "
            f"here {_side(conflict.ours)}, there {_side(conflict.theirs)}"
        )
    for claim in merged.kept:
        lines.append(
            f"KEPT {claim.kind} {claim.value}: {claim.unit} released it there, and was used "
            f"here since or has a board here; to free it: {release_words(replace(claim, mac=None))}"
        )
    lines += [f"TWICE {note}" for note in merged.notes]
    for name, apart in merged.sealed_apart:
        lines.append(f"BOTH {name}: theirs is another one, kept as {apart}")
    return lines or ["nothing is new"]


def _side(claim: Claim) -> str:
    board = "no board yet" if claim.mac is None else f"board {claim.mac}"
    return f"{claim.unit} on {board} ({claim.station} at {claim.time})"


def merged_document(merged: Merged) -> dict[str, object]:
    """The same for programs."""

    def side(claim: Claim) -> dict[str, object]:
        return {
            "unit": claim.unit,
            "mac": claim.mac,
            "station": claim.station,
            "seq": claim.seq,
            "time": claim.time,
        }

    return {
        "taken": merged.taken,
        "sealed": merged.sealed,
        "breaks": [{"station": each.station, "reason": each.reason} for each in merged.breaks],
        "forks": [
            {
                "station": each.station,
                "seq": each.seq,
                "ours": each.ours.as_dict(),
                "theirs": each.theirs.as_dict(),
            }
            for each in merged.forks
        ],
        "conflicts": [
            {
                "kind": each.ours.kind,
                "value": each.ours.value,
                "ours": side(each.ours),
                "theirs": side(each.theirs),
            }
            for each in merged.conflicts
        ],
        "kept": [{"kind": each.kind, "value": each.value} for each in merged.kept],
        "notes": merged.notes,
        "sealed_apart": [list(each) for each in merged.sealed_apart],
    }
