# SPDX-License-Identifier: GPL-3.0-or-later
"""Which charge points a virtual central system admits, and with which keys."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

from evtool.cli.options import open_project, secret_source
from evtool.errors import ConfigError
from evtool.protocol.ocpp16 import decode_authorization_key
from evtool.virtual.csms.accounts import Account

_FIELDS = frozenset({"key", "profile", "serial", "registration", "interval"})


def station_keys(project_path: Path | None) -> dict[str, bytes | None]:
    """Identity to key bytes (None: no password) of the project's charge point.

    Raises:
        ConfigError: no project, or a key that is wrong, never showing the key.
    """
    return _key_of_project(project_path)


def station_accounts(
    project_path: Path | None, stations_path: Path | None, open_to_all: bool
) -> dict[str, Account]:
    """Identity to account, from the project and the stations file.

    Without a stations file and without `open_to_all` the project is the one that the current
    folder is in.

    Raises:
        ConfigError: no station at all; a file or a key that is wrong, never showing the key.
    """
    accounts: dict[str, Account] = {}
    if stations_path is not None:
        accounts |= _accounts_of_file(stations_path)
    if project_path is not None or not (accounts or open_to_all):
        try:
            account = _account_of_project(project_path)
        except ConfigError as error:
            if project_path is not None:
                raise
            raise ConfigError(
                "no station to admit: there is no evtool.toml here",
                fix="name one with --project, a list with --stations, or admit all with --open",
            ) from error
        accounts[account.identity] = account
    return accounts


def _account_of_project(project_path: Path | None) -> Account:
    [(identity, key)] = _key_of_project(project_path).items()
    project = open_project(project_path)
    csms, serial = project.csms, project.charge_point.serial_number
    if csms.security_profile != 3:
        return Account(identity, key)
    is_by_serial = csms.client_certificate is not None and (
        _common_name(csms.client_certificate) == serial != identity
    )
    return Account(identity, key, profile=3, serial=serial if is_by_serial else None)


def _common_name(path: Path) -> str:
    """Of the first certificate in a file; "" where there is none."""
    from evtool.provision.certificate_chain import Remarks, common_name, read_certificates

    try:
        chain = read_certificates(path.read_bytes(), "it", Remarks())
    except OSError as error:
        raise ConfigError(
            f"[csms] client_certificate: cannot read {path}: {error.strerror or error}",
            fix="correct the path in evtool.toml",
        ) from error
    return common_name(chain[0]) if chain else ""


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


def _accounts_of_file(path: Path) -> dict[str, Account]:
    try:
        if path.stat().st_mode & 0o077:
            raise ConfigError(
                f"{path}: holds keys, and others may read it", fix=f"run: chmod 600 {path}"
            )
        text = path.read_text(encoding="utf-8-sig")  # some editors begin with a BOM
    except UnicodeDecodeError:
        # `from None`: the error carries the file's bytes
        raise ConfigError(
            f"{path}: not UTF-8 text", fix="save the file as UTF-8 in your editor"
        ) from None
    except OSError as error:
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
    return {identity: _account(path, identity, entry) for identity, entry in table.items()}


def _account(path: Path, identity: str, entry: object) -> Account:
    """`"KEY"`, or a table: key, profile, serial, registration, interval."""
    fields = {"key": entry} if isinstance(entry, str) else entry
    if not isinstance(fields, dict) or not identity or set(fields) - _FIELDS:
        raise ConfigError(
            f"{path}: {identity}: not a station",
            fix='write "CP-0001" = "the key", or a table with ' + ", ".join(sorted(_FIELDS)),
        )
    key = None
    if "key" in fields:
        try:
            key = decode_authorization_key(str(fields["key"]))
        except ValueError as error:
            raise _bad_key(path, identity, error) from None
    account = Account(identity, key, profile=0 if key is None else 1)
    account.profile = _within(path, identity, fields, "profile", account.profile, 3)
    if "interval" in fields:
        account.interval_s = _within(path, identity, fields, "interval", 0, 86_400)
    if "serial" in fields:
        account.serial = str(fields["serial"])
    account.registration = str(fields.get("registration", "Accepted"))
    if account.registration not in ("Accepted", "Pending", "Rejected"):
        raise ConfigError(
            f"{path}: {identity}: registration {account.registration!r}",
            fix="write Accepted, Pending or Rejected",
        )
    return account


def _within(
    path: Path, identity: str, fields: dict[str, object], name: str, default: int, high: int
) -> int:
    value = fields.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= high:
        raise ConfigError(
            f"{path}: {identity}: {name} {value!r}", fix=f"write a number from 0 to {high}"
        )
    return value


def _bad_key(path: Path, identity: str, error: ValueError) -> Exception:
    return ConfigError(f"{path}: {identity}: {error}", fix="generate a new key for the station")
