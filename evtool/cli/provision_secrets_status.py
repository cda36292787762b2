# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool provision secrets status`: what is sealed with which key."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import click

from evtool.cli.ledger_option import existing_ledger, ledger_option
from evtool.cli.options import found_project, project_option
from evtool.cli.output import EXIT_CODES, Output, json_option


@click.command("status", epilog=EXIT_CODES)
@project_option
@ledger_option
@json_option
def command(project_path: Path | None, ledger_location: str | None, as_json: bool) -> None:
    """Count the sealed secrets and images by key, and the secrets that are kept in clear.

    Needs no key.
    """
    from evtool.provision.secrets.sealed_store import AFTER, KEYS, SECRETS, bound_name

    output = Output(as_json)
    project = found_project(project_path)
    names: list[tuple[str, str]] = []
    with existing_ledger(ledger_location, project) as ledger:
        if ledger is not None:
            names = ledger.sealed_names()
    replaced = {name.removeprefix(AFTER): new for name, new in names if name.startswith(AFTER)}
    keys = [key_id for name, key_id in names if name.startswith(KEYS)]
    bound = [(bound_name(name), key_id) for name, key_id in names]
    values = [(name, key_id) for name, key_id in bound if not name.startswith("sealing/")]
    secrets = Counter(key_id for name, key_id in values if name.startswith(SECRETS))
    others = Counter(key_id for name, key_id in values if not name.startswith(SECRETS))
    clear = kept_in_clear(Path.cwd() if project is None else project.root)
    lines = []
    for key_id in sorted(keys, key=lambda each: each in replaced):
        note = f", replaced by {replaced[key_id]}" if key_id in replaced else ""
        lines.append(f"key {key_id}{note}: {secrets[key_id]:,} secrets, {others[key_id]:,} images")
    left = sum(1 for _, key_id in values if key_id in replaced)
    if left:
        lines.append(f"{left:,} left under a replaced key: run `evtool provision secrets rotate`")
    lines.append(f"kept in clear: {len(clear)}" + (f" ({', '.join(clear[:5])})" if clear else ""))
    output.result(
        "\n".join(lines if keys else ["nothing is sealed yet", *lines]),
        {
            "event": "status",
            "keys": [
                {
                    "key_id": key_id,
                    "replaced_by": replaced.get(key_id),
                    "secrets": secrets[key_id],
                    "images": others[key_id],
                }
                for key_id in keys
            ],
            "kept_in_clear": clear,
        },
    )


def kept_in_clear(root: Path) -> list[str]:
    """Names of the files with generated secrets of the project at `root`."""
    from evtool.link.secret_source import SecretSource

    folder = SecretSource(root, create=False).folder
    if not folder.is_dir():
        return []
    return sorted(path.name for path in folder.iterdir() if path.name[0] != ".")
