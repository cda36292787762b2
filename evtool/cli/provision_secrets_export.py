# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool provision secrets export`: AuthorizationKeys for the operator of a central system."""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from evtool.cli.ledger_option import ledger_option, opened_ledger
from evtool.cli.options import found_project, project_option
from evtool.cli.output import EXIT_CODES, Output, json_option
from evtool.cli.sealing_option import open_sealed, sealing_option, sealing_place, unit_secrets
from evtool.cli.show_secrets import may_show, without_asking_option

if TYPE_CHECKING:
    from evtool.link.ledger_database import SqlLedger
    from evtool.project import Secret
    from evtool.provision.secrets.unit_secrets import UnitSecretStore


@click.command("export", epilog=EXIT_CODES)
@click.option(
    "--form",
    type=click.Choice(["plain", "hex", "basic"]),
    required=True,
    help="The characters, their hex digits, or the value of the Authorization header.",
)
@click.option("--unit", "units", multiple=True, metavar="ID", help="Only this unit; may repeat.")
@click.option(
    "--to",
    "to",
    type=click.Path(dir_okay=False, allow_dash=True),
    required=True,
    metavar="FILE|-",
    help="A new CSV file, mode 0600; - is stdout, which asks first.",
)
@without_asking_option
@project_option
@ledger_option
@sealing_option
@json_option
def command(
    form: str,
    units: tuple[str, ...],
    to: str,
    as_json: bool,
    **options: Any,
) -> None:
    """Hand out the AuthorizationKeys that evtool has generated, for a CSMS.

    All of the ledger's and the project's, or those of the units named. Each is recorded in the
    ledger as `exported`, before it is handed out.
    """
    from evtool.errors import ConfigError
    from evtool.link.files import write_new
    from evtool.provision.secrets.export import exported_form

    output = Output(as_json)
    project = found_project(options["project_path"])
    root = Path.cwd() if project is None else project.root
    if to != "-" and Path(to).exists():
        raise ConfigError(f"{to} is there already", fix="give another name, or remove it")
    if to == "-" and not may_show(
        "The keys open the CSMS to whoever reads them. Print them?",
        without_asking=options["without_asking"],
        option="--to -",
    ):
        return
    with opened_ledger(options["ledger_location"], project) as ledger:
        place = sealing_place(options["sealing_key"], project)
        sealed = None if place is None else open_sealed(ledger, place, root)
        own = () if project is None else (project.charge_point.identity,)
        store = unit_secrets(sealed, root)
        keys = exported_keys(ledger, store, units or (*_sealed_units(ledger), *own), units)
        rows = [(unit, exported_form(unit, key, form).reveal()) for unit, key in keys.items()]
        _record(ledger, [unit for unit, _ in rows], form, "stdout" if to == "-" else Path(to).name)
    if to == "-":
        for unit, value in rows:
            document: dict[str, object] = {"event": "key", "unit": unit, "form": form}
            output.result(f"{unit},{value}", document | {"value": value})
        return
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["identity", f"authorization_key_{form}"])
    writer.writerows(rows)
    try:
        write_new(Path(to), text.getvalue().encode())
    except FileExistsError as error:
        raise ConfigError(f"{to} is there already", fix="give another name") from error
    output.result(
        f"{to}: {len(rows):,} x AuthorizationKey ({form}); remove it when the CSMS has them",
        {"event": "exported", "units": len(rows), "form": form, "file": to},
    )


def _sealed_units(ledger: SqlLedger) -> list[str]:
    """Identities with a sealed AuthorizationKey."""
    from evtool.provision.fleet.order import AUTHORIZATION_KEY
    from evtool.provision.secrets.sealed_store import SECRETS

    paths = (name.removeprefix(SECRETS).split("/") for name, _ in ledger.sealed_names(SECRETS))
    return list(dict.fromkeys(path[0] for path in paths if path[1:2] == [AUTHORIZATION_KEY]))


def exported_keys(
    ledger: SqlLedger, store: UnitSecretStore, units: tuple[str, ...], named: tuple[str, ...]
) -> dict[str, Secret]:
    """The keys, by identity: the newest, unless a rollback went back from that one.

    Args:
        units: whose,
        named: and who of them was asked for by name.

    Raises:
        ConfigError: a unit that was named has none; or nobody has one.
    """
    from evtool.errors import ConfigError
    from evtool.project import SecretRef
    from evtool.provision.fleet.order import AUTHORIZATION_KEY

    generated = SecretRef("generate")
    store.prepare([(unit, AUTHORIZATION_KEY, generated) for unit in units])
    found = {unit: store.look(unit, AUTHORIZATION_KEY, generated) for unit in dict.fromkeys(units)}
    missing = [unit for unit in named if found[unit] is None]
    if missing:
        shown = ", ".join(map(ascii, missing[:5])) + (", ..." if len(missing) > 5 else "")
        hint = "" if store.sealed else "; name the key that opens the sealed ones: --sealing-key"
        raise ConfigError(
            f"evtool has generated no AuthorizationKey for {shown}",
            fix=f"check the identity (exactly as it was provisioned){hint}",
        )
    keys = {unit: key for unit, key in found.items() if key is not None}
    if not keys:
        raise ConfigError(
            "there is no generated AuthorizationKey here",
            fix="name the ledger and its key: --ledger, --sealing-key",
        )
    _undo_rolled_back(ledger, store, keys)
    return keys


def _undo_rolled_back(ledger: SqlLedger, store: UnitSecretStore, keys: dict[str, Secret]) -> None:
    """Where a rollback went back from the newest key, the unit has an older one again."""
    from evtool.provision.fleet.order import AUTHORIZATION_KEY
    from evtool.provision.ledger.unit_state import fold
    from evtool.provision.run.given_secrets import ROLLED_BACK, given_generation, left_behind

    for records in ledger.latest():
        unit = str(records[0].unit)
        if unit not in keys or all(record.event != ROLLED_BACK for record in records):
            continue
        history = ledger.history(unit=unit)
        given = given_generation(fold(history), AUTHORIZATION_KEY)
        newest = store.newest_generation(unit, AUTHORIZATION_KEY)
        if given is not None and newest in left_behind(history, AUTHORIZATION_KEY):
            keys[unit] = store.generation(unit, AUTHORIZATION_KEY, given) or keys[unit]


def _record(ledger: SqlLedger, units: list[str], form: str, to: str) -> None:
    """Who has handed out what, before it is."""
    import getpass

    from evtool.provision.fleet.order import AUTHORIZATION_KEY

    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        user = str(os.getuid())
    fields = {"secret": AUTHORIZATION_KEY, "form": form, "to": to, "by": user}
    with ledger.change() as change:
        for unit in units:
            change.append("exported", unit=unit, fields=fields)
