# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of `evtool monitor` about what is sent, and when the watch ends."""

from __future__ import annotations

import re
from dataclasses import dataclass

import click

from evtool.cli.monitor_options import F, add_options, seconds


@dataclass(frozen=True)
class ScriptOptions:
    """What the user gave, by the names of the options."""

    send: str = ""
    until: re.Pattern[str] | None = None
    count: int | None = None
    duration_s: float | None = None
    timeout_s: float | None = None
    fail_on: re.Pattern[str] | None = None


def script_options(function: F) -> F:
    """All of them, passed on as keywords by the names in `ScriptOptions`."""
    return add_options(function, _OPTIONS)


def expression(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> re.Pattern[str] | None:
    """A click callback: a regular expression."""
    if value is None:
        return None
    try:
        return re.compile(value)
    except re.error as error:
        raise click.BadParameter(f"{value!r} is no regular expression: {error}") from error


def _board_keys(context: click.Context, parameter: click.Parameter, value: str) -> str:
    strange = sorted(set(value.lower()) - set("012345stm?"))
    if strange:
        raise click.BadParameter(f"{strange[0]!r} is no key of the board: 1 2 3 4 5 0 s t m ?")
    return value.lower()


_OPTIONS = (
    click.option(
        "--send",
        default="",
        callback=_board_keys,
        metavar="KEYS",
        help="Press these keys once: s starts a transaction, t stops it.",
    ),
    click.option(
        "--until",
        callback=expression,
        metavar="REGEX",
        help="End well when a line of the board matches.",
    ),
    click.option("--count", type=click.IntRange(min=1), help="End well after so many records."),
    click.option(
        "--for",
        "duration_s",
        type=float,
        callback=seconds,
        metavar="SECONDS",
        help="End after this time.",
    ),
    click.option(
        "--timeout",
        "timeout_s",
        type=float,
        callback=seconds,
        metavar="SECONDS",
        help="The limit for --until and --count.",
    ),
    click.option(
        "--fail-on", callback=expression, metavar="REGEX", help="End with 1 when a line matches."
    ),
)
