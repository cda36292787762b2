# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool monitor`: watch a board's serial console."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from evtool.cli.group import LazyGroup, refuse_options
from evtool.cli.monitor_options import StreamOptions, collect, stream_options
from evtool.cli.monitor_script_options import ScriptOptions, script_options
from evtool.cli.monitor_view_options import ViewOptions, view_options
from evtool.cli.options import project_option
from evtool.cli.output import json_option

EPILOG = """\b
Examples:
  evtool monitor --serial-port /dev/ttyUSB0
  evtool monitor --serial-port /dev/ttyUSB0 --view 1 --json --count 10
  evtool monitor --serial-port /dev/ttyUSB0 --until '^\\[event\\] boot' --timeout 20
  evtool monitor --serial-port /dev/ttyUSB0 --script smoke.evs --junit results.xml
  evtool monitor --serial-port /dev/ttyUSB0 --csv run.csv --plot run.html --log run.log
  evtool monitor replay run.log --speed 10

\b
Exit codes:
  0    the goal was reached (--until, --count, --for, --expect, --script), or q was
       pressed where there was none
  1    it was not reached in time, an assertion of the script does not hold, --fail-on
       matched, or the program on the board broke down before the goal
  2    fix the option, or the line of the script, that the message names
  3    no such port, in use, or gone; or the board said nothing at all
  129  the terminal was closed
  130  stopped with Ctrl-C, or with q before the goal was reached
"""


COMMANDS: dict[str, tuple[str, str]] = {
    "coredump": ("evtool.cli.monitor_coredump", "Read the core dump in a board's flash."),
    "replay": ("evtool.cli.monitor_replay", "Play a recorded console: any view, any speed."),
}


class _MonitorGroup(LazyGroup):
    """What the watch requires, the commands below it do not."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] in self.lazy:
            for parameter in self.params:
                parameter.required = False
        return super().parse_args(ctx, args)


@click.group(
    "monitor",
    cls=_MonitorGroup,
    lazy=COMMANDS,
    invoke_without_command=True,
    subcommand_metavar="[COMMAND [ARGS]...]",
    epilog=EPILOG,
)
@stream_options
@view_options
@script_options
@project_option
@json_option
def command(*, project_path: Path | None, as_json: bool, **values: Any) -> None:
    """Watch a board's serial console without resetting it.

    In a terminal the chosen view is a live table, and the board's keys work: 1-5 choose a
    view, s starts a transaction, t stops it, 0 mutes, m prints the board's menu; q or Ctrl-C
    ends. Without a terminal, or with --plain, lines of text; with --json, JSON lines.

    The project's secrets are masked on the screen and in the log where evtool.toml is found
    (--project), except those that would have to be asked for.
    """
    context = click.get_current_context()
    if context.invoked_subcommand is not None:
        refuse_options(context)
        return
    from evtool.cli.monitor_run import Order, run

    run(
        Order(
            stream=collect(StreamOptions, values),
            view=collect(ViewOptions, values),
            script=collect(ScriptOptions, values),
            project_path=project_path,
            as_json=as_json,
        )
    )
