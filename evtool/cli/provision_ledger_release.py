# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool provision ledger release`: free an identity, a number, a board or a key."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from evtool.cli.ledger_option import ledger_option, opened_ledger
from evtool.cli.options import found_project, project_option
from evtool.cli.output import EXIT_CODES, Output, json_option
from evtool.protocol.ledger_record import CLAIM_KINDS

if TYPE_CHECKING:
    from evtool.protocol.ledger_record import Claim


def release_words(claim: Claim) -> str:
    """The command that frees what this unit has on this board."""
    words = ["evtool", "provision", "ledger", "release", claim.kind, claim.value]
    words += ["--unit", claim.unit, *(("--mac", claim.mac) if claim.mac else ())]
    return f"{shlex.join(words)} --reason TEXT"


@click.command("release", epilog=EXIT_CODES)
@click.argument("kind", type=click.Choice(CLAIM_KINDS))
@click.argument("value")
@click.option("--unit", required=True, metavar="ID", help="The unit that gives it up.")
@click.option("--mac", metavar="MAC", help="Its board, where two boards claim the same.")
@click.option("--reason", required=True, metavar="TEXT", help="Why; it is recorded.")
@project_option
@ledger_option
@json_option
def command(  # noqa: PLR0913, PLR0917 - one argument for each option
    kind: str,
    value: str,
    unit: str,
    mac: str | None,
    reason: str,
    project_path: Path | None,
    ledger_location: str | None,
    as_json: bool,
) -> None:
    """Free what a unit has, so that another one can have it.

    A board in the field keeps what was written into it: release what it will not use any
    more, and nothing else. Where two boards claim the same, who is left has it.
    """
    from evtool.errors import ConfigError
    from evtool.provision.ledger.in_change import in_change

    output = Output(as_json)
    if not reason.strip() or not reason.isprintable():
        raise ConfigError("--reason: not a line of text", fix="say why, in one line")
    with opened_ledger(ledger_location, found_project(project_path)) as ledger:
        board = None if mac is None else mac.lower().replace("-", ":")
        why = {"reason": reason}
        record = in_change(
            ledger, lambda change: change.release(unit, [(kind, value)], mac=board, fields=why)
        )
        holder = ledger.claim_holder(kind, value)
        if record is None:
            held = "nobody has it"
            if holder is not None:
                held = f"{holder.unit} has it, on " + (holder.mac or "no board yet")
            raise ConfigError(f"{unit} does not have the {kind} {value}: {held}")
        left = (
            "is free"
            if holder is None
            else f"is {holder.unit}'s, on {holder.mac or 'no board'} now"
        )
        output.result(
            f"{kind} {value} {left}",
            {
                "event": "released",
                "kind": kind,
                "value": value,
                "unit": unit,
                "holder": None if holder is None else {"unit": holder.unit, "mac": holder.mac},
            },
        )
