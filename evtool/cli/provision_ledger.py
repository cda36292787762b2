# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool provision ledger`: the record of every unit, checked, asked, merged and moved."""

from __future__ import annotations

import click

from evtool.cli.group import LazyGroup

COMMANDS: dict[str, tuple[str, str]] = {
    "verify": ("evtool.cli.provision_ledger_verify", "Check every record and every claim."),
    "history": ("evtool.cli.provision_ledger_history", "List what happened to a unit or board."),
    "merge": ("evtool.cli.provision_ledger_merge", "Take in another station's ledger."),
    "move": ("evtool.cli.provision_ledger_move", "Keep it elsewhere from now on."),
    "migrate": ("evtool.cli.provision_ledger_migrate", "Bring an older ledger's tables up."),
    "release": ("evtool.cli.provision_ledger_release", "Free what a unit has."),
    "range": ("evtool.cli.provision_ledger_range", "Define or list ranges of serial numbers."),
}


@click.group(cls=LazyGroup, lazy=COMMANDS)
def command() -> None:
    """The ledger: what happened to every unit, and who has which identity.

    Records are only ever added, and each carries the hash of the one before it. It is an
    SQLite file, or a PostgreSQL database for several stations: `ledger` in [provision] of
    evtool.toml, or --ledger.
    """
