# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool ocpp`: what concerns the connection to a central system alone."""

from __future__ import annotations

import click

from evtool.cli.group import LazyGroup

COMMANDS: dict[str, tuple[str, str]] = {
    "check": ("evtool.cli.ocpp_check", "Check URL, key and certificates; try the connection."),
}


@click.group(cls=LazyGroup, lazy=COMMANDS)
def command() -> None:
    """The connection of a charge point to its central system."""
