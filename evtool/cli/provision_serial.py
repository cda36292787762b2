# SPDX-License-Identifier: GPL-3.0-or-later
"""The serial number of one unit, drawn from a range of the ledger before its board is opened."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from evtool.cli.fleet_input import drawn_serial_option
from evtool.cli.identity_input import checked_identity
from evtool.cli.ledger_option import existing_ledger, opened_ledger
from evtool.protocol.ledger_record import RangeEnded, free_number
from evtool.provision.ledger.unit_state import state
from evtool.provision.run.serial_draw import drawn_serial, free_for, held_serial

if TYPE_CHECKING:
    from evtool.link.ledger_database import SqlLedger
    from evtool.project import Project
    from evtool.provision.fleet.drawn_serial import DrawnSerial


def drawn_project(
    project: Project,
    options: tuple[str | None, str | None],
    ledger_location: str | None,
    *,
    dry_run: bool,
) -> Project:
    """The project with its serial number drawn; as it is where `options` name no range.

    Everything else of it is checked first: a number that is drawn is the unit's for good.

    Args:
        options: `--serial-range` and `--serial-format`.
        dry_run: take the number that would be drawn, and draw none.

    Raises:
        RangeEnded: no number is left, or there is no such range.
        ConfigError: the project breaks a rule.
        others: as `opened_ledger`.
    """
    wanted = drawn_serial_option(*options)
    if wanted is None:
        return project
    unit = project.charge_point.identity
    checked_identity(_with_serial(project, wanted.text(0)), create=not dry_run)
    if dry_run:
        with existing_ledger(ledger_location, project) as ledger:
            return _with_serial(project, _next_serial(ledger, unit, wanted))
    with opened_ledger(ledger_location, project) as opened:
        held = held_serial(opened, unit, state(opened, unit))
        with opened.change() as change:
            serial = drawn_serial(change, unit, held, wanted)
            drawn = _with_serial(project, serial)
            checked_identity(drawn)  # also its length
    return drawn


def _with_serial(project: Project, serial: str) -> Project:
    unit = dataclasses.replace(project.charge_point, serial_number=serial)
    return dataclasses.replace(project, charge_point=unit)


def _next_serial(ledger: SqlLedger | None, unit: str, wanted: DrawnSerial) -> str:
    """What would be drawn now, if nobody else draws before."""
    ranges = {} if ledger is None else {each.name: each for each in ledger.ranges()}
    found = ranges.get(wanted.range)
    if ledger is None or found is None:
        raise RangeEnded(
            f"there is no range of serial numbers named {wanted.range}",
            fix="define it: evtool provision ledger range NAME FIRST LAST",
        )
    held = held_serial(ledger, unit, state(ledger, unit))
    if held is not None:
        return held
    number = ledger.number_of(wanted.range, unit)
    if number is None:
        is_free = free_for(ledger, unit, wanted)
        number = free_number(found.name, found.first, found.last, found.next, is_free)
    return wanted.text(number)
