# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool provision nvs`: images of NVS partitions, made, read, compared and changed."""

from __future__ import annotations

import click

from evtool.cli.group import LazyGroup

COMMANDS: dict[str, tuple[str, str]] = {
    "build": ("evtool.cli.provision_nvs_build", "Make an image from a CSV file."),
    "read": ("evtool.cli.provision_nvs_read", "List what an image, or a board, holds."),
    "diff": ("evtool.cli.provision_nvs_diff", "Compare two images key by key."),
    "set": ("evtool.cli.provision_nvs_set", "Change one key of an image, or of a board."),
}


@click.group(cls=LazyGroup, lazy=COMMANDS)
def command() -> None:
    """Images of NVS partitions, plain and encrypted: make, read, compare, change.

    An image holds secrets: files are written with mode 0600, and values are shown only with
    --show-secrets, which asks.
    """
