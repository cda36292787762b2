# SPDX-License-Identifier: GPL-3.0-or-later
"""A build as it goes: a bar on a terminal, JSON lines, or every line with --verbose."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Callable

    from evtool.build.diagnosis import Problem
    from evtool.build.platformio import Step
    from evtool.cli.output import Output


class BuildProgress:
    """`evtool.build.platformio.Follower` for the command line."""

    def __init__(self, output: Output, *, verbose: bool) -> None:
        self._output = output
        self._bar = StatusLine()
        self._is_verbose = verbose
        self._show: Callable[[Step], None] = lambda step: None
        if output.as_json:
            self._show = self._as_event
        elif verbose:
            self._show = lambda step: output.say(step.text)
        elif self._bar.is_shown:
            self._show = self._as_bar

    def step(self, step: Step) -> None:
        """Show one step."""
        self._show(step)

    def problem(self, problem: Problem) -> None:
        """Show one error at once: the build may go on for minutes."""
        self._output.event(
            "problem",
            kind=problem.kind,
            file=problem.file,
            line=problem.line,
            column=problem.column,
            text=problem.text,
        )
        if not self._is_verbose:
            self._bar.clear()
            self._output.say(str(problem))

    def finish(self) -> None:
        """Leave the terminal with an empty line to write on."""
        self._bar.clear()

    def _as_event(self, step: Step) -> None:
        if step.action is None:
            return
        fields: dict[str, object] = {"file": step.subject}
        if step.position is not None:
            fields |= {"done": step.position.done, "total": step.position.total}
        self._output.event(step.action, **fields)

    def _as_bar(self, step: Step) -> None:
        from evtool.build.progress import bar

        if step.action is None or step.subject is None:
            return
        label = f"{step.action} {step.subject.rsplit('/', 1)[-1]}"
        if step.position is None:
            self._bar.show(f"  {label}")
        else:
            self._bar.show(bar(step.position, label, self._bar.width))


class StatusLine:
    """A line on stderr that is overwritten; nothing where stderr is no terminal."""

    def __init__(self) -> None:
        self.is_shown = sys.stderr.isatty()
        self._is_open = False

    @property
    def width(self) -> int:
        """How many characters fit without wrapping."""
        return shutil.get_terminal_size().columns - 1

    def show(self, text: str) -> None:
        """Overwrite the line."""
        if self.is_shown:
            click.echo(f"\r\x1b[K{text[: self.width]}", nl=False, err=True)
            self._is_open = True

    def clear(self) -> None:
        """Take the line away."""
        if self._is_open:
            click.echo("\r\x1b[K", nl=False, err=True)
            self._is_open = False
