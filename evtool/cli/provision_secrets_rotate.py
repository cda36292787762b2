# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool provision secrets rotate`: another sealing key for everything."""

from __future__ import annotations

from pathlib import Path

import click

from evtool.cli.ledger_option import ledger_option, opened_ledger
from evtool.cli.options import found_project, project_option
from evtool.cli.output import EXIT_CODES, Output, json_option
from evtool.cli.sealing_option import (
    FORMS,
    needed_place,
    open_sealed,
    read_key,
    read_place,
    sealing_option,
)


@click.command("rotate", epilog=EXIT_CODES)
@click.option("--new-sealing-key", required=True, metavar="WHERE", help=f"The new one: {FORMS}.")
@project_option
@ledger_option
@sealing_option
@json_option
def command(
    new_sealing_key: str,
    project_path: Path | None,
    ledger_location: str | None,
    sealing_key: str | None,
    as_json: bool,
) -> int:
    """Seal everything in the ledger with another key or passphrase.

    May be stopped or killed at any moment: the same command goes on where it was. From its
    first moment on nothing more is sealed with the old key, on any station. Afterwards name
    the new key in evtool.toml, and destroy the old one only when all backups are as new.
    """
    import secrets

    from evtool.provision.secrets.rotation import rotate

    output = Output(as_json)
    project = found_project(project_path)
    root = Path.cwd() if project is None else project.root
    new_place = read_place(new_sealing_key, "--new-sealing-key")
    place = needed_place(sealing_key, project)
    with opened_ledger(ledger_location, project) as ledger:
        store = open_sealed(ledger, place, root, create=False)
        if new_place.kind == "prompt":
            output.say("the new passphrase, twice:")
        new = read_key(new_place, root, is_new=True)
        done = rotate(store, new, secrets.token_bytes, lambda n: output.event("sealed", count=n))
    for problem in done.broken:
        output.say(f"problem: {problem}")
    output.result(
        f"{done.resealed:,} values are sealed with the key {done.key_id} now",
        {
            "event": "rotated",
            "key_id": done.key_id,
            "resealed": done.resealed,
            "problems": done.broken,
        },
    )
    return 1 if done.broken else 0
