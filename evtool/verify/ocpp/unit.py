# SPDX-License-Identifier: GPL-3.0-or-later
"""A charge point in virtual time: anything that answers the lockstep lines with OCPP in them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from evtool.reference_impl.charge_point.mode import Mode
from evtool.reference_impl.ocpp_lockstep import OcppLockstep
from evtool.verify.device_under_test import LineProgram

PATIENCE_S = 30.0


class UnitGaveUp(Exception):
    """The unit crashed, hung or refused a line; the text says which."""


class Unit(Protocol):
    """One charge point, from a fresh flash on."""

    def give(self, lines: Sequence[str]) -> list[str]:
        """What comes of `lines`, without the closing `ok` of each.

        Raises:
            UnitGaveUp: not every line was answered.
        """

    def close(self) -> None:
        """End it."""


class ReferenceUnit:
    """The reference: the controller and the charge point in Python."""

    def __init__(self, lockstep: OcppLockstep) -> None:
        self._lockstep = lockstep

    def give(self, lines: Sequence[str]) -> list[str]:
        answers: list[str] = []
        for line in lines:
            *answer, end = self._lockstep.answer(line)
            if end != "ok":
                raise UnitGaveUp(f"`{line}`: {end}")
            answers += answer
        return answers

    def close(self) -> None:
        """There is nothing to end."""


class ProgramUnit:
    """The firmware with MicroOcpp: `program --lockstep`.

    Args:
        storage: an empty folder for the library's files.
        open_program: starts an argument list in an environment.
    """

    def __init__(
        self,
        program: Path,
        storage: Path,
        open_program: Callable[[Sequence[str], Mapping[str, str]], LineProgram],
    ) -> None:
        environment = {"EVTOOL_STORAGE": str(storage), "EVTOOL_NONCE": "1"}
        self._program = open_program([str(program), "--lockstep"], environment)

    def give(self, lines: Sequence[str]) -> list[str]:
        self._program.send("\n".join((*lines, "")))
        answers = self._program.receive(len(lines), PATIENCE_S).splitlines()
        if answers.count("ok") != len(lines):
            code, errors = self._program.finish()
            shown = errors.strip() or " ".join(answers[-1:])
            raise UnitGaveUp(f"`{lines[0]}`: the program ended with {code}: {shown[-1500:]}")
        return [answer for answer in answers if answer != "ok"]

    def close(self) -> None:
        """End the program."""
        self._program.close()


class OcppDevice(Protocol):
    """What makes charge points that are all alike."""

    @property
    def name(self) -> str:
        """What the report calls it."""

    def fresh(self) -> AbstractContextManager[Unit]:
        """One with an empty flash; it ends with the context."""


@dataclass(frozen=True, slots=True)
class ReferenceDevice:
    """The reference charge point in one of its modes."""

    mode: Mode

    @property
    def name(self) -> str:
        return self.mode.name

    @contextmanager
    def fresh(self) -> Iterator[Unit]:
        yield ReferenceUnit(OcppLockstep(self.mode, nonce=1))


@dataclass(frozen=True, slots=True)
class ProgramDevice:
    """A host program with MicroOcpp.

    Attributes:
        open_program: starts an argument list in an environment.
        storage: makes an empty folder that is gone after its context.
    """

    name: str
    program: Path
    open_program: Callable[[Sequence[str], Mapping[str, str]], LineProgram]
    storage: Callable[[], AbstractContextManager[str]]

    @contextmanager
    def fresh(self) -> Iterator[Unit]:
        with self.storage() as folder:
            unit = ProgramUnit(self.program, Path(folder), self.open_program)
            try:
                yield unit
            finally:
                unit.close()
