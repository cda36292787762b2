# SPDX-License-Identifier: GPL-3.0-or-later
"""What is verified: anything that answers the lockstep lines of docs/host-program.md."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from evtool.verify.compare import Answer

_SECONDS_PER_1000_LINES = 2.0
_SECONDS_AT_LEAST = 30.0


@dataclass(frozen=True, slots=True)
class Answers:
    """What came back: one answer an input line, fewer if the device gave up.

    Attributes:
        answers: complete answers, in order.
        ended: why there are fewer answers than lines; None if there are not.
    """

    answers: list[Answer]
    ended: str | None


class DeviceUnderTest(Protocol):
    """A controller that takes lockstep lines."""

    @property
    def name(self) -> str:
        """What the report calls it."""

    def run(self, lines: Sequence[str]) -> Answers:
        """A fresh start, then every line in turn; each ends in `ok`."""


class FilterResult(Protocol):
    """What a program did with its input."""

    @property
    def return_code(self) -> int: ...
    @property
    def stdout(self) -> str: ...
    @property
    def stderr(self) -> str: ...


class Filter(Protocol):
    """Runs a program on a text (`evtool.link.filter_process`)."""

    def __call__(self, argv: Sequence[str], text: str, timeout_s: float) -> FilterResult: ...


class HostProgram:
    """The firmware built for the computer: `program --lockstep`."""

    def __init__(self, program: Path, run_filter: Filter, name: str = "host") -> None:
        self._program = program
        self._run_filter = run_filter
        self._name = name

    @property
    def name(self) -> str:
        return self._name

    def run(self, lines: Sequence[str]) -> Answers:
        """Start the program anew and give it every line.

        Raises:
            LinkTimeout: it did not finish in time.
        """
        timeout_s = _SECONDS_AT_LEAST + _SECONDS_PER_1000_LINES * len(lines) / 1000
        result = self._run_filter(
            [str(self._program), "--lockstep"], "\n".join(lines) + "\n", timeout_s
        )
        answers = split_answers(result.stdout)
        if len(answers) == len(lines) and result.return_code == 0:
            return Answers(answers, None)
        last = result.stderr.strip().splitlines()[-6:] or result.stdout.splitlines()[-1:]
        reason = f"the program ended with code {result.return_code} after {len(answers)} answers"
        return Answers(answers, "\n    ".join([reason, *last]))


def split_answers(text: str) -> list[Answer]:
    """The complete answers in a program's output; what follows the last `ok` is left out."""
    answers: list[Answer] = []
    current: list[str] = []
    for line in text.split("\n"):
        if line == "ok":
            answers.append(tuple(current))
            current = []
        else:
            current.append(line)
    return answers
