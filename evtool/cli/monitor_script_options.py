# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of `evtool monitor` about what is sent, and when the watch ends."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import click

from evtool.cli.monitor_options import F, add_options, seconds
from evtool.cli.result_file import ResultFile


@dataclass(frozen=True)
class ScriptOptions:
    """What the user gave, by the names of the options."""

    send: str = ""
    expect: tuple[re.Pattern[str], ...] = ()
    script: Path | None = None
    junit: Path | None = None
    elf: tuple[Path, ...] = ()
    until: re.Pattern[str] | None = None
    count: int | None = None
    duration_s: float | None = None
    timeout_s: float | None = None
    fail_on: re.Pattern[str] | None = None


def has_script(options: ScriptOptions) -> bool:
    """Whether a script, or options that stand for one, were given; UsageError where they clash."""
    if options.script is not None and options.expect:
        raise click.UsageError("--expect goes with no --script: write `expect` into the script")
    if options.script is None and not options.expect:
        if options.junit is not None:
            raise click.UsageError("--junit is for the results of --script or --expect")
        return False
    for name in ("until", "count", "duration_s"):
        if getattr(options, name) is not None:
            option = {"duration_s": "--for"}.get(name, f"--{name}")
            raise click.UsageError(f"{option} goes with no script: the script says when it is done")
    return True


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


def _expressions(
    context: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> tuple[re.Pattern[str], ...]:
    found = (expression(context, parameter, value) for value in values)
    return tuple(each for each in found if each is not None)


def _text(context: click.Context, parameter: click.Parameter, value: str) -> str:
    """Escapes as in a script's texts: \\r \\n \\t \\0 \\\\ \\xHH."""
    from evtool.monitor.script.words import ScriptError, unescape

    try:
        return unescape(value)
    except ScriptError as error:
        raise click.BadParameter(f"{error.message.partition(': ')[2]}; {error.fix}") from error


elf_option = click.option(
    "--elf",
    type=click.Path(path_type=Path, exists=True),
    multiple=True,
    metavar="FILE",
    help="The program's ELF file, or a folder of them, for decoding panics "
    "(default: the project's builds). It must be the one that the board runs.",
)
_OPTIONS = (
    click.option(
        "--send",
        default="",
        callback=_text,
        metavar="TEXT",
        help="Send this once (\\r, \\n, \\x03 are escapes): s starts a transaction, t stops it.",
    ),
    click.option(
        "--expect",
        callback=_expressions,
        multiple=True,
        metavar="REGEX",
        help="Wait for a line that matches; give several to wait for one after the other.",
    ),
    click.option(
        "--script",
        type=click.Path(dir_okay=False, path_type=Path),
        help="Run the steps of this file (docs/monitor-scripts.md).",
    ),
    click.option(
        "--junit",
        cls=ResultFile,
        type=click.Path(dir_okay=False, path_type=Path),
        help="Write the results of --script or --expect to this file, as JUnit XML.",
    ),
    elf_option,
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
        help="The limit for --until, --count, --expect and --script.",
    ),
    click.option(
        "--fail-on", callback=expression, metavar="REGEX", help="End with 1 when a line matches."
    ),
)
