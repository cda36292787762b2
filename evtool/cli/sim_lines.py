# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool sim lines`: a program with DTR and RTS at a virtual board's pseudo-terminal."""

from __future__ import annotations

import click

from evtool.cli.output import EXIT_CODES


@click.command(
    epilog=EXIT_CODES,
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@click.argument("command_line", metavar="COMMAND [ARGUMENT]...", nargs=-1, required=True)
def command(command_line: tuple[str, ...]) -> None:
    """Run a Python program that sets DTR and RTS of a virtual board.

    A pseudo-terminal has no such lines. This puts a file at the head of PYTHONPATH that tells
    the board instead, in the program and in whatever Python programs it starts; it changes
    nothing at other ports. So esptool resets the board as it resets a real one.

    \b
        evtool sim lines esptool --port ./board flash-id
        evtool sim lines python flash_all.py ./board
    """
    import os

    from evtool.errors import EvtoolError
    from evtool.link.pty_lines import helped_environment

    environment = helped_environment(os.environ)
    try:
        os.execvpe(command_line[0], command_line, environment)  # noqa: S606 - the user's own
    except OSError as error:
        raise EvtoolError(
            f"cannot run {command_line[0]}: {error.strerror or error}",
            fix="check its name and the PATH",
        ) from error
