# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of `evtool verify --device board`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from evtool.cli.options import can_options

F = TypeVar("F", bound=Callable[..., Any])

_MAX_DURATION_S = 120
# Beyond this a board that never tells the module off would pass in a short scenario.
_MAX_TOLERANCE_MS = 2_000


_OPTIONS = {
    "serial_port": "--serial-port",
    "can_interface": "--can-interface",
    "can_channel": "--can-channel",
    "bms_can_channel": "--bms-can-channel",
    "csms_listen": "--csms-listen",
    "max_duration_s": "--max-duration",
    "tolerance_ms": "--tolerance-ms",
}


@dataclass(frozen=True, slots=True)
class BoardOptions:
    """What the user gave, by the names of the options; times in the unit of the name."""

    serial_port: str | None
    can_interface: str
    can_channel: str | None
    bms_can_channel: str | None
    csms_listen: str | None
    max_duration_s: int
    tolerance_ms: int | None

    def require_board(self) -> None:
        """Refuse options that only a board has use for."""
        context = click.get_current_context()
        for name, option in _OPTIONS.items():
            source = context.get_parameter_source(name)
            if source not in (None, ParameterSource.DEFAULT, ParameterSource.DEFAULT_MAP):
                raise click.UsageError(f"{option} is for --device board")


def board_options(function: F) -> F:
    """All of them, passed on by the names in `BoardOptions`."""
    options = (
        click.option(
            "--serial-port",
            metavar="PORT",
            help="The board's console, with --device board.",
        ),
        can_options,
        click.option(
            "--bms-can-channel",
            metavar="CHANNEL",
            help="The BMS's own bus, where the board has two.",
        ),
        click.option(
            "--csms-listen",
            metavar="HOST:PORT",
            help="Be the board's CSMS here: where the project's csms.url leads. Without it no "
            "scenario that needs a transaction can be played on a board.",
        ),
        click.option(
            "--max-duration",
            "max_duration_s",
            type=click.IntRange(1, 86_400),
            default=_MAX_DURATION_S,
            show_default=True,
            metavar="S",
            help="Leave out scenarios that take longer on a board, which runs in real time.",
        ),
        click.option(
            "--tolerance-ms",
            type=click.IntRange(0, _MAX_TOLERANCE_MS),
            metavar="MS",
            help="What bus, console and this computer may take, part of every tolerance "
            "(default: 200).",
        ),
    )
    decorated = function
    for option in reversed(options):
        decorated = option(decorated)
    return decorated
