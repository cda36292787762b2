# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool provision fleet`: many units from one file."""

from __future__ import annotations

import click

from evtool.cli.group import LazyGroup

COMMANDS: dict[str, tuple[str, str]] = {
    "check": ("evtool.cli.provision_fleet_check", "Check a fleet's file; write nothing."),
    "run": ("evtool.cli.provision_fleet_run", "Make boards the units of a file, and prove it."),
    "status": ("evtool.cli.provision_fleet_status", "Say how the fleet stands."),
    "export": ("evtool.cli.provision_fleet_export", "Write the units as CSV or JSON."),
    "rotate": ("evtool.cli.provision_fleet_rotate", "Give units new keys or certificates."),
    "rollback": ("evtool.cli.provision_fleet_rollback", "Give a unit what it held before."),
    "decommission": ("evtool.cli.provision_fleet_decommission", "Take a unit out of the fleet."),
    "report": ("evtool.cli.provision_fleet_report", "Write how the fleet stands as a page."),
}


@click.group(cls=LazyGroup, lazy=COMMANDS)
def command() -> None:
    """A fleet: units in a CSV or TOML file, with a template for what they share.

    docs/fleet.md describes the file, the template and its {names}.
    """
