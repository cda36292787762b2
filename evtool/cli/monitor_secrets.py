# SPDX-License-Identifier: GPL-3.0-or-later
"""The secrets that `evtool monitor` masks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from evtool.cli.options import open_project

if TYPE_CHECKING:
    from collections.abc import Iterator


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
    source = SecretSource(project.root)
    found = list(_generated_secrets(source.folder))
    for ref in (project.wifi.passphrase, project.csms.authorization_key):
        if ref.kind in ("env", "file"):
            try:
                found.append(source.resolve(ref, "secret").reveal())
            except ConfigError:
                continue  # a secret that is not there cannot be given away
    return found


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
