# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool provision fleet run`: boards become the units of a file, each proved and recorded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from evtool.cli.fleet_options import fleet_options
from evtool.cli.fleet_station import BoardOptions, board_options, collected
from evtool.cli.ledger_option import ledger_option
from evtool.cli.options import project_option
from evtool.cli.output import EXIT_CODES, Output, json_option
from evtool.cli.sealing_option import sealing_option

if TYPE_CHECKING:
    from evtool.cli.fleet_orders import OpenFleet
    from evtool.flash.image_plan import FlashPlan
    from evtool.provision.fleet.order import UnitOrder
    from evtool.provision.run.dry_run import RowPlan
    from evtool.provision.run.fleet_target import Images
    from evtool.provision.run.image import Encryption
    from evtool.provision.run.task import UnitTask

_COMMAND = "evtool provision fleet run"


@click.command("run", epilog=EXIT_CODES)
@fleet_options
@board_options
@project_option
@ledger_option
@sealing_option
@click.option("--dry-run", is_flag=True, help="Check everything, show the plan, open no port.")
@json_option
def command(
    file: Path,
    project_path: Path | None,
    ledger_location: str | None,
    sealing_key: str | None,
    dry_run: bool,
    as_json: bool,
    **values: Any,
) -> int:
    """Give boards the identities of a fleet's FILE, each one proved at its start.

    The whole file is checked first. Then, at every port: the board's MAC is read, and it becomes
    the unit that the ledger or the file binds to it, or the next row without a board, which is
    claimed in the ledger. Its image is made and kept sealed, written, read back and compared;
    the board is started and must say this identity, with --expect-csms that it reached its CSMS
    too. What is right already is not written again. Each step is recorded; a run that was
    killed is taken up by the next one.

    The firmware is flashed where --with-firmware, --env or --manifest names a build and the
    board holds another.

    With --json a line for each step of each board, the last one being the whole run.
    """
    from evtool.cli.fleet_firmware import asked_firmware, gate_order
    from evtool.cli.fleet_orders import looked_at, opened_fleet, read_orders
    from evtool.cli.fleet_station import run_fleet
    from evtool.provision.run.dry_run import planned_rows

    output = Output(as_json)
    options = collected(values)
    if dry_run:
        with looked_at(project_path, ledger_location, sealing_key) as (project, ledger, secrets):
            orders = read_orders(output, file, project, secrets, ledger, **values)
            plan = asked_firmware(project, *options.build)
            show_plan(output, options, list(planned_rows(orders, ledger)), plan)
        return 0
    with opened_fleet(project_path, ledger_location, sealing_key) as fleet:
        orders = read_orders(output, file, fleet.project, fleet.secrets, fleet.ledger, **values)
        plan = asked_firmware(fleet.project, *options.build)
        task = unit_task(fleet, orders, images_of(fleet, plan), options)
        head = run_head(file, orders, plan, "run")
        return run_fleet(output, options, task, gate_order(plan), head, _COMMAND)


def unit_task(
    fleet: OpenFleet,
    orders: list[UnitOrder],
    images: Images,
    options: BoardOptions,
    *,
    only_known: bool = False,
    **changes: Any,
) -> UnitTask:
    """What is done to each board; `changes` are fields of the task."""
    from evtool.cli.fleet_worker import StationAttempts, parts_work
    from evtool.provision.run.assignment import Assignment
    from evtool.provision.run.fleet_target import FleetTargets
    from evtool.provision.run.task import UnitTask

    assignment = Assignment(orders, fleet.ledger, only_known=only_known)
    return UnitTask(
        targets=FleetTargets(assignment, fleet.ledger, images),
        ledger=fleet.ledger,
        gates=lambda _facts: None,
        open_work=parts_work,
        attempts=StationAttempts(options.baudrate),
        proof=options.proof(),
        **changes,
    )


def encryption_of(fleet: OpenFleet) -> Encryption:
    """The NVS keys of this ledger's boards, and how new ones are made."""
    from evtool.link.nvs_files import new_keys
    from evtool.provision.run.image import Encryption
    from evtool.provision.run.nvs_keys import SealedNvsKeys
    from evtool.provision.security.kept_keys import SealedFlashKeys

    flash_keys = SealedFlashKeys(fleet.ledger, fleet.sealed, fleet.sealed.random)
    return Encryption(SealedNvsKeys(fleet.ledger, fleet.sealed), new_keys, flash_keys.kept)


def images_of(fleet: OpenFleet, plan: FlashPlan | None, **changes: Any) -> Images:
    """How the rows of a fleet become images, with this project's settings of the controller;
    `changes` are fields of it."""
    from datetime import UTC, datetime

    from evtool.cli.fleet_firmware import firmware_of
    from evtool.cli.fleet_worker import mask_of
    from evtool.provision.evcfg import evcfg_entries
    from evtool.provision.run.fleet_target import Images

    project = fleet.project
    return Images(
        secrets=fleet.secrets,
        entries=lambda _order, identity: evcfg_entries(identity, project.can, project.limits),
        sealed=fleet.sealed,
        firmware=firmware_of(plan),
        encryption=encryption_of(fleet),
        mask=mask_of,
        now=lambda: datetime.now(UTC),
        **changes,
    )


def run_head(
    file: Path, orders: list[UnitOrder], plan: FlashPlan | None, action: str
) -> dict[str, object]:
    """What a report says of the run as a whole."""
    from evtool.cli.fleet_firmware import firmware_of, gate_order
    from evtool.provision.run.report import fingerprint

    firmware = firmware_of(plan)
    return {
        "action": action,
        "file": str(file),
        "units": len(orders),
        "chip": gate_order(plan).chip,
        "build_id": "" if firmware is None else firmware.build_id,
        "title": "" if firmware is None else firmware.title,
        "fingerprint": fingerprint(orders, firmware, action),
    }


def show_plan(
    output: Output, options: BoardOptions, rows: Sequence[RowPlan], plan: FlashPlan | None
) -> None:
    """The plan for each row, with the ports that would be opened."""
    from evtool.cli.fleet_station import chosen_ports

    ports = [] if options.station.retry_failed is not None else list(chosen_ports(options))
    counts: dict[str, int] = {}
    for row in rows:
        output.event("row", **row.as_dict())
        counts[row.action] = counts.get(row.action, 0) + 1
    steps = ["connect", "plan", "image", "encrypt", "flash", "read_back"]
    if not options.no_boot_proof:
        steps += ["boot", "csms"] if options.expect_csms else ["boot"]
    wide = max((len(row.order.identity) for row in rows), default=0)
    lines = [
        f"  {row.order.identity:<{wide}}  {row.action:<9}  {row.mac or 'the next board':<17}"
        f"  {row.status}"
        for row in rows
    ]
    words = ", ".join(f"{count} {action}" for action, count in counts.items()) or "no row"
    text = [
        f"would work through {len(rows)} rows: {words}",
        *lines,
        f"firmware: {'as it is on the boards' if plan is None else gate_title(plan)}",
        f"steps:    {', '.join(steps)}",
        f"ports:    {', '.join(ports) or 'those that appear'}",
    ]
    output.result(
        "\n".join(text),
        {
            "event": "plan",
            "rows": len(rows),
            "actions": counts,
            "steps": steps,
            "serial_ports": ports,
            "build_id": None if plan is None else plan.build_id,
        },
    )


def gate_title(plan: FlashPlan) -> str:
    """The build, for people."""
    from evtool.flash.station.order import order_of_plan

    return order_of_plan(plan).title
