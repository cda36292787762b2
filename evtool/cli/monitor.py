# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool monitor`: watch a board's serial console."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from evtool.cli.options import open_project, project_option, serial_port_option
from evtool.cli.output import Output, json_option

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import ExitStack

    from evtool.monitor.goal import Goal
    from evtool.monitor.session import Display

_MAX_SECONDS = 10_000_000

EPILOG = """\b
Examples:
  evtool monitor --serial-port /dev/ttyUSB0
  evtool monitor --serial-port /dev/ttyUSB0 --view 1 --json --count 10
  evtool monitor --serial-port /dev/ttyUSB0 --until '^\\[event\\] boot' --timeout 20

\b
Exit codes:
  0    the goal was reached (--until, --count, --for), or q was pressed
  1    --until or --count not reached within --timeout, --fail-on matched, or the
       program on the board broke down before the goal
  2    fix the option that the message names
  3    no such port, in use, or gone; or the board said nothing at all
  130  stopped with Ctrl-C
"""


def _expression(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> re.Pattern[str] | None:
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


def _seconds(
    context: click.Context, parameter: click.Parameter, value: float | None
) -> float | None:
    # click's FloatRange lets NaN pass, which is neither below nor above its limits
    if value is not None and not 0 < value <= _MAX_SECONDS:
        raise click.BadParameter(f"{value:g} is not a time above 0 and up to {_MAX_SECONDS} s")
    return value


@click.command(epilog=EPILOG)
@serial_port_option
@click.option(
    "--baudrate",
    type=click.IntRange(min=1),
    default=115200,
    show_default=True,
    help="The console's speed.",
)
@click.option(
    "--view",
    "views",
    multiple=True,
    type=click.Choice(["1", "2", "3", "4", "5", "0"]),
    help="1 bms, 2 power module, 3 output, 4 terminal, 5 all (the default), 0 none; "
    "give it twice to see two.",
)
@click.option(
    "--send",
    default="",
    callback=_board_keys,
    metavar="KEYS",
    help="Press these keys once: s starts a transaction, t stops it.",
)
@click.option(
    "--until",
    callback=_expression,
    metavar="REGEX",
    help="End well when a line of the board matches.",
)
@click.option("--count", type=click.IntRange(min=1), help="End well after so many records.")
@click.option(
    "--for",
    "duration_s",
    type=float,
    callback=_seconds,
    metavar="SECONDS",
    help="End after this time.",
)
@click.option(
    "--timeout",
    "timeout_s",
    type=float,
    callback=_seconds,
    metavar="SECONDS",
    help="The limit for --until and --count.",
)
@click.option(
    "--fail-on", callback=_expression, metavar="REGEX", help="End with 1 when a line matches."
)
@click.option(
    "--log",
    "log_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Add every line, with the time, to this file.",
)
@click.option("--timestamps", is_flag=True, help="Begin each printed line with the time.")
@click.option("--plain", is_flag=True, help="Print lines in a terminal too, instead of tables.")
@click.option("--no-reconnect", is_flag=True, help="End with 3 when the port disappears.")
@project_option
@json_option
def command(  # noqa: PLR0913, PLR0917  one parameter for each option
    serial_port: str,
    baudrate: int,
    views: tuple[str, ...],
    send: str,
    until: re.Pattern[str] | None,
    count: int | None,
    duration_s: float | None,
    timeout_s: float | None,
    fail_on: re.Pattern[str] | None,
    log_path: Path | None,
    timestamps: bool,
    plain: bool,
    no_reconnect: bool,
    project_path: Path | None,
    as_json: bool,
) -> None:
    """Watch a board's serial console without resetting it.

    In a terminal the chosen view is a live table, and the board's keys work: 1-5 choose a
    view, s starts a transaction, t stops it, 0 mutes, m prints the board's menu; q or Ctrl-C
    ends. Without a terminal, or with --plain, lines of text; with --json, JSON lines.

    The project's secrets are masked on the screen and in the log where evtool.toml is found
    (--project), except those that would have to be asked for.
    """
    import time
    from contextlib import ExitStack

    from evtool.link import clock, serial_line
    from evtool.link.keyboard import Keyboard
    from evtool.monitor.redact import Redactor
    from evtool.monitor.session import Session, Wiring

    goal, view_key = _goal(views, until, fail_on, count, duration_s, timeout_s)
    secrets = _known_secrets(project_path)
    with ExitStack() as stack:
        _end_on_signals(stack)
        log = _open_log(stack, log_path)
        keyboard = None
        if not as_json and sys.stdout.isatty() and Keyboard.available():
            keyboard = stack.enter_context(Keyboard())
        display = _display(
            stack,
            serial_port,
            goal,
            as_json=as_json,
            plain=plain or keyboard is None,
            timestamps=timestamps,
        )
        wiring = Wiring(
            open_port=lambda: serial_line.open_serial_line(serial_port, baudrate),
            now_ms=clock.monotonic_ms,
            pause=time.sleep,
            keys=keyboard.read if keyboard is not None else bytes,
            log=log,
        )
        Session(
            wiring,
            display,
            Redactor(secrets),
            port_name=serial_port,
            goal=goal,
            view_key=view_key,
            send=send,
            reconnect=not no_reconnect,
        ).run()


def _goal(
    views: tuple[str, ...],
    until: re.Pattern[str] | None,
    fail_on: re.Pattern[str] | None,
    count: int | None,
    duration_s: float | None,
    timeout_s: float | None,
) -> tuple[Goal, str]:
    """What the options ask for, and the view's key; UsageError where they contradict."""
    from evtool.monitor.goal import Goal
    from evtool.monitor.views import ALL, MUTE, VIEW_RECORDS

    if duration_s is not None and (until is not None or count is not None):
        raise click.UsageError(
            "--for ends well in any case: use --timeout with --until and --count"
        )
    if timeout_s is not None and until is None and count is None:
        raise click.UsageError(
            "--timeout limits --until and --count: use --for to end after a time"
        )
    chosen = set(views or (ALL,))
    if MUTE in chosen and len(chosen) > 1:
        raise click.UsageError("--view 0 shows no view: it goes with no other")
    if MUTE in chosen and count is not None:
        raise click.UsageError("--count counts the records of a view: --view 0 has none")
    wanted = {name for key in chosen for name in VIEW_RECORDS[key]}
    goal = Goal(
        until=until,
        fail_on=fail_on,
        count=count,
        duration_ms=None if duration_s is None else round(duration_s * 1000),
        timeout_ms=None if timeout_s is None else round(timeout_s * 1000),
        records=tuple(name for name in VIEW_RECORDS[ALL] if name in wanted),
    )
    # the board shows one view or all: two are picked out of all
    return goal, chosen.pop() if len(chosen) == 1 else ALL


def _display(
    stack: ExitStack, serial_port: str, goal: Goal, *, as_json: bool, plain: bool, timestamps: bool
) -> Display:
    from evtool.link.clock import unix_ms

    if as_json:
        from evtool.cli.monitor_lines import JsonLines

        return JsonLines(Output(as_json), unix_ms, serial_port)
    if not plain:
        from rich.console import Console

        from evtool.cli.monitor_screen import Screen

        console = Console(highlight=False)
        if not console.is_dumb_terminal:
            return stack.enter_context(Screen(console, serial_port, goal.records))
    from evtool.cli.monitor_lines import TextLines

    return TextLines(unix_ms, timestamps=timestamps)


def _open_log(stack: ExitStack, path: Path | None) -> Callable[[str], None] | None:
    if path is None:
        return None
    from evtool.cli.monitor_lines import timestamp
    from evtool.link.clock import unix_ms
    from evtool.link.log_file import LogFile

    log = stack.enter_context(LogFile(path))
    return lambda line: log.append(f"{timestamp(unix_ms())} {line}")


def _known_secrets(project_path: Path | None) -> list[str]:
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


def _end_on_signals(stack: ExitStack) -> None:
    """Let SIGTERM and SIGHUP unwind the stack, so that the terminal is given back."""
    import signal
    from types import FrameType

    def end(number: int, frame: FrameType | None) -> None:
        sys.exit(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        stack.callback(signal.signal, number, signal.signal(number, end))
