# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool provision ledger history`: everything that happened to one unit or one board."""

from __future__ import annotations

import re
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from evtool.cli.ledger_option import ledger_option, named_ledger
from evtool.cli.options import found_project, project_option
from evtool.cli.output import EXIT_CODES, Output, json_option

if TYPE_CHECKING:
    from evtool.link.ledger_database import SqlLedger
    from evtool.protocol.ledger_record import Record

_MAC = re.compile(r"(?:[0-9a-fA-F]{2}[:-]){5}[0-9a-fA-F]{2}\Z")
_SHOWN = 44  # characters of a value


@click.command("history", epilog=EXIT_CODES)
@click.argument("name", metavar="UNIT|MAC|SERIAL")
@project_option
@ledger_option
@json_option
def command(
    name: str, project_path: Path | None, ledger_location: str | None, as_json: bool
) -> None:
    """List what happened to a unit or a board, oldest first.

    A unit is named by its OCPP identity, its serial number or its board's MAC. With --json
    one record a line, with its hash.
    """
    from evtool.errors import CheckFailed

    output = Output(as_json)
    with closing(named_ledger(ledger_location, found_project(project_path))) as ledger:
        records = _records(ledger, name)
        if not records:
            raise CheckFailed(
                f"the ledger {ledger.where} knows nothing of {name}",
                fix="name a unit's identity, its serial number, or a board's MAC",
            )
        for record in records:
            output.result(_line(record), record.as_dict())
        units = sorted({record.unit for record in records if record.unit is not None})
        for unit in units:
            held = ", ".join(f"{each.kind} {_short(each.value)}" for each in ledger.claims_of(unit))
            output.say(f"{unit} has: {held or 'nothing'}")


def _records(ledger: SqlLedger, name: str) -> list[Record]:
    if _MAC.match(name):
        return ledger.history(mac=name.lower().replace("-", ":"))
    records = ledger.history(unit=name)
    holder = None if records else ledger.claim_holder("serial", name)
    return records if holder is None else ledger.history(unit=holder.unit)


def _line(record: Record) -> str:
    who = " ".join(each for each in (record.unit, record.mac) if each is not None)
    fields = "  ".join(
        _claims(value) if key == "claims" else f"{key}={_short(_text(value))}"
        for key, value in record.fields.items()
        if key != "left" and value is not None
    )
    return f"{record.time}  {record.event:<10}  {who}  {fields}  ({record.station})"


def _text(value: object) -> str:
    return "".join(each if each.isprintable() else " " for each in str(value))


def _claims(value: object) -> str:
    pairs = value if isinstance(value, list) else []
    return ", ".join(f"{each[0]} {_short(str(each[1]))}" for each in pairs if len(each) == 2)


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."
