# SPDX-License-Identifier: GPL-3.0-or-later
"""A project's identity with its secrets resolved: the same for every command that needs it.

The labels are the names under which generated secrets are kept: two commands with different
labels would give one unit two keys.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from evtool.cli.options import secret_source

if TYPE_CHECKING:
    from pathlib import Path

    from evtool.project import Project
    from evtool.provision.identity import Identity, IdentityInput


def identity_input(project: Project, *, create: bool = True) -> IdentityInput:
    """What evtool.toml and its references say, not checked yet.

    Raises:
        ConfigError: a secret or the certificate's file is missing.
    """
    from evtool.provision.identity import IdentityInput

    source = secret_source(project, create=create)
    unit = project.charge_point.identity
    return IdentityInput(
        charge_point=project.charge_point,
        wifi_ssid=project.wifi.ssid,
        wifi_passphrase=source.resolve(project.wifi.passphrase, f"{unit} wifi_passphrase"),
        csms_url=project.csms.url,
        authorization_key=source.resolve(
            project.csms.authorization_key, f"{unit} authorization_key"
        ),
        security_profile=project.csms.security_profile,
        ca_certificate=_certificate(project.csms.ca_certificate, "ca_certificate"),
        client_certificate=_certificate(project.csms.client_certificate, "client_certificate"),
        client_key=None
        if project.csms.client_key is None
        else source.resolve_text(project.csms.client_key, f"{unit} client_key"),
    )


def checked_identity(project: Project, *, create: bool = True) -> Identity:
    """The identity with every rule kept; with `create` False no secret is generated for it.

    Raises:
        ConfigError: naming line and key of each that is not, or of a missing secret.
    """
    from evtool.provision.identity import check_identity
    from evtool.toml_table import TomlTables

    tables = TomlTables(project.path)
    return check_identity(
        identity_input(project, create=create),
        now=datetime.now(UTC),
        locate=lambda table, key: f"{project.path}:{tables.line(table, key)}",
    )


def _certificate(path: Path | None, key: str) -> bytes | None:
    from evtool.errors import ConfigError

    if path is None:
        return None
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"[csms] {key}: cannot read {path}: {error.strerror or error}",
            fix="correct the path in evtool.toml",
        ) from error
