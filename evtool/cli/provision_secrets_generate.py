# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool provision secrets generate`: a fleet's secrets, made before its first board is there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from evtool.cli.fleet_options import fleet_options
from evtool.cli.ledger_option import ledger_option
from evtool.cli.options import project_option
from evtool.cli.output import EXIT_CODES, Output, json_option
from evtool.cli.sealing_option import sealing_option

if TYPE_CHECKING:
    from evtool.project import SecretRef
    from evtool.provision.fleet.order import UnitOrder

_AT_ONCE = 100


@click.command("generate", epilog=EXIT_CODES)
@fleet_options
@project_option
@ledger_option
@sealing_option
@click.option("--dry-run", is_flag=True, help="Check everything, count, make nothing.")
@json_option
def command(
    file: Path,
    project_path: Path | None,
    ledger_location: str | None,
    sealing_key: str | None,
    dry_run: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Make the secrets that a fleet's FILE wants generated, and seal them in the ledger.

    So the CSMS can be given its keys (`secrets export`) before a unit connects. The file is
    checked first, as `fleet check` does. What is there already stays as it is: the same
    command again makes nothing, and goes on where it was stopped.
    """
    from evtool.cli.fleet_orders import looked_at, opened_fleet, read_orders

    output = Output(as_json)
    place = (project_path, ledger_location, sealing_key)
    if dry_run:
        with looked_at(*place) as (project, ledger, secrets):
            orders = read_orders(output, file, project, secrets, ledger, **options)
            missing = sum(secrets.is_to_be_made(*each) for each in _wanted(orders))
        output.result(
            f"{missing:,} secrets of {len(orders):,} units would be made",
            {"event": "plan", "secrets": missing, "units": len(orders)},
        )
        return
    with opened_fleet(*place) as fleet:
        orders = read_orders(output, file, fleet.project, fleet.secrets, fleet.ledger, **options)
        made = 0
        for at in range(0, len(orders), _AT_ONCE):
            made += fleet.secrets.make_all(_wanted(orders[at : at + _AT_ONCE]))
            output.event("sealed", count=made)
        where = fleet.where
    output.result(
        f"{made:,} secrets of {len(orders):,} units made and sealed in {where}",
        {"event": "generated", "secrets": made, "units": len(orders)},
    )


def _wanted(orders: list[UnitOrder]) -> list[tuple[str, str, SecretRef]]:
    return [each for order in orders for each in order.wanted_secrets()]
