# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line. click lives here, and only here.

`main` answers the two questions that are asked most, `--help` and `--version`, from a
committed text, before click is imported; everything else goes to `evtool.cli.group`.
"""

from __future__ import annotations

import os
import sys


def main() -> None:
    """The `evtool` command."""
    try:
        _main()
    except KeyboardInterrupt:  # while Python still loads what runs the command
        import signal

        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a second one needs no words
        sys.stderr.write("evtool: stopped\n")
        sys.exit(130)


def _print(text: str) -> None:
    """Print it without click, and without a traceback where nobody takes it."""
    if getattr(sys, "stdout") is None:  # noqa: B009 - closed by whoever started us; mypy knows not
        return
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        from evtool.cli.output import leave_without_reader

        leave_without_reader()
    except OSError as error:
        from evtool.cli.output import discard_stdout

        discard_stdout()
        sys.exit(f"evtool: cannot write the output: {error.strerror}")


def _main() -> None:
    arguments = sys.argv[1:]
    if "_EVTOOL_COMPLETE" in os.environ:  # a shell asks for completions, without arguments
        arguments = ["completions"]
    if arguments in ([], ["--help"], ["-h"]):
        from evtool.cli.help_text import HELP

        _print(HELP)
        sys.exit(0)
    if arguments == ["--version"]:
        from evtool import __version__

        _print(f"evtool {__version__}\n")
        sys.exit(0)
    from evtool.cli.group import run

    run()
