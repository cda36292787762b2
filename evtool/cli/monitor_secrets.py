# SPDX-License-Identifier: GPL-3.0-or-later
"""The secrets that `evtool monitor` masks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from evtool.cli.options import open_project

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evtool.link.secret_source import SecretSource
    from evtool.project import Project

_MOST_SEALED = 1000


def known_secrets(project_path: Path | None) -> list[str]:
    """The project's secrets, as far as nobody need be asked and nothing need be made."""
    from evtool.errors import ConfigError
    from evtool.link.secret_source import SecretSource
    from evtool.project import find_project

    try:
        if project_path is None:
            project_path = find_project(Path.cwd())
    except ConfigError:
        return []
    project = open_project(project_path)
    source = SecretSource(project.root, any_mode=True)
    found = [*_generated_secrets(source.folder), *_sealed_secrets(project)]
    for ref in (project.wifi.passphrase, project.csms.authorization_key):
        if ref.kind in ("env", "file"):
            try:
                found.append(source.resolve(ref, "secret").reveal())
            except ConfigError:
                continue  # a secret that is not there cannot be given away
    return found + _client_key(project, source)


def _client_key(project: Project, source: SecretSource) -> list[str]:
    """The unit's private key as it was written down, and as the unit has it."""
    from evtool.errors import ConfigError
    from evtool.provision.client_certificate import as_pkcs8

    if project.csms.client_key is None:
        return []
    try:
        key = source.resolve_text(project.csms.client_key, "secret")
    except ConfigError:
        return []
    form = as_pkcs8(key)
    if form is None and "PRIVATE KEY-----" not in key.reveal():
        return []  # another file was named: nobody takes it for a key, and it may be large
    return [key.reveal()] + ([] if form is None else [form])


def _sealed_secrets(project: Project) -> list[str]:
    """The sealed ones: the project's own unit's, and those of a fleet that is not too large.

    Each takes some 50 KB of memory in the redactor.
    """
    from contextlib import closing

    from evtool.cli.sealing_option import is_anything_sealed, open_sealed
    from evtool.errors import EvtoolError
    from evtool.provision.secrets.sealed_store import SECRETS

    place, where = project.provision.sealing_key, project.provision.ledger
    if place is None or place.kind == "prompt" or not ("://" in where or Path(where).is_file()):
        return []
    from evtool.link.ledger_database import look_at_ledger

    try:
        looked = look_at_ledger(where)
        if looked is None:
            return []
        with closing(looked) as ledger:
            if not is_anything_sealed(ledger):
                return []
            store = open_sealed(ledger, place, project.root, create=False)
            own = f"{SECRETS}{project.charge_point.identity}/"
            names = [name for name, _ in ledger.sealed_names(SECRETS)]
            names.sort(key=lambda name: not name.startswith(own))
            return [value.decode() for value in store.get_all(names[:_MOST_SEALED]).values()]
    except EvtoolError:
        return []  # what nobody can open here, nobody gives away here


def _generated_secrets(folder: Path) -> Iterator[str]:
    """Every secret that evtool has made for this project: a bench sees several boards."""
    try:
        paths = [path for path in folder.iterdir() if path.name[0] != "." and path.is_file()]
    except OSError:
        return
    for path in paths:
        try:
            secret = path.read_text(encoding="utf-8").partition("\n")[0]
        except (OSError, UnicodeDecodeError):
            continue
        if secret:
            yield secret
