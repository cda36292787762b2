# SPDX-License-Identifier: GPL-3.0-or-later
"""The ledger that an older evtool kept as JSON lines, taken in once."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from evtool.provision.ledger.old_lines import FILE

if TYPE_CHECKING:
    from evtool.link.ledger_database import SqlLedger
    from evtool.link.ledger_merging import SqlMergingChange
    from evtool.provision.ledger.old_lines import OldRecord


def has_old_ledger(root: Path) -> bool:
    """Whether a project has one that was not taken in."""
    return (root / FILE).is_file()


def take_in_old_ledger(ledger: SqlLedger, root: Path) -> None:
    """Take it in and give it another name, where there is one. Raises as `copy_old_ledger`."""
    from evtool.link.files import sync_folder

    path = root / FILE
    if path.is_file():
        copy_old_ledger(ledger, root)
        path.rename(_free_name(path))
        sync_folder(path.parent)


def copy_old_ledger(ledger: SqlLedger, root: Path) -> None:
    """Add its records, and leave the file as it is.

    Killed in between, the next time finds out what was done: the records are added in one
    transaction, with one that says how much of the file they were.

    Raises:
        OSError: it cannot be read.
    """
    from evtool.provision.ledger.old_lines import (
        TAKEN_IN,
        holders,
        not_taken_in,
        old_records,
        taken_in_fields,
    )

    with ledger.merging() as change:
        content = (root / FILE).read_bytes()
        rest = not_taken_in(content, ledger.general(TAKEN_IN))
        records = old_records(rest)
        for record in records:
            change.append(
                record.event,
                unit=record.unit,
                mac=record.mac,
                fields=record.fields,
                time=record.time,
            )
        for record in holders(records):
            _claim(ledger, change, record)
        if rest:
            change.append(TAKEN_IN, fields=taken_in_fields(content, rest))


def _claim(ledger: SqlLedger, change: SqlMergingChange, record: OldRecord) -> None:
    """What a board was given is its; where two boards were given one name, both stay known."""
    from evtool.provision.ledger.claim_book import claims_in

    claims = [("identity", record.unit), ("mac", record.mac)]
    made = change.append("claimed", unit=record.unit, mac=record.mac, fields={"claims": claims})
    for claim in claims_in(made):
        change.take_claim(claim)


def _free_name(path: Path) -> Path:
    for number in count(1):
        name = path.with_name(f"{path.name}.taken-in" + (f".{number}" if number > 1 else ""))
        if not name.exists():
            return name
    raise AssertionError
