# SPDX-License-Identifier: GPL-3.0-or-later
"""What every command shares: `--json`, the exit codes, and who writes where.

stdout carries the result (one JSON document, or JSON lines while long work runs, with
`--json`; text for people without it). stderr carries the narration and the errors.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

EXIT_CODES = """\b
Exit codes:
  0    done
  1    what was checked is bad (a difference, a stale file, a failed proof),
       or a file could not be written (--json: "error" says which)
  2    fix the file, row or option that the message names
  3    cable, port, board, bus or CSMS
  4    a program that evtool runs (esptool, pio) failed
  130  stopped with Ctrl-C
"""


def json_option(function: F) -> F:
    """The `--json` flag, with one meaning in every command; passed on as `as_json`."""
    decorated: F = click.option(
        "--json", "as_json", is_flag=True, help="Print JSON for programs on stdout."
    )(function)
    return decorated


def counted(number: int, noun: str) -> str:
    """Such as `1 label`, `1,200 labels`; of nouns that take an s."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


BROKEN_PIPE = 141
"""What a shell says of a program that SIGPIPE ended."""


class Output:
    """Where a command writes: results to stdout, narration to stderr."""

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json

    def say(self, text: str) -> None:
        """Narration for people, on stderr; silent with `--json`."""
        if not self.as_json:
            narrate(text)

    def event(self, event: str, **fields: object) -> None:
        """One step of long work: a JSON line with `--json`, else nothing."""
        if self.as_json:
            self._write_json({"event": event} | fields)

    def result(self, text: str, document: dict[str, object]) -> None:
        """The result: `document` with `--json`, else `text`."""
        if self.as_json:
            self._write_json(document)
        else:
            self._write(text)

    def _write_json(self, document: dict[str, object]) -> None:
        # Escaped to ASCII: the same bytes in every locale, and names that are no UTF-8 survive.
        self._write(json.dumps(document))

    @staticmethod
    def _write(text: str) -> None:
        try:
            sys.stdout.write(text + "\n")
            sys.stdout.flush()
        except BrokenPipeError:
            leave_without_reader()


def narrate(text: str) -> None:
    """A line for people on stderr. Where nobody takes it (the terminal was closed, the disk is
    full), the work goes on."""
    with contextlib.suppress(OSError):
        click.echo(text, err=True)


def leave_without_reader() -> NoReturn:
    """End as a program does whose output nobody reads any more (`evtool ... | head`).

    SystemExit, unlike BrokenPipeError, also ends a simulator from within an event loop.
    """
    discard_stdout()
    raise SystemExit(BROKEN_PIPE)


def discard_stdout() -> None:
    """Nobody takes our output: the interpreter's last flush must not fail on it again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
