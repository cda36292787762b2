# SPDX-License-Identifier: GPL-3.0-or-later
"""What is verified: anything that answers the lockstep lines of docs/host-program.md."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from evtool.reference_impl.lockstep import Lockstep
from evtool.verify.compare import Answer

PATIENCE_S = 30.0
_SECONDS_PER_LINE = 0.002
# What the sanitizers begin their report with; what stands above it is the program's own.
_SANITIZER = re.compile(r"runtime error:|ERROR: \w*Sanitizer")
_SHOWN = 12


class Session(Protocol):
    """One run of a device, from a fresh start.

    `give` does not wait, so that the device works while the reference does. Every answer ends
    in a line `ok`.
    """

    def give(self, lines: Sequence[str]) -> None:
        """Hand over the next lines."""

    def answers(self, count: int) -> str:
        """The text of the next `count` answers; less if the device gave up."""

    def ended(self) -> str:
        """Why it gave up; asked only after it did."""

    def close(self) -> None:
        """End it."""


class DeviceUnderTest(Protocol):
    """A controller that takes lockstep lines."""

    @property
    def name(self) -> str:
        """What the report calls it."""

    def start(self) -> Session:
        """A fresh start.

        Raises:
            ConfigError: there is no such device.
        """


class LineProgram(Protocol):
    """A running program (`evtool.link.line_program`)."""

    @property
    def floods(self) -> bool: ...
    def send(self, text: str) -> None: ...
    def receive(self, count: int, timeout_s: float) -> str: ...
    def finish(self) -> tuple[int | None, str]: ...
    def close(self) -> None: ...


class HostProgram:
    """The firmware built for the computer: `program --lockstep`.

    Args:
        open_program: starts an argument list, `evtool.link.line_program.LineProgram`.
        patience_s: how long it may take for a batch of lines, before each line's own share.
    """

    def __init__(
        self,
        program: Path,
        open_program: Callable[[Sequence[str]], LineProgram],
        name: str = "host",
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._program = program
        self._open_program = open_program
        self._name = name
        self._patience_s = patience_s

    @property
    def name(self) -> str:
        return self._name

    def start(self) -> Session:
        program = self._open_program([str(self._program), "--lockstep"])
        return _HostSession(program, self._patience_s)

    def hurried(self, patience_s: float) -> HostProgram:
        """The same, waited for no longer than this: for the many runs of a search."""
        return HostProgram(self._program, self._open_program, self._name, patience_s)


class _HostSession:
    def __init__(self, program: LineProgram, patience_s: float) -> None:
        self._program = program
        self._patience_s = patience_s
        self._tail = ""

    def give(self, lines: Sequence[str]) -> None:
        self._program.send("\n".join((*lines, "")))

    def answers(self, count: int) -> str:
        text = self._program.receive(count, self._patience_s + _SECONDS_PER_LINE * count)
        self._tail = text[-400:]
        return text

    def ended(self) -> str:
        return_code, errors = self._program.finish()
        if return_code is None:
            if self._program.floods:
                return "the program writes without end"
            return f"the program gave no answer within {self._patience_s:.0f} s"
        reason = f"the program ended with code {return_code}"
        if return_code < 0:
            reason = f"the program was ended by signal {-return_code}"
        lines = errors.strip().splitlines()
        first = next((n for n, line in enumerate(lines) if _SANITIZER.search(line)), None)
        shown = lines[-6:] if first is None else lines[first : first + _SHOWN]
        refusal = self._tail.splitlines()[-1:]
        if not shown and refusal and refusal[0].startswith("malformed "):
            shown = refusal
        return "\n    ".join([reason, *shown])

    def close(self) -> None:
        self._program.close()


class Reference:
    """The oracle itself, a second time: for what a scenario expects, without any firmware."""

    name = "reference"

    def start(self) -> Session:
        return _ReferenceSession()


class _ReferenceSession:
    def __init__(self) -> None:
        self._lockstep = Lockstep()
        self._answers: list[str] = []

    def give(self, lines: Sequence[str]) -> None:
        for line in lines:
            self._answers.append("\n".join((*self._lockstep.answer(line), "")))

    def answers(self, count: int) -> str:
        given, self._answers = self._answers[:count], self._answers[count:]
        return "".join(given)

    def ended(self) -> str:
        return "it does not understand the line"

    def close(self) -> None:
        """There is nothing to end."""


def answer_text(answer: Answer) -> str:
    """An answer as a device writes it, its `ok` included."""
    return "\n".join((*answer, "ok", ""))


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
