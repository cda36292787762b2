# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool provision secrets new-key`: 256 bits into the keyring or a file."""

from __future__ import annotations

import click

from evtool.cli.output import EXIT_CODES, Output, json_option


@click.command("new-key", epilog=EXIT_CODES)
@click.argument("where")
@json_option
def command(where: str, as_json: bool) -> None:
    """Make a sealing key and keep it at WHERE: keyring:NAME or file:PATH.

    It is never printed, and never takes the place of another. Without it what it has sealed is
    lost: keep a copy of it away from the ledger.
    """
    from pathlib import Path

    from evtool.cli.sealing_option import read_place
    from evtool.link.core_dumps import forbid_core_dumps
    from evtool.link.sealing_key import keep_sealing_key, new_sealing_key
    from evtool.provision.secrets.key_derivation import Derivation, sealing_key

    output = Output(as_json)
    forbid_core_dumps()
    place = read_place(where, "WHERE")
    key = new_sealing_key()
    keep_sealing_key(place, key)
    key_id = sealing_key(key, Derivation()).key_id
    name = f'"{Path(place.name)}"' if place.kind == "file" else f'"{place.name}"'
    output.result(
        f"sealing key {key_id} in {where}\n"
        f"  in evtool.toml: [provision] sealing_key = {{ {place.kind} = {name} }}\n"
        "  keep a copy of it elsewhere: without it what it seals is lost",
        {"event": "made", "key_id": key_id, "where": where},
    )
