# SPDX-License-Identifier: GPL-3.0-or-later
"""The group of commands, each imported when it is used, and errors as exit codes."""

from __future__ import annotations

import errno
import importlib
import io
import os
import signal
import sys
from typing import TYPE_CHECKING

import click

from evtool.cli.output import Output, discard_stdout, leave_without_reader
from evtool.errors import EvtoolError

if TYPE_CHECKING:
    from types import FrameType

# name: (module, one line for the list of commands)
COMMANDS: dict[str, tuple[str, str]] = {
    "init": ("evtool.cli.init", "Lay out a project: evtool.toml and a firmware to edit."),
    "doctor": ("evtool.cli.doctor", "Check this machine and project; say what is missing."),
    "codegen": ("evtool.cli.codegen", "Generate secrets.h and the CAN tables."),
    "build": ("evtool.cli.build", "Build the firmware with PlatformIO."),
    "size": ("evtool.cli.size", "Show flash and RAM of the last build, by module."),
    "bundle": ("evtool.cli.bundle", "Carry a build's packages to a computer without network."),
    "provision": ("evtool.cli.provision", "Give a board its identity, keys and certificates."),
    "flash": ("evtool.cli.flash", "Write the firmware to a board and verify it."),
    "monitor": ("evtool.cli.monitor", "Watch the serial console: views 1-5, s, t, 0."),
    "verify": ("evtool.cli.verify", "Compare the firmware with the reference controller."),
    "sim": ("evtool.cli.sim", "Run virtual hardware: board, vehicle, CSMS."),
    "ocpp": ("evtool.cli.ocpp", "Check a connection to a central system."),
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


def refuse_options(context: click.Context) -> None:
    """What is given before a subcommand's name would have no effect."""
    for name in context.params:
        if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
            command, subcommand = context.command_path, context.invoked_subcommand
            raise click.UsageError(
                f"`{command}` and its options are one thing, `{subcommand}` is another; "
                f"put options behind `{subcommand}`"
            )


@click.group(cls=LazyGroup, lazy=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="evtool", message="evtool %(version)s")
def group() -> None:
    """From source to a commissioned unit: ESP32 EV charge points.

    Start with `evtool init DIR`, or see everything at work with `evtool demo`.
    """


def run() -> None:
    """Run the command line; the one place where an error becomes an exit code."""
    _open_missing_streams()
    _end_on_signals()
    if "_EVTOOL_COMPLETE" in os.environ:  # a shell asks for completions
        group.main(prog_name="evtool")
    try:
        code = _run(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:
        leave_without_reader()  # what it did not read it did not see: this is no success
    except OSError as error:
        if error.errno != errno.ENOSPC or error.filename is not None:
            raise
        discard_stdout()
        click.echo(f"evtool: cannot write the output: {error.strerror}", err=True)
        code = EvtoolError.exit_code
    sys.exit(code)


def _run(arguments: list[str]) -> int:
    try:
        # Not group.main(): that one turns a broken pipe into exit code 1.
        with group.make_context("evtool", arguments) as context:
            result = group.invoke(context)
    except click.exceptions.Exit as end:
        return end.exit_code
    except EvtoolError as error:
        return _report(error, arguments)
    except (click.exceptions.Abort, KeyboardInterrupt):
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a second one needs no words
        click.echo("evtool: stopped", err=True)
        return 130
    except click.ClickException as error:
        from evtool.cli.result_file import remove_results_of

        remove_results_of(error, arguments)
        if "--json" in arguments:
            _print_usage_error(error)
        error.show()
        return error.exit_code
    except OSError as error:
        # A file that no command expected to fail; without a file's name it is our bug.
        if error.filename is None:
            raise
        return _report(_file_error(error), arguments)
    return result if isinstance(result, int) else 0


def _report(error: EvtoolError, arguments: list[str]) -> int:
    if "--json" in arguments:
        Output(as_json=True).result("", error.as_dict())
    click.echo(f"evtool: {error}", err=True)
    return error.exit_code


def _print_usage_error(error: click.ClickException) -> None:
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "evtool"
    document: dict[str, object] = {
        "error": type(error).__name__,
        "message": error.format_message(),
        "fix": f"see `{path} --help`",
        "exit_code": error.exit_code,
    }
    Output(as_json=True).result("", document)


def _file_error(error: OSError) -> EvtoolError:
    return EvtoolError(
        f"cannot use {os.fsdecode(error.filename)}: {error.strerror or error}",
        fix="check that it is there, its permissions and the free space",
    )


def _end_on_signals() -> None:
    """Let SIGTERM and SIGHUP unwind: Python's default dies with temporary files in place."""

    def end(number: int, _frame: FrameType | None) -> None:
        sys.exit(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) == signal.SIG_DFL:  # nohup stays in force
            signal.signal(number, end)


def _open_missing_streams() -> None:
    """A daemon's child may have no stdout at all; writing to it must not be an error."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A file's name may hold what the terminal's encoding has not.
        sys.stdout.reconfigure(errors="backslashreplace")
