# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool provision secrets`: generated secrets, sealed in the ledger."""

from __future__ import annotations

import click

from evtool.cli.group import LazyGroup

COMMANDS: dict[str, tuple[str, str]] = {
    "new-key": ("evtool.cli.provision_secrets_new_key", "Make a key that seals secrets."),
    "generate": ("evtool.cli.provision_secrets_generate", "Make a fleet's secrets beforehand."),
    "status": ("evtool.cli.provision_secrets_status", "Count what is sealed, and what is not."),
    "seal": ("evtool.cli.provision_secrets_seal", "Seal secrets that were kept in clear."),
    "rotate": ("evtool.cli.provision_secrets_rotate", "Seal everything with another key."),
    "export": ("evtool.cli.provision_secrets_export", "Hand AuthorizationKeys to a CSMS."),
}


@click.group(cls=LazyGroup, lazy=COMMANDS)
def command() -> None:
    """The secrets that evtool has generated, sealed in the ledger (docs/fleet.md).

    What opens them is a key of 64 hex digits or a passphrase, in the keyring, a file, a
    variable or a person's head; `[provision] sealing_key` in evtool.toml says which.
    """
