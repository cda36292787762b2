# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool provision security`: flash encryption and secure boot, shown first, then burned."""

from __future__ import annotations

import click

from evtool.cli.group import LazyGroup

COMMANDS: dict[str, tuple[str, str]] = {
    "plan": ("evtool.cli.provision_security_plan", "Show what would be burned into a board."),
    "apply": ("evtool.cli.provision_security_apply", "Secure a board, for ever."),
    "new-key": ("evtool.cli.provision_security_key", "Make a key that signs firmware."),
}


@click.group(cls=LazyGroup, lazy=COMMANDS)
def command() -> None:
    """Flash encryption and secure boot of a unit.

    A burned fuse cannot be undone. `plan` reads the board and shows every burn; `apply` does them
    for the one MAC that --irreversible names. Every unit's flash gets a key of its own, which is
    sealed in the ledger before anything is burned.
    """
