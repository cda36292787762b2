# SPDX-License-Identifier: GPL-3.0-or-later
"""Scenarios made of the controller's own input lines: what a fuzz found, what a log held.

Such a scenario has no world: `lines` is all that happens, at the times that stand in it. It
replays to the millisecond, whatever becomes of the world's models.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from evtool.protocol.can_frame import Malformed
from evtool.reference_impl.controller_types import MAX_TIME_MS, BootInfo, Config
from evtool.reference_impl.line_format import parse_command, parse_number

_START = re.compile(r"""^\s*lines\s*=\s*("{3}|'{3})(.*)$""")


def check_lines(text: str, first_line: int) -> tuple[list[str], list[tuple[int, str]]]:
    """The lines that are given to the controllers, and what is wrong with any.

    Empty lines and those that begin with `#` are left out. A problem comes with its line in
    the file; `first_line` is where the text begins.
    """
    lines: list[str] = []
    problems: list[tuple[int, str]] = []
    config = Config()
    boots = 0
    for number, line in enumerate(text.split("\n"), first_line):
        if not line.strip() or line.startswith("#"):
            continue
        stamp, _, command = line.partition(" ")
        now_ms = parse_number(stamp[1:], MAX_TIME_MS) if stamp.startswith("@") else None
        parsed = parse_command(command, config)
        if now_ms is None:
            problems.append((number, "lines: each begins with its time: @<ms> and one space"))
        elif isinstance(parsed, Malformed):
            problems.append((number, f"lines: `{command}`: {parsed.reason}"))
        elif isinstance(parsed, Config):
            config = parsed
        boots += isinstance(parsed, BootInfo)
        lines.append(line)
    if not boots:
        problems.append((first_line, "lines: without a `boot` there is nothing to compare"))
    return lines, problems


def first_line(file_text: str) -> int:
    """The line of a scenario file in which the text of `lines` begins."""
    for number, line in enumerate(file_text.split("\n"), 1):
        if found := _START.match(line):
            return number if found.group(2) else number + 1  # TOML drops that first line end
    return 1


def render_lines_scenario(
    title: str, rule: str, lines: Iterable[str], comment: Sequence[str] = ()
) -> str:
    """A scenario file that replays `lines`.

    Args:
        comment: said above everything, a line each.
    """
    body = "\n".join(lines).replace("\\", "\\\\").replace('"', '\\"')
    head = "".join(f"# {_printable(line)}\n" for line in comment)
    return (
        f"{head}title = {_quoted(title)}\n"
        f"rule = {_quoted(rule)}\n"
        f"# Each line: @<time in ms> and an input of the controller (docs/host-program.md).\n"
        f'lines = """\n{body}\n"""\n'
    )


def _quoted(text: str) -> str:
    escaped = _printable(text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)
