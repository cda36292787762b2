# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps of a script, as values; what they mean is docs/monitor-scripts.md and `run`."""

from __future__ import annotations

from dataclasses import dataclass

from evtool.monitor.script.conditions import Condition
from evtool.monitor.script.words import Expression, Piece, Place, Text
from evtool.protocol.console import Record

DEFAULT_WITHIN_MS = 10_000
MAX_MS = 7 * 24 * 3600 * 1000


@dataclass(frozen=True, slots=True)
class Step:
    """What every step has.

    Attributes:
        place: its file and line.
        source: the line as it is written, for people.
        port: the port that it names; "" for the only one.
    """

    place: Place
    source: str
    port: str


@dataclass(frozen=True, slots=True)
class Send(Step):
    """Send a text; `data` where the script gives bytes."""

    pieces: tuple[Piece, ...] = ()
    data: bytes = b""


@dataclass(frozen=True, slots=True)
class Expect(Step):
    """Wait for a line that fits an expression, or for a text, also in an unfinished line."""

    pattern: Expression | Text
    within_ms: int


@dataclass(frozen=True, slots=True)
class ExpectNot(Step):
    """For `during_ms` no line may fit."""

    pattern: Expression | Text
    during_ms: int


@dataclass(frozen=True, slots=True)
class ExpectPanic(Step):
    """Wait for the program to break down; no other panic is forgiven."""

    within_ms: int


@dataclass(frozen=True, slots=True)
class FailOn(Step):
    """From here on a line that fits fails the script; None: no longer."""

    pattern: Expression | Text | None


@dataclass(frozen=True, slots=True)
class WaitRecord(Step):
    """Wait for a record, or for an event with certain fields."""

    record: str
    kind: str
    fields: tuple[tuple[str, str], ...]
    within_ms: int

    def is_met_by(self, record: Record | None) -> bool:
        """Whether `record` is the one that is waited for."""
        if record is None or (record.name, record.kind) != (self.record, self.kind):
            return False
        return all(str(record.fields.get(key)) == value for key, value in self.fields)


@dataclass(frozen=True, slots=True)
class Assert(Step):
    """Every record during `for_ms` satisfies the condition; 0: the next one does."""

    condition: Condition
    for_ms: int
    within_ms: int


@dataclass(frozen=True, slots=True)
class WaitFor(Step):
    """Wait until the condition holds, and has held for `for_ms`."""

    condition: Condition
    for_ms: int
    within_ms: int


@dataclass(frozen=True, slots=True)
class AssertText(Step):
    """A text (with variables) is another one, or fits an expression."""

    left: Text
    right: Text | Expression
    negated: bool


@dataclass(frozen=True, slots=True)
class Set(Step):
    """Give a variable a text."""

    name: str
    value: Text


@dataclass(frozen=True, slots=True)
class Secret(Step):
    """Give a variable the text of an environment variable, which is masked wherever it shows."""

    name: str
    variable: str


@dataclass(frozen=True, slots=True)
class Print(Step):
    """Say something in the results."""

    text: Text


@dataclass(frozen=True, slots=True)
class Reset(Step):
    """Reset the board by its lines."""


@dataclass(frozen=True, slots=True)
class Sleep(Step):
    """Let time pass; what comes meanwhile is kept for the next expect."""

    for_ms: int


@dataclass(frozen=True, slots=True)
class Program:
    """A script that was read without an error.

    Attributes:
        name: for results; the file's name.
        ports: the ports that it names, in the order of the script.
    """

    name: str
    steps: tuple[Step, ...]
    ports: tuple[str, ...] = ()
