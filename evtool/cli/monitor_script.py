# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a script beside the stream: reads its files, tells each step's result, writes JUnit."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from evtool.cli.output import Output
from evtool.errors import ConfigError, EvtoolError, Stopped
from evtool.monitor.redact import MIN_SECRET_BYTES, text_mask, written_mask
from evtool.monitor.script import steps
from evtool.monitor.script.parse import parse_script
from evtool.monitor.script.results import ERROR, PASSED, StepResult, Summary, junit
from evtool.monitor.script.run import ScriptRun
from evtool.monitor.script.words import Expression, Place

if TYPE_CHECKING:
    from evtool.cli.monitor_script_options import ScriptOptions
    from evtool.monitor.stream import Audience, Controls

_MAX_BYTES = 1024 * 1024
_OPTION = Place("", 0)


class Scripted:
    """One script and its results.

    Args:
        secrets: the project's, which are masked; the script's own are added.
        now_ms: the monotonic clock.

    Raises:
        ScriptError: a line of the script is wrong, or names a variable that is not there.
        ConfigError: a file cannot be read.
    """

    def __init__(
        self,
        options: ScriptOptions,
        output: Output,
        secrets: list[str],
        now_ms: Callable[[], int],
    ) -> None:
        self._options = options
        self._output = output
        self._now_ms = now_ms
        self._run: ScriptRun | None = None
        program = _program(options)
        self._secrets = _secrets(program)
        secrets += self._secrets.values()
        self._mask = written_mask(text_mask(secrets))
        self._program = _with_options(program, options, self._mask)

    def attach(self, audience: Audience, controls: Controls, ports: Sequence[str]) -> None:
        """Have the script listen.

        Raises:
            ScriptError: a step names no port where there are several, or one that is not there.
        """
        if len(ports) > 1 and self._options.script is None:
            raise click.UsageError("--expect goes with one port; a --script names them: @PORT")
        timeout_s = self._options.timeout_s
        run = ScriptRun(
            self._program,
            controls,
            ports,
            secrets=self._secrets,
            timeout_ms=None if timeout_s is None else round(timeout_s * 1000),
            on_result=self._tell,
            mask=self._mask,
        )
        self._run = run
        audience.batches.append(run)
        audience.lines.append(run)
        audience.news.append(run)
        audience.times.append(run)

    def watch(self, run: Callable[[], None], interrupted: Callable[[], bool]) -> None:
        """Run the session; whatever ends it, the results are told and written.

        Args:
            interrupted: whether a signal ended the session; then the exit code is its.

        Raises:
            Stopped: the user ended the watch before the script was done.
            EvtoolError: as `run` does, or the JUnit file cannot be written.
        """
        try:
            run()
        except BaseException as error:
            self._finish(error)
            raise
        self._finish(None)
        if interrupted() or self._run is None:
            return
        if self._run.summary(self._now_ms()).outcome != PASSED:
            raise Stopped("the watch was ended before the script was done")

    def was_not_begun(self, error: EvtoolError) -> None:
        """The watch failed before the script could listen: no results of an earlier run stay."""
        if self._run is not None:
            return
        results = tuple(
            StepResult(
                number,
                step.place.file,
                step.place.line,
                self._mask(step.source),
                step.port if self._program.ports else "",
            )
            for number, step in enumerate(self._program.steps, 1)
        )
        self._publish(Summary(self._program.name, ERROR, 0, results, self._mask(error.message)))

    def _tell(self, result: StepResult) -> None:
        self._output.event("step", **result.as_dict())
        took_s = ((result.ended_ms or 0) - (result.started_ms or 0)) / 1000
        word = "ok    " if result.outcome == PASSED else "FAILED"
        text = f": {result.text}" if result.text else ""
        self._output.say(f"evtool: {word} {result.where} {result.source} ({took_s:.2f} s){text}")

    def _finish(self, error: BaseException | None) -> None:
        if self._run is None:
            return
        told = error if isinstance(error, EvtoolError) else None
        self._publish(self._run.summary(self._now_ms(), told))

    def _publish(self, summary: Summary) -> None:
        self._tell_summary(summary)
        if self._options.junit is not None:
            from evtool.link.files import write_atomically

            # The results may hold what the board said: no more readers than the log has.
            write_atomically(self._options.junit, junit(summary), 0o600)

    def _tell_summary(self, summary: Summary) -> None:
        self._output.event("script", **summary.as_dict())
        self._output.say(
            f"evtool: {summary.name} {summary.outcome}: {summary.count(PASSED)} of "
            f"{len(summary.steps)} steps passed in {summary.duration_ms / 1000:.2f} s"
        )


def write_error(path: Path, message: str) -> None:
    """A JUnit file for a script that cannot be run: there is not a step of it.

    Raises:
        EvtoolError: it cannot be written.
    """
    from evtool.link.files import write_atomically

    write_atomically(path, junit(Summary("evtool monitor", ERROR, 0, (), message)), 0o600)


def _secrets(program: steps.Program) -> dict[str, str]:
    """The environment variables that the script names, with their values."""
    found = {}
    for step in program.steps:
        if not isinstance(step, steps.Secret):
            continue
        value = os.environ.get(step.variable, "")
        if len(value.encode()) < MIN_SECRET_BYTES:
            problem = "is too short to be masked" if value else "is not set"
            raise step.place.error(
                f"the environment variable {step.variable} {problem}",
                f"export {step.variable}, of at least {MIN_SECRET_BYTES} bytes",
            )
        found[step.variable] = value
    return found


def _program(options: ScriptOptions) -> steps.Program:
    if options.script is not None:
        return parse_script(options.script, _read)
    return steps.Program("evtool monitor", ())


def _with_options(
    program: steps.Program, options: ScriptOptions, mask: Callable[[str], str]
) -> steps.Program:
    """`--fail-on` and `--send` come first, `--expect` last; `mask` hides secrets in their texts."""
    first: list[steps.Step] = []
    port = program.ports[0] if program.ports else ""
    # Without a limit for the whole, each step has the one that it has in a script.
    within_ms = steps.DEFAULT_WITHIN_MS if options.timeout_s is None else steps.MAX_MS
    last = tuple(
        steps.Expect(_OPTION, _shown("--expect", each, mask), "", _expression(each), within_ms)
        for each in options.expect
    )
    if options.fail_on is not None:
        ports = program.ports or ("",)
        first += [
            steps.FailOn(
                _OPTION,
                _shown("--fail-on", options.fail_on, mask),
                each,
                _expression(options.fail_on),
            )
            for each in ports
        ]
    if options.send:
        source = f"--send {shlex.quote(mask(options.send))}"
        first.append(steps.Send(_OPTION, source, port, pieces=(options.send,)))
    return steps.Program(program.name, (*first, *program.steps, *last), program.ports)


def _expression(pattern: re.Pattern[str]) -> Expression:
    return Expression((pattern.pattern,), re.RegexFlag(0), 1, pattern.pattern)


def _shown(option: str, pattern: re.Pattern[str], mask: Callable[[str], str]) -> str:
    # masked before it is quoted: a secret with a quotation mark looks otherwise then
    return f"{option} {shlex.quote(mask(pattern.pattern))}"


def _read(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"cannot read {path}: {error.strerror or error}", fix="name a script that is there"
        ) from error
    if len(data) > _MAX_BYTES:
        raise ConfigError(f"{path} is larger than a script may be (1 MiB)", fix="split it")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ConfigError(
            f"{path}:{line}: byte {data[error.start]:#04x} is no UTF-8", fix="save it as UTF-8"
        ) from error
