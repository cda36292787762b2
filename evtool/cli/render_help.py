# SPDX-License-Identifier: GPL-3.0-or-later
"""Prints `help_text.py`: what `evtool --help` says, as click renders it at 80 columns."""

from __future__ import annotations

import sys

import click

from evtool.cli.group import group


def render() -> str:
    """The text of `evtool --help`."""
    context = click.Context(
        group,
        info_name="evtool",
        terminal_width=80,
        max_content_width=80,
        **group.context_settings,
    )
    return group.get_help(context) + "\n"


def render_module() -> str:
    """The source of `evtool/cli/help_text.py`."""
    return (
        "# SPDX-License-Identifier: GPL-3.0-or-later\n"
        '"""`evtool --help` as click renders it at 80 columns; `make generate` writes this."""\n'
        f'\nHELP = """\\\n{render()}"""\n'
    )


if __name__ == "__main__":
    sys.stdout.write(render_module())
