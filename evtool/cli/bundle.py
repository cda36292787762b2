# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool bundle`: everything that an ESP32 build needs, for a computer without a network."""

from __future__ import annotations

import click

from evtool.cli.group import LazyGroup

COMMANDS: dict[str, tuple[str, str]] = {
    "create": ("evtool.cli.bundle_create", "Pack everything that a build needs into one file."),
    "verify": ("evtool.cli.bundle_verify", "Check a bundle, or the one that is installed."),
    "install": ("evtool.cli.bundle_install", "Install a bundle; `evtool build` uses it then."),
}


@click.group(cls=LazyGroup, lazy=COMMANDS)
def command() -> None:
    """Builds for the ESP32 on a computer without a network.

    On a computer that has built the project: `evtool bundle create`. On the other one:
    `evtool bundle install FILE`, then `evtool build --env esp32dev` as ever.
    """
