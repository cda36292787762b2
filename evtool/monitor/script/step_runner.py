# SPDX-License-Identifier: GPL-3.0-or-later
"""One step after the other: whether it has passed, failed, or waits, and until when."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from evtool.monitor.expect import Lookback, Pattern
from evtool.monitor.follow import Line
from evtool.monitor.script import steps
from evtool.monitor.script.words import Expression, Text, compile_expression, fill
from evtool.monitor.search import search
from evtool.monitor.views import STALE_MS


@dataclass(frozen=True, slots=True)
class Passed:
    """Done: by which text, what it captured, and when, where time alone decided."""

    text: str = ""
    captures: dict[str, str] = field(default_factory=dict)
    at_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """Not done: why, by which text; whether only because time was up, or for want of a port."""

    message: str
    text: str = ""
    by_time: bool = False
    by_port: bool = False


@dataclass(frozen=True, slots=True)
class Waiting:
    """It needs a line, a port, or time."""


Outcome = Passed | Failed | Waiting
_WAITING = Waiting()
_RETRY_MS = 200  # a port that is not there is tried again


class Writer(Protocol):
    """What steps do to a board."""

    def write(self, data: bytes, port: str = "") -> bool:
        """Send bytes; False where the port is not there."""

    def reset(self, port: str = "") -> bool:
        """Reset it; False where that is not possible."""


def pattern_of(pattern: Expression | Text, variables: dict[str, str]) -> Pattern:
    """What is looked for, with its variables."""
    if isinstance(pattern, Expression):
        return compile_expression(pattern, variables)
    return fill(pattern.pieces, variables)


class StepRunner:
    """Runs the step that it was given last; knows the variables.

    Args:
        secrets: the environment variables that steps may ask for.
        mask: hides secrets; asked before a text is quoted, for quoting changes it.

    Attributes:
        next_ms: when time alone would change something.
    """

    def __init__(
        self,
        writer: Writer,
        consoles: Mapping[str, Lookback],
        secrets: Mapping[str, str],
        mask: Callable[[str], str] = str,
    ) -> None:
        self._writer = writer
        self._consoles = consoles
        self._secrets = secrets
        self._mask = mask
        self.variables: dict[str, str] = {}
        self.next_ms: int | None = None
        self._step: steps.Step | None = None
        self._port = ""
        self._began_ms = 0
        self._pattern: Pattern = ""
        self._fail_on: dict[int, Pattern] = {}
        self._held_ms: int | None = None  # since when a condition holds
        self._seen_ms: int | None = None  # the last record that satisfied it
        self._shown = ""
        self._broken: tuple[str, str] | None = None  # what a condition met, and when not
        self._panics: dict[str, Line] = {}

    def begin(self, step: steps.Step, port: str, now_ms: int) -> None:
        """Run `step` from now on."""
        self._step, self._port, self._began_ms = step, port, now_ms
        self._held_ms = self._seen_ms = self._broken = None
        self._shown = ""
        self._consoles[port].begin()
        if isinstance(step, steps.Expect | steps.ExpectNot):
            self._pattern = pattern_of(step.pattern, self.variables)
        if isinstance(step, steps.FailOn) and step.pattern is not None:
            self._fail_on[id(step)] = pattern_of(step.pattern, self.variables)
        self.next_ms = self._deadline()

    def fits(self, step: steps.Expect | steps.FailOn, text: str) -> bool:
        """Whether a line fits what `step` looks for."""
        if step.pattern is None:
            return False
        pattern = self._fail_on.get(id(step))
        if pattern is None:
            known = self.variables
            if any(name not in known for name in _names(step.pattern)):
                return False  # it will only be known when the steps before it are done
            pattern = pattern_of(step.pattern, known)
        if isinstance(pattern, str):
            return pattern in text
        return search(pattern, text) is not None

    def broke_down(self, port: str, line: Line) -> None:
        """The program on the board broke down, as the script wants it."""
        self._panics[port] = line

    def saw(self, port: str, line: Line) -> None:
        """A line came; conditions look at its record."""
        step = self._step
        if not isinstance(step, steps.Assert | steps.WaitFor) or port != self._port:
            return
        record = line.record
        if record is None or record.name != step.condition.record:
            return
        self._shown = f"{step.condition.name} is {step.condition.shown(record)}"
        if not step.condition.of(record):
            self._held_ms = None
            self._broken = (self._shown, line.text)
            return
        if self._held_ms is None:
            self._held_ms = line.at_ms
        self._seen_ms = line.at_ms

    def go_on(self, now_ms: int, *, before: bool) -> Outcome:
        """Where the step stands; `before`: at this very time more may come, so it is not over."""
        outcome = self._try(now_ms)
        if not isinstance(outcome, Waiting):
            return outcome
        self.next_ms = deadline = self._deadline()
        if isinstance(self._step, steps.Send) and deadline is not None:
            self.next_ms = min(deadline, now_ms + _RETRY_MS)
        if deadline is not None and now_ms >= deadline + before:
            return self._time_is_up(deadline)
        return outcome

    def _try(self, now_ms: int) -> Outcome:  # noqa: PLR0911  one case a step
        step, console = self._step, self._consoles[self._port]
        match step:
            case steps.Send():
                return self._send(step, now_ms)
            case steps.Reset():
                if not self._writer.reset(self._port):
                    return Failed("the port cannot reset the board", by_port=True)
                console.forget(now_ms)
                return Passed()
            case steps.Expect():
                return self._expect(console)
            case steps.ExpectNot():
                found = console.see(self._pattern)
                return _WAITING if found is None else Failed(f"it came: {found}", found)
            case steps.ExpectPanic():
                panic = self._panics.pop(self._port, None)
                if panic is None:
                    return _WAITING
                console.take_line(panic)
                return Passed(panic.text)
            case steps.WaitRecord():
                line = console.take_record(step.record, step.kind, step.fields)
                return _WAITING if line is None else Passed(line.text)
            case steps.Assert():
                return self._assert(step, now_ms)
            case steps.WaitFor():
                return self._wait_for(step, now_ms)
            case steps.Sleep():
                return _WAITING
            case _:
                return self._at_once(step)

    def _at_once(self, step: steps.Step | None) -> Outcome:
        match step:
            case steps.Set():
                text = fill(step.value.pieces, self.variables)
                self.variables[step.name] = text
                return Passed(text, {step.name: text})
            case steps.Secret():
                self.variables[step.name] = self._secrets[step.variable]
                return Passed()
            case steps.Print():
                return Passed(fill(step.text.pieces, self.variables))
            case steps.AssertText():
                return self._assert_text(step)
            case _:
                return Passed()

    def _send(self, step: steps.Send, now_ms: int) -> Outcome:
        data = step.data or fill(step.pieces, self.variables).encode()
        # What came before the question is no answer to it.
        self._consoles[self._port].forget(now_ms)
        return Passed() if self._writer.write(data, self._port) else _WAITING

    def _expect(self, console: Lookback) -> Outcome:
        taken = console.take(self._pattern)
        if taken is None:
            return _WAITING
        text, match = taken
        captures: dict[str, str] = {}
        if match is not None:
            captures = {name: value or "" for name, value in match.groupdict().items()}
            self.variables |= captures
        return Passed(text, captures)

    def _assert(self, step: steps.Assert, now_ms: int) -> Outcome:
        if self._broken is not None:
            shown, text = self._broken
            return Failed(f"{shown}, which is not {step.condition.text}", text)
        if self._seen_ms is None:
            return _WAITING
        if step.for_ms == 0:
            return Passed(self._shown)
        # Between two records nobody knows: too long a gap is no proof that it held.
        if self._gap_ms(now_ms, step.for_ms) > STALE_MS:
            gap_s = STALE_MS / 1000
            return Failed(
                f"no record {step.condition.record} came for more than {gap_s:g} s", by_time=True
            )
        return _WAITING

    def _wait_for(self, step: steps.WaitFor, now_ms: int) -> Outcome:
        if self._held_ms is not None and step.for_ms == 0:
            return Passed(self._shown)
        if self._gap_ms(now_ms, step.for_ms) > STALE_MS:
            self._held_ms = self._seen_ms = None
        return _WAITING

    def _gap_ms(self, now_ms: int, for_ms: int) -> int:
        """How long ago the last record was that satisfied the condition, while it must hold."""
        if self._held_ms is None or self._seen_ms is None:
            return 0
        return min(now_ms, self._held_ms + for_ms) - self._seen_ms

    def _assert_text(self, step: steps.AssertText) -> Outcome:
        left = fill(step.left.pieces, self.variables)
        shown = repr(self._mask(left))
        right = pattern_of(step.right, self.variables)
        if isinstance(right, str):
            word = "is" if step.negated else "is not"
            holds = (left == right) != step.negated
            message = f"{shown} {word} {self._mask(right)!r}"
        else:
            holds = search(right, left) is not None
            message = f"{shown} does not match {self._mask(right.pattern)!r}"
        return Passed(left) if holds else Failed(message, left)

    def _deadline(self) -> int | None:  # noqa: PLR0911  one case a step
        """When time alone decides."""
        step = self._step
        match step:
            case steps.Send():
                return self._began_ms + steps.DEFAULT_WITHIN_MS
            case steps.ExpectNot():
                return self._began_ms + step.during_ms
            case steps.Sleep():
                return self._began_ms + step.for_ms
            case steps.Assert() if step.for_ms and self._held_ms is not None:
                seen_ms = self._seen_ms if self._seen_ms is not None else self._held_ms
                return min(self._held_ms + step.for_ms, seen_ms + STALE_MS + 1)
            case steps.WaitFor() if step.for_ms and self._held_ms is not None:
                return min(self._held_ms + step.for_ms, self._began_ms + step.within_ms)
            case (
                steps.Expect()
                | steps.ExpectPanic()
                | steps.WaitRecord()
                | steps.Assert()
                | steps.WaitFor()
            ):
                return self._began_ms + step.within_ms
            case _:
                return None

    def _time_is_up(self, deadline: int) -> Outcome:
        match self._step:
            case steps.ExpectNot() | steps.Sleep():
                return Passed(at_ms=deadline)
            case steps.Assert() as step if step.for_ms and self._held_ms is not None:
                return Passed(self._shown, at_ms=deadline)
            case steps.WaitFor() as step if (
                step.for_ms
                and self._held_ms is not None
                and deadline >= self._held_ms + step.for_ms
            ):
                return Passed(self._shown, at_ms=deadline)
            case steps.Send():
                return Failed("the port is not there", by_time=True)
            case steps.ExpectPanic():
                what = "the program did not break down"
            case steps.WaitRecord() as step:
                what = f"no {' '.join(filter(None, (step.record, step.kind)))} came"
            case steps.Assert() | steps.WaitFor():
                what = self._shown or f"no record {self._step.condition.record} came"
            case _:
                what = "nothing fitted"
        within_s = (deadline - self._began_ms) / 1000
        return Failed(f"{what} within {within_s:g} s", by_time=True)


def _names(pattern: Expression | Text) -> list[str]:
    return [piece.name for piece in pattern.pieces if not isinstance(piece, str)]
