# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool provision fleet rollback`: a unit holds again what it held before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from evtool.cli.fleet_station import collected, single_board_options, table_option
from evtool.cli.ledger_option import existing_ledger, ledger_option
from evtool.cli.options import found_project, project_option
from evtool.cli.output import EXIT_CODES, Output, json_option
from evtool.cli.sealing_option import sealing_option

_COMMAND = "evtool provision fleet rollback"


@click.command("rollback", epilog=EXIT_CODES)
@click.argument("unit")
@single_board_options
@table_option
@click.option(
    "--to",
    "wanted",
    default="",
    metavar="SHA256",
    help="The image to go back to, by the beginning of its hash (default: the one before).",
)
@project_option
@ledger_option
@sealing_option
@click.option("--dry-run", is_flag=True, help="Say what would be written; open no port.")
@json_option
def command(  # noqa: PLR0913, PLR0917 - one argument for each option
    unit: str,
    manifest_path: Path | None,
    wanted: str,
    project_path: Path | None,
    ledger_location: str | None,
    sealing_key: str | None,
    dry_run: bool,
    as_json: bool,
    **values: Any,
) -> int:
    """Write back the identity, keys and certificates that UNIT held before.

    The image is the sealed copy of the one that was written then, to the byte. The board must
    be the unit's own; it is read back and proved as in `fleet run`. A second rollback goes back
    once more. The firmware stays as it is.
    """
    from evtool.cli.fleet_firmware import asked_firmware, firmware_of, gate_order
    from evtool.cli.fleet_orders import opened_fleet
    from evtool.cli.fleet_station import run_fleet
    from evtool.cli.fleet_worker import StationAttempts, mask_of, parts_work
    from evtool.cli.provision_fleet_run import encryption_of
    from evtool.protocol.board_flash import ANY_CHIP
    from evtool.provision.run.rollback import RollbackTargets, chosen
    from evtool.provision.run.task import UnitTask
    from evtool.provision.run.verdict import UnitVerdict

    output = Output(as_json)
    options = collected(values, needs_ports=not dry_run)
    if dry_run:
        with existing_ledger(ledger_location, found_project(project_path)) as ledger:
            record = chosen([] if ledger is None else ledger.history(unit=unit), unit, wanted)
        output.result(
            f"would give {unit} again what it was given at {record.time} "
            f"(image {str(record.fields['image_sha256'])[:12]}, "
            f"{record.fields.get('csms_url')})",
            {"event": "plan", "unit": unit, "record": record.as_dict()},
        )
        return 0
    with opened_fleet(project_path, ledger_location, sealing_key) as fleet:
        record = chosen(fleet.ledger.history(unit=unit), unit, wanted)
        task = UnitTask(
            targets=RollbackTargets(
                unit,
                record,
                fleet.ledger,
                fleet.sealed,
                encryption_of(fleet),
                mask_of,
                firmware_of(asked_firmware(fleet.project, manifest_path, None, False)),
            ),
            ledger=fleet.ledger,
            gates=lambda _facts: None,
            open_work=parts_work,
            attempts=StationAttempts(options.baudrate),
            proof=options.proof(),
            event="rolled_back",
            verdict=UnitVerdict.ROLLED_BACK,
        )
        head = {"action": "rollback", "unit": unit, "chip": ANY_CHIP, "fingerprint": ""}
        return run_fleet(output, options, task, gate_order(None), head, _COMMAND)
