# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line. click lives here, and only here.

`main` answers the two questions that are asked most, `--help` and `--version`, from a
committed text, before click is imported; everything else goes to `evtool.cli.group`.
"""

from __future__ import annotations

import sys


def main() -> None:
    """The `evtool` command."""
    try:
        _main()
    except KeyboardInterrupt:  # while Python still loads what runs the command
        sys.stderr.write("evtool: stopped\n")
        sys.exit(130)


def _main() -> None:
    arguments = sys.argv[1:]
    if arguments in ([], ["--help"], ["-h"]):
        from evtool.cli.help_text import HELP

        sys.stdout.write(HELP)
        sys.exit(0)
    if arguments == ["--version"]:
        from evtool import __version__

        sys.stdout.write(f"evtool {__version__}\n")
        sys.exit(0)
    from evtool.cli.group import run

    run()
