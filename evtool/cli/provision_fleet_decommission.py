# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool provision fleet decommission`: a unit leaves the fleet."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from evtool.cli.fleet_station import table_option
from evtool.cli.ledger_option import existing_ledger, ledger_option
from evtool.cli.options import project_option
from evtool.cli.output import EXIT_CODES, Output, json_option

if TYPE_CHECKING:
    from evtool.provision.ledger.unit_state import UnitState
    from evtool.provision.run.board import Firmware

_BAUDRATE = 460_800


@click.command("decommission", epilog=EXIT_CODES)
@click.argument("unit")
@click.option("--serial-port", metavar="PORT", help="The unit's own board, to be erased.")
@click.option("--board-lost", is_flag=True, help="The board is not at hand and stays as it is.")
@click.option(
    "--release",
    is_flag=True,
    help="Another board may have the identity and serial number, now that this one has not.",
)
@click.option("--reason", default="", metavar="TEXT", help="For the record.")
@table_option
@project_option
@ledger_option
@click.option("--dry-run", is_flag=True, help="Say what would be done; open no port.")
@json_option
def command(  # noqa: PLR0913, PLR0917 - one argument for each option
    unit: str,
    serial_port: str | None,
    board_lost: bool,
    release: bool,
    reason: str,
    manifest_path: Path | None,
    project_path: Path | None,
    ledger_location: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Take UNIT out of the fleet: erase its identity from its board, and record it.

    The board may then become another unit. The identity, the serial number and the keys stay
    retired: no run gives them to a board again, unless --release says so, which takes an erased
    board. With --board-lost nothing is erased, and a board that turns up again is refused until
    this command, with its --serial-port, has erased it.
    """
    from evtool.cli.options import found_project
    from evtool.errors import ConfigError
    from evtool.provision.run.assignment import RETIRED
    from evtool.provision.run.decommission import (
        Leaving,
        may_be_in_a_board,
        record_leaving,
        unit_to_leave,
        was_erased,
    )

    output = Output(as_json)
    if serial_port is not None and board_lost:
        raise click.UsageError("--serial-port and --board-lost exclude each other")
    leaving = Leaving(board_lost, release, reason)
    with existing_ledger(
        ledger_location, found_project(project_path), writes=not dry_run
    ) as ledger:
        if ledger is None:
            raise ConfigError("there is no ledger yet", fix="name it with --ledger")
        found = unit_to_leave(ledger, unit, leaving)
        is_erased = found.status == RETIRED and was_erased(ledger, unit)
        has_left = found.status == RETIRED and serial_port is None
        needs_board = may_be_in_a_board(found) and not is_erased and not has_left
        if needs_board and serial_port is None and not board_lost:
            raise ConfigError(
                f"{unit} is in the board {found.mac}", fix="connect it and give --serial-port, "
                "or say --board-lost",
            )  # fmt: skip
        if dry_run:
            _show_plan(output, found, leaving, erase=needs_board and serial_port is not None)
            return
        erased_bytes = 0
        if needs_board and serial_port is not None:
            erased_bytes = _erase(output, serial_port, found, _firmware(manifest_path))
            is_erased = True
        given_up = record_leaving(ledger, found, leaving, erased=is_erased)
    free = ", ".join(given_up) or "nothing"
    text = f"{unit} has left the fleet: "
    text += f"its identity is erased from {found.mac}" if is_erased else "no board was erased"
    output.result(
        f"{text}; free again: {free}",
        {
            "event": "decommissioned",
            "unit": unit,
            "mac": found.mac,
            "erased": is_erased,
            "bytes_erased": erased_bytes,
            "given_up": list(given_up),
        },
    )


def _firmware(manifest_path: Path | None) -> Firmware | None:
    from evtool.cli.fleet_firmware import firmware_of, named_plan

    return None if manifest_path is None else firmware_of(named_plan(manifest_path, None))


def _erase(output: Output, serial_port: str, found: UnitState, firmware: Firmware | None) -> int:
    from evtool.cli.flash_worker import open_station_board
    from evtool.cli.fleet_worker import parts_work
    from evtool.link.deflated import Streams
    from evtool.link.esptool_packets import make_packets_cheap
    from evtool.protocol.board_flash import ANY_CHIP
    from evtool.provision.run.decommission import erase

    def tell(name: str, fields: Mapping[str, object]) -> None:
        if name == "phase":
            output.event("phase", serial_port=serial_port, **fields)

    board = open_station_board(
        serial_port,
        ANY_CHIP,
        lambda: False,
        lambda _line: None,
        streams=Streams() if make_packets_cheap() else None,
        total_bytes=0x20000,
        was_there=False,
    )
    try:
        facts = board.connect(_BAUDRATE)
        return erase(board, facts, found, parts_work, tell, firmware)
    finally:
        board.close()


def _show_plan(output: Output, found: UnitState, leaving: object, *, erase: bool) -> None:
    release = getattr(leaving, "release", False)
    what = f"erase the identity in {found.mac}" if erase else "erase nothing"
    then = "release its identity" if release else "keep its identity retired"
    output.result(
        f"would take {found.unit} out of the fleet: {what}, and {then}",
        {"event": "plan", "unit": found.unit, "mac": found.mac, "erase": erase, "release": release},
    )
