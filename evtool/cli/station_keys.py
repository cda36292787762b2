# SPDX-License-Identifier: GPL-3.0-or-later
"""Which charge points a virtual central system admits, and with which keys."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

from evtool.cli.options import open_project, secret_source
from evtool.errors import ConfigError
from evtool.protocol.ocpp16 import decode_authorization_key


def station_keys(
    project_path: Path | None, stations_path: Path | None, open_to_all: bool
) -> dict[str, bytes | None]:
    """Identity to key bytes (None: no password), from the project and the stations file.

    Without a stations file and without `open_to_all` the project is the one that the current
    folder is in.

    Raises:
        ConfigError: no station at all; a file or a key that is wrong, never showing the key.
    """
    keys: dict[str, bytes | None] = {}
    if stations_path is not None:
        keys |= _keys_of_file(stations_path)
    if project_path is not None or not (keys or open_to_all):
        try:
            keys |= _key_of_project(project_path)
        except ConfigError as error:
            if project_path is not None:
                raise
            raise ConfigError(
                "no station to admit: there is no evtool.toml here",
                fix="name one with --project, a list with --stations, or admit all with --open",
            ) from error
    return keys


def _key_of_project(project_path: Path | None) -> dict[str, bytes | None]:
    project = open_project(project_path)
    identity = project.charge_point.identity
    if project.csms.security_profile == 0:
        return {identity: None}
    secret = secret_source(project).resolve(
        project.csms.authorization_key, f"{identity} authorization_key"
    )
    try:
        return {identity: decode_authorization_key(secret.reveal())}
    except ValueError as error:
        raise _bad_key(project.path, identity, error) from None


def _keys_of_file(path: Path) -> dict[str, bytes | None]:
    try:
        if path.stat().st_mode & 0o077:
            raise ConfigError(
                f"{path}: holds keys, and others may read it", fix=f"run: chmod 600 {path}"
            )
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}", fix="check --stations") from error
    try:
        document = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except ValueError as error:
        # The parsers quote no value, only the place.
        raise ConfigError(f"{path}: {error}", fix="correct the file") from None
    table = document.get("stations") if isinstance(document, dict) else None
    if not isinstance(table, dict) or not table:
        raise ConfigError(
            f"{path}: no table [stations]", fix='write [stations] and "CP-0001" = "the key"'
        )
    keys: dict[str, bytes | None] = {}
    for identity, key in table.items():
        try:
            keys[identity] = decode_authorization_key(key if isinstance(key, str) else "")
        except ValueError as error:
            raise _bad_key(path, identity, error) from None
    return keys


def _bad_key(path: Path, identity: str, error: ValueError) -> Exception:
    return ConfigError(f"{path}: {identity}: {error}", fix="generate a new key for the station")
