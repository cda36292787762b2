# SPDX-License-Identifier: GPL-3.0-or-later
"""The group of commands, each imported when it is used, and errors as exit codes."""

from __future__ import annotations

import importlib
import json
import os
import sys

import click

from evtool.cli.output import leave_without_reader
from evtool.errors import EvtoolError

# name: (module, one line for the list of commands)
COMMANDS: dict[str, tuple[str, str]] = {
    "init": ("evtool.cli.init", "Lay out a project: evtool.toml and a firmware to edit."),
    "doctor": ("evtool.cli.doctor", "Check this machine and project; say what is missing."),
    "codegen": ("evtool.cli.codegen", "Generate secrets.h and the CAN tables."),
    "build": ("evtool.cli.build", "Build the firmware with PlatformIO."),
    "provision": ("evtool.cli.provision", "Give a board its identity, keys and certificates."),
    "flash": ("evtool.cli.flash", "Write the firmware to a board and verify it."),
    "monitor": ("evtool.cli.monitor", "Watch the serial console: views 1-5, s, t, 0."),
    "verify": ("evtool.cli.verify", "Compare the firmware with the reference controller."),
    "sim": ("evtool.cli.sim", "Run virtual hardware: board, vehicle, CSMS."),
    "demo": ("evtool.cli.demo", "Do the whole main job on virtual hardware."),
}


class LazyGroup(click.Group):
    """A group whose commands live in modules of their own, imported only when used."""

    def __init__(self, *args: object, lazy: dict[str, tuple[str, str]], **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]  # click's own signature
        self.lazy = lazy

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.lazy:
            return None
        command = importlib.import_module(self.lazy[cmd_name][0]).command
        if not isinstance(command, click.Command):
            raise TypeError(f"{self.lazy[cmd_name][0]}.command is not a click command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in self.lazy.items()])


@click.group(cls=LazyGroup, lazy=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="evtool", message="evtool %(version)s")
def group() -> None:
    """From source to a commissioned unit: ESP32 EV charge points.

    Start with `evtool init DIR`, or see everything at work with `evtool demo`.
    """


def run() -> None:
    """Run the command line; the one place where an error becomes an exit code."""
    _open_missing_streams()
    if "_EVTOOL_COMPLETE" in os.environ:  # a shell asks for completions
        group.main(prog_name="evtool")
    try:
        code = _run(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:
        leave_without_reader()  # what it did not read it did not see: this is no success
    sys.exit(code)


def _run(arguments: list[str]) -> int:
    try:
        # Not group.main(): that one turns a broken pipe into exit code 1.
        with group.make_context("evtool", arguments) as context:
            result = group.invoke(context)
    except click.exceptions.Exit as end:
        return end.exit_code
    except EvtoolError as error:
        if "--json" in arguments:
            sys.stdout.write(json.dumps(error.as_dict(), ensure_ascii=False) + "\n")
        click.echo(f"evtool: {error}", err=True)
        return error.exit_code
    except (click.exceptions.Abort, KeyboardInterrupt):
        click.echo("evtool: stopped", err=True)
        return 130
    except click.ClickException as error:
        error.show()
        return error.exit_code
    return result if isinstance(result, int) else 0


def _open_missing_streams() -> None:
    """A daemon's child may have no stdout at all; writing to it must not be an error."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123
