# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool provision secrets seal`: what was kept in clear, into the ledger."""

from __future__ import annotations

from pathlib import Path

import click

from evtool.cli.ledger_option import ledger_option, opened_ledger
from evtool.cli.options import found_project, project_option
from evtool.cli.output import EXIT_CODES, Output, json_option
from evtool.cli.sealing_option import needed_place, open_sealed, sealing_option, unit_secrets

_SHOWN = 40


@click.command("seal", epilog=EXIT_CODES)
@click.option("--unit", "units", multiple=True, metavar="ID", help="Also of this unit.")
@click.option("--remove-clear", is_flag=True, help="Remove the files, once sealed.")
@project_option
@ledger_option
@sealing_option
@json_option
def command(
    units: tuple[str, ...],
    remove_clear: bool,
    project_path: Path | None,
    ledger_location: str | None,
    sealing_key: str | None,
    as_json: bool,
) -> None:
    """Seal generated secrets that lie in .evtool/secrets, of the project and its ledger's units.

    The files stay, unless --remove-clear is given: then each is removed when its secret can be
    read back from the ledger.
    """
    from evtool.cli.provision_secrets_status import kept_in_clear
    from evtool.link.secret_source import SecretSource
    from evtool.provision.fleet.order import AUTHORIZATION_KEY, WIFI_PASSPHRASE

    output = Output(as_json)
    project = found_project(project_path)
    root = Path.cwd() if project is None else project.root
    place = needed_place(sealing_key, project)
    files = SecretSource(root, create=False)
    sealed, removed = [], []
    with opened_ledger(ledger_location, project) as ledger:
        store = unit_secrets(open_sealed(ledger, place, root), root)
        known = dict.fromkeys(units)
        known |= dict.fromkeys([] if project is None else [project.charge_point.identity])
        known |= dict.fromkeys(str(records[0].unit) for records in ledger.latest())
        for unit in known:
            for name in (AUTHORIZATION_KEY, WIFI_PASSPHRASE):
                path = files.kept_path(f"{unit} {name}")
                if not path.is_file() or store.seal_kept(unit, name) is None:
                    continue
                sealed.append(f"{unit} {name}")
                if remove_clear:
                    path.unlink()
                    removed.append(path.name)
    left = kept_in_clear(root)
    lines = [f"sealed: {each}" for each in sealed[:_SHOWN]] or ["nothing to seal"]
    if len(sealed) > _SHOWN:
        lines.append(f"... and {len(sealed) - _SHOWN:,} more")
    if left:
        lines.append(f"{len(left)} still in clear: {', '.join(left[:5])}")
    output.result(
        "\n".join(lines),
        {"event": "sealed", "secrets": sealed, "removed": removed, "kept_in_clear": left},
    )
