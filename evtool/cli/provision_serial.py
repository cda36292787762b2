# SPDX-License-Identifier: GPL-3.0-or-later
"""The serial number of one unit: drawn from a range of the ledger before its board is opened, and
kept from then on."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from evtool.cli.fleet_input import drawn_serial_option
from evtool.cli.identity_input import checked_identity
from evtool.cli.ledger_option import existing_ledger, opened_ledger
from evtool.protocol.ledger_record import RangeEnded, free_number
from evtool.provision.ledger.in_change import in_change
from evtool.provision.ledger.unit_state import state
from evtool.provision.run.serial_draw import (
    drawn_serial,
    free_for,
    held_serial,
    promised_serials,
)

if TYPE_CHECKING:
    from evtool.cli.output import Output
    from evtool.link.ledger_database import SqlLedger
    from evtool.project import Project
    from evtool.provision.fleet.drawn_serial import DrawnSerial
    from evtool.provision.identity import Identity
    from evtool.provision.ledger.store import Change


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
        promised = promised_serials(opened, unit)

        def draw(change: Change) -> Project:
            serial = drawn_serial(change, unit, held, wanted, promised)
            drawn = _with_serial(project, serial)
            checked_identity(drawn)  # also its length
            change.claim(unit, [("serial", serial)])  # its own before its board is there
            return drawn

        return in_change(opened, draw)


def kept_serial(ledger: SqlLedger, unit: str) -> tuple[str, str] | None:
    """The serial number that the unit drew, if it has one, and the range that it is from."""
    drawn = {
        each.name: number
        for each in ledger.ranges()
        if (number := ledger.number_of(each.name, unit)) is not None
    }
    if not drawn:
        return None
    held = held_serial(ledger, unit, state(ledger, unit))
    for serial in (held,) if held is not None else reversed(promised_serials(ledger, unit)):
        for name, number in drawn.items():
            if str(number) in serial:  # else it is one that evtool.toml or a row said
                return serial, name
    return None


def with_kept_serial(
    output: Output, project: Project, checked: Identity, ledger: SqlLedger
) -> tuple[Project, Identity]:
    """Both with the serial number that the unit drew, where evtool.toml says another one."""
    unit = checked.charge_point
    kept = kept_serial(ledger, unit.identity)
    if kept is None or kept[0] == unit.serial_number:
        return project, checked
    serial, name = kept
    output.say(
        f"note: {unit.identity} keeps the serial number {serial}, which it drew from the range "
        f"{name}; {unit.serial_number} of evtool.toml is not written"
    )
    output.event("serial_kept", serial_number=serial, range=name)
    project = _with_serial(project, serial)
    if checked.client is not None:
        return project, checked_identity(project)  # its certificate may be for the other one
    return project, dataclasses.replace(checked, charge_point=project.charge_point)


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
    is_free = free_for(ledger, unit, wanted)
    if number is None or not is_free(number):
        number = free_number(found.name, found.first, found.last, found.next, is_free)
    return wanted.text(number)
