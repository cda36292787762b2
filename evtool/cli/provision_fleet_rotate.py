# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool provision fleet rotate`: new keys and certificates for units that have theirs already."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from evtool.cli.fleet_options import fleet_options
from evtool.cli.fleet_station import board_options, collected
from evtool.cli.ledger_option import ledger_option
from evtool.cli.options import project_option
from evtool.cli.output import EXIT_CODES, Output, json_option
from evtool.cli.sealing_option import sealing_option

_COMMAND = "evtool provision fleet rotate"
# As evtool.provision.fleet.order has them, which is not imported for a help text.
_SECRETS = ("authorization_key", "wifi_passphrase")


@click.command("rotate", epilog=EXIT_CODES)
@fleet_options
@board_options
@project_option
@ledger_option
@sealing_option
@click.option(
    "--secret",
    "names",
    multiple=True,
    type=click.Choice(_SECRETS),
    default=("authorization_key",),
    show_default=True,
    help="What gets a new generation, where it is a generated one; may be repeated.",
)
@click.option(
    "--certificates-only",
    is_flag=True,
    help="Make no new secret: write the certificates that the FILE names by now.",
)
@click.option(
    "--campaign",
    default="",
    metavar="NAME",
    help="Rotate each unit once in the campaign of this name, in as many runs as it takes.",
)
@click.option(
    "--prepare",
    is_flag=True,
    help="Make and seal the new secrets now, so that the CSMS can be given them; open no port.",
)
@click.option("--dry-run", is_flag=True, help="Show what each row would get; open no port.")
@json_option
def command(  # noqa: PLR0913, PLR0917 - one argument for each option
    file: Path,
    project_path: Path | None,
    ledger_location: str | None,
    sealing_key: str | None,
    names: tuple[str, ...],
    certificates_only: bool,
    campaign: str,
    prepare: bool,
    dry_run: bool,
    as_json: bool,
    **values: Any,
) -> int:
    """Give units of a fleet's FILE a new AuthorizationKey, or new certificates.

    Only boards that the ledger knows are touched. The new secret is sealed first, then written,
    read back, proved at the board's start, and recorded as `rotated`; the old one stays sealed
    for `fleet rollback`. A rotation that was cut short is finished with the secret that it had
    made. What stands in files or variables is taken as it is there by now.

    With --json a line for each step of each board, the last one being the whole run.
    """
    from evtool.cli.fleet_firmware import asked_firmware, gate_order
    from evtool.cli.fleet_orders import looked_at, opened_fleet, read_orders
    from evtool.cli.fleet_station import run_fleet
    from evtool.cli.provision_fleet_run import images_of, run_head, show_plan, unit_task
    from evtool.provision.run.rotation import ROTATE, ROTATED, Rotation, planned_rows
    from evtool.provision.run.verdict import UnitVerdict

    output = Output(as_json)
    options = collected(values, needs_ports=not prepare)
    if dry_run:
        with looked_at(project_path, ledger_location, sealing_key) as (project, ledger, secrets):
            orders = read_orders(output, file, project, secrets, ledger, **values)
            rows = list(planned_rows(orders, ledger, campaign))
            if not prepare:
                show_plan(output, options, rows, asked_firmware(project, *options.build))
                return 0
        count = 0 if certificates_only else sum(row.action == ROTATE for row in rows)
        output.result(
            f"{count} units would have new secrets waiting to be written",
            {"event": "plan", "units": count},
        )
        return 0
    with opened_fleet(project_path, ledger_location, sealing_key) as fleet:
        orders = read_orders(output, file, fleet.project, fleet.secrets, fleet.ledger, **values)
        chosen = () if certificates_only else tuple(dict.fromkeys(names))
        rotation = Rotation(fleet.ledger, fleet.sealed, fleet.secrets, chosen, campaign)
        if prepare:
            count = rotation.prepare(orders)
            output.result(
                f"{count} units have new secrets waiting to be written, sealed in {fleet.where}\n"
                "  hand them to the CSMS with `evtool provision secrets export`, then run this "
                "again at the boards",
                {"event": "prepared", "units": count, "secrets": list(chosen)},
            )
            return 0
        plan = asked_firmware(fleet.project, *options.build)
        images = images_of(fleet, plan, before=rotation.before, newest=rotation.newest)
        task = unit_task(
            fleet, orders, images, options, only_known=True, event=ROTATED,
            verdict=UnitVerdict.ROTATED,
        )  # fmt: skip
        head = run_head(file, orders, plan, f"rotate {campaign}".strip())
        return run_fleet(output, options, task, gate_order(plan), head, _COMMAND)
