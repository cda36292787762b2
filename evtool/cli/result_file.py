# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of results: none of an earlier run is left where this run has not come to its end.

Whatever reads results after a run (CI does) takes what it finds for this run's. So the file goes
as soon as the command line is read, or cannot be read; killed runs leave none either.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

_HEAD_BYTES = 512
_JUNIT = b"<testsuite"


class ResultFile(click.Option):
    """An option that names a JUnit file, which this run will write."""

    def process_value(self, ctx: click.Context, value: Any) -> Any:
        """Its path; what an earlier run left there is gone."""
        path = super().process_value(ctx, value)
        # A shell that asks for completions runs nothing.
        if isinstance(path, Path) and not ctx.resilient_parsing:
            remove_results(path)
        return path


def remove_results(path: Path) -> None:
    """Remove the JUnit file of an earlier run; any other file stays, whoever named it."""
    with contextlib.suppress(OSError):
        if not path.is_file():
            return
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
        if _JUNIT in head:
            path.unlink()


def remove_results_of(error: click.ClickException, arguments: Sequence[str]) -> None:
    """The same where the command line is wrong: the file that it names, as far as that is clear.

    Args:
        arguments: all of the command line.
    """
    context = error.ctx if isinstance(error, click.UsageError) else None
    if context is None:
        return
    for parameter in context.command.params:
        if isinstance(parameter, ResultFile):
            for path in _named(parameter.opts, arguments):
                remove_results(path)


def _named(options: Sequence[str], arguments: Sequence[str]) -> list[Path]:
    found: list[str] = []
    for index, argument in enumerate(arguments):
        name, equals, value = argument.partition("=")
        if name in options:
            found += [value] if equals else arguments[index + 1 : index + 2]
    return [Path(value) for value in found if value]
