# SPDX-License-Identifier: GPL-3.0-or-later
"""A script's run: bytes, lines and time go in; what is sent, and how it went, come out.

The run listens to the stream as `evtool.monitor.stream` says. A line is looked at alone and in
its place, and time passes between lines by the times that they carry: the same bytes, in
whatever pieces they are read, lead to the same end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from evtool.errors import CheckFailed, DeviceError, EvtoolError, LinkTimeout
from evtool.monitor.expect import Lookback
from evtool.monitor.follow import Line
from evtool.monitor.panic.breakdown import PANIC_MS, QUIET_MS, Breakdowns, ends_breakdown
from evtool.monitor.script import steps
from evtool.monitor.script.results import ERROR, FAILED, PASSED, StepResult, Summary
from evtool.monitor.script.step_runner import Failed, Passed, StepRunner, Waiting
from evtool.monitor.stream import Batch, News

_LATEST = 20
_MOST_QUOTED = 300
_LOOKING = (
    steps.Expect,
    steps.ExpectNot,
    steps.ExpectPanic,
    steps.WaitRecord,
    steps.Assert,
    steps.WaitFor,
)


class Board(Protocol):
    """What a script does to the boards; `evtool.monitor.stream.Controls`."""

    def write(self, data: bytes, port: str = "") -> bool:
        """Send bytes; False where the port is not there."""

    def reset(self, port: str = "") -> bool:
        """Reset the board; False where the port is not there or has no such line."""

    def end(self, error: EvtoolError | None = None) -> None:
        """The run is over."""


@dataclass
class _Breakdown:
    """A breakdown that nobody expected, until it has been told to its end."""

    port: str
    line: Line
    until_ms: int

    def go_on(self, line: Line) -> None:
        limit_ms = self.line.at_ms + PANIC_MS
        self.until_ms = -1 if ends_breakdown(line) else min(line.at_ms + QUIET_MS, limit_ms)


class ScriptRun:
    """One run of `program`.

    Args:
        ports: the names of the ports that are watched. It begins when the first one is open.
        secrets: the environment variables that its `secret` steps name.
        timeout_ms: the limit for the whole of it; None without one.
        on_result: told of each step's result as it comes.
        mask: hides secrets in what the script's author wrote; what the boards say is masked.

    Raises:
        ConfigError: a step names no port where there are several, or one that is not there.
    """

    def __init__(
        self,
        program: steps.Program,
        board: Board,
        ports: Sequence[str],
        *,
        secrets: Mapping[str, str] | None = None,
        timeout_ms: int | None = None,
        on_result: Callable[[StepResult], None] = lambda result: None,
        mask: Callable[[str], str] = str,
    ) -> None:
        self._program = program
        self._board = board
        self._start_ms = self._step_ms = 0
        self._timeout_ms = timeout_ms
        self._end_ms: int | None = None
        self._begun = False
        self._on_result = on_result
        self._mask = mask
        self._consoles = {port: Lookback() for port in ports}
        self._breakdowns = {port: Breakdowns() for port in ports}
        self._gone: dict[str, str] = {}
        self._watched: dict[str, list[steps.FailOn]] = {port: [] for port in ports}
        self._runner = StepRunner(board, self._consoles, secrets or {}, mask)
        self._broken: _Breakdown | None = None
        self._results: list[StepResult] = []
        self._at = 0
        self._summary: Summary | None = None
        for step in program.steps:
            self._port(step)

    @property
    def is_over(self) -> bool:
        """Whether it has ended, well or not."""
        return self._summary is not None

    # --- what is heard --------------------------------------------------------

    def on_batch(self, batch: Batch) -> None:
        """Bytes; the lines that they complete follow."""
        console = self._consoles.get(batch.port)
        if console is not None:
            console.add_bytes(batch.data, batch.at_ms)

    def on_lines(self, lines: Sequence[Line]) -> None:
        """Whole lines of one port."""
        for line in lines:
            self._line(line)
        console = self._consoles.get(self._name(lines[0].port))
        if console is not None:
            console.lines_end()

    def on_news(self, news: News) -> None:
        """A port came or went."""
        if news.event == "connected":
            self._gone.pop(news.port, None)
            if not self._begun:
                self._begin(news.at_ms)
        elif news.event == "disconnected":
            self._gone[news.port] = news.text
            if news.port in self._consoles:
                self._consoles[news.port].break_off()

    def on_time(self, now_ms: int) -> int | None:
        """Go on as far as it can; when it wants to be called again."""
        if self.is_over or not self._begun:
            return None
        for console in self._consoles.values():
            console.lines_end()  # also where a batch completed none, as behind a line cut short
        self._run(now_ms)
        if self.is_over:
            return None
        if self._broken is not None:
            return self._broken.until_ms
        wanted = [each for each in (self._runner.next_ms, self._end_ms) if each is not None]
        return min(wanted, default=None)

    def summary(self, now_ms: int, error: EvtoolError | None = None) -> Summary:
        """How it went; `error` is what ended it from outside, before its end."""
        if self._summary is not None:
            return self._summary
        message = (
            "it was ended before its last step" if error is None else self._mask(error.message)
        )
        return self._close(now_ms if self._begun else self._start_ms, ERROR, message)

    # --- how it goes on -------------------------------------------------------

    def _begin(self, now_ms: int) -> None:
        self._begun = True
        self._start_ms = self._step_ms = now_ms
        if self._timeout_ms is not None:
            self._end_ms = now_ms + self._timeout_ms
        self._runner.begin(self._step, self._port(self._step), now_ms)

    @property
    def _step(self) -> steps.Step:
        return self._program.steps[self._at]

    def _name(self, port: str) -> str:
        """A port's name: a line of the only one may not carry it."""
        return port or next(iter(self._consoles))

    def _port(self, step: steps.Step) -> str:
        if step.port in self._consoles:
            return step.port
        names = list(self._consoles)
        if step.port.isdecimal() and 0 < int(step.port) <= len(names):
            return names[int(step.port) - 1]
        if not step.port and len(self._consoles) == 1:
            return next(iter(self._consoles))
        shown = ", ".join(f"{number} {name}" for number, name in enumerate(names, 1))
        if step.port:
            raise step.place.error(f"no port is called {step.port!r}", f"the ports: {shown}")
        raise step.place.error(
            "which port is meant?", f"begin the line with @NUMBER, or write port NUMBER: {shown}"
        )

    def _line(self, line: Line) -> None:
        port = self._name(line.port)
        console = self._consoles.get(port)
        if console is None or self.is_over or not self._begun:
            return
        self._run(line.at_ms, before=True)
        if self.is_over:
            return
        console.add_line(line)
        if self._broken is not None:
            if port == self._broken.port:
                self._broken.go_on(line)
            self._run(line.at_ms, before=True)
            return
        if self._breakdowns[port].begins(line):
            expecting = self._expecting(port, line)
            if expecting is None:
                # The script has failed; the rest of the panic is still worth reading.
                self._broken = _Breakdown(port, line, line.at_ms + QUIET_MS)
                return
            if isinstance(expecting, steps.ExpectPanic):
                self._runner.broke_down(port, line)
        for watched in self._watched[port]:
            if self._runner.fits(watched, line.text):
                failed = Failed(f"the board said what must not be said: {line.text}", line.text)
                self._fail(line.at_ms, failed, watched)
                return
        self._runner.saw(port, line)
        self._run(line.at_ms, before=True)

    def _expecting(self, port: str, line: Line) -> steps.Step | None:
        """The next step that looks at this port, where it is for a breakdown that says `line`."""
        for step in self._program.steps[self._at :]:
            if not isinstance(step, _LOOKING) or self._port(step) != port:
                continue
            if isinstance(step, steps.Expect):
                return step if self._runner.fits(step, line.text) else None
            if isinstance(step, steps.WaitRecord):
                return step if step.is_met_by(line.record) else None
            return step if isinstance(step, steps.ExpectPanic) else None
        return None

    def _run(self, now_ms: int, *, before: bool = False) -> None:
        """Run steps until one waits. `before`: at this very time something may still come."""
        if self._broken is not None:
            if now_ms >= self._broken.until_ms + before:
                text = self._broken.line.text
                failed = Failed(f"the program on the board broke down: {text}", text)
                self._fail(self._broken.line.at_ms, failed)
            return
        if self._end_ms is not None and now_ms >= self._end_ms + before:
            limit_s = (self._end_ms - self._start_ms) / 1000
            late = Failed(f"the script is not done within {limit_s:g} s", by_time=True)
            self._fail(self._end_ms, late)
            return
        while not self.is_over:
            step = self._step
            if isinstance(step, steps.FailOn):
                watched = self._watched[self._port(step)]
                if step.pattern is None:
                    watched.clear()
                else:
                    watched.append(step)
            outcome = self._runner.go_on(now_ms, before=before)
            if isinstance(outcome, Waiting):
                return
            if isinstance(outcome, Failed):
                self._fail(now_ms, outcome)
                return
            self._pass(outcome, now_ms)

    def _pass(self, outcome: Passed, now_ms: int) -> None:
        # A step that ends by its time ends then, not when somebody looked at the clock.
        ended_ms = min(now_ms, outcome.at_ms) if outcome.at_ms is not None else now_ms
        self._record(self._step, ended_ms, PASSED, outcome.text, outcome.captures)
        self._step_ms = ended_ms
        self._at += 1
        if self._at == len(self._program.steps):
            self._close(ended_ms, PASSED, "")
            self._board.end()
            return
        self._runner.begin(self._step, self._port(self._step), ended_ms)

    def _fail(self, now_ms: int, failed: Failed, watched: steps.Step | None = None) -> None:
        step = self._step
        port = self._port(step)
        error = self._error(step, port, failed, watched)
        outcome = ERROR if isinstance(error, DeviceError) else FAILED
        self._record(step, now_ms, outcome, failed.text, {}, error.message)
        self._close(now_ms, outcome, error.message)
        self._board.end(error)

    def _error(
        self, step: steps.Step, port: str, failed: Failed, watched: steps.Step | None
    ) -> EvtoolError:
        where = str(step.place) if step.place.file else port
        message = self._mask(f"{where}: {step.source}: {failed.message}")
        if (failed.by_time or failed.by_port) and port in self._gone:
            return DeviceError(f"{message}; {self._gone[port]}", fix="check the cable and the port")
        if failed.by_port:
            return DeviceError(message, fix="a pseudo-terminal has no lines; RFC 2217 carries them")
        console = self._consoles[port]
        if failed.by_time and not console.heard and not isinstance(step, steps.Send):
            return LinkTimeout(
                f"{message}; the board said nothing at all",
                fix="is it powered, is this its port, and does its firmware run?",
            )
        if watched is not None:
            return CheckFailed(message, fix=self._mask(f"{watched.source} matched this line"))
        latest = console.latest(1)
        fix = "no line came that is not taken"
        if latest:
            cut = "..." if len(latest[0]) > _MOST_QUOTED else ""
            fix = f"the last line that came: {latest[0][:_MOST_QUOTED]}{cut}"
        if console.lost:
            fix += f"; {console.lost} older lines were forgotten"
        return CheckFailed(message, fix=fix)

    def _record(
        self,
        step: steps.Step,
        ended_ms: int,
        outcome: str,
        text: str,
        captures: dict[str, str],
        message: str = "",
    ) -> None:
        result = self._blank(self._at)
        result = StepResult(
            result.number,
            result.file,
            result.line,
            result.source,
            result.port,
            outcome,
            self._step_ms - self._start_ms,
            ended_ms - self._start_ms,
            self._mask(text),
            {name: self._mask(value) for name, value in captures.items()},
            message,
        )
        self._results.append(result)
        self._on_result(result)

    def _blank(self, at: int) -> StepResult:
        step = self._program.steps[at]
        port = self._port(step) if len(self._consoles) > 1 else ""
        place = step.place
        return StepResult(at + 1, place.file, place.line, self._mask(step.source), port)

    def _close(self, now_ms: int, outcome: str, message: str) -> Summary:
        done = len(self._results)
        latest: list[str] = []
        for port, console in self._consoles.items():
            prefix = f"{port}: " if len(self._consoles) > 1 else ""
            latest += [prefix + text for text in console.latest(_LATEST)]
        self._summary = Summary(
            self._program.name,
            outcome,
            now_ms - self._start_ms,
            (*self._results, *(self._blank(at) for at in range(done, len(self._program.steps)))),
            message,
            tuple(latest) if outcome != PASSED else (),
        )
        return self._summary
