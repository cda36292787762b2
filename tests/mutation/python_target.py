# SPDX-License-Identifier: GPL-3.0-or-later
"""Mutants of the reference: loaded in this process, asked, and compared line by line."""

from __future__ import annotations

import importlib
import signal
import sys
import types
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache

from mutation.mutant import Mutant
from mutation.python_operators import mutants_of
from proof.cpp_core import REPOSITORY

PACKAGE = "evtool.reference_impl"
REFERENCE = REPOSITORY / "evtool" / "reference_impl"
GATE_FILES = ("charge_gate.py", "permission.py")
FILES = (
    *GATE_FILES,
    *("bms.py", "faults.py", "module_commands.py", "bus_watch.py", "freshness.py"),
    *("power_module.py", "known.py", "setpoint.py", "controller.py"),
)
_CPU_SECONDS = 120.0
# What the table needs; the rest of the reference takes longer to load than to be asked.
_GATE_MODULES = (
    *(f"{PACKAGE}.{name}" for name in ("charge_gate", "permission")),
    "proof.gate_table",
)


@cache
def text_of(file: str) -> str:
    """A file of the reference as it was when it was first asked for: it may be edited meanwhile."""
    return (REFERENCE / file).read_text()


def python_mutants(files: Sequence[str]) -> list[Mutant]:
    """Every mutant of these files of the reference."""
    return [mutant for file in files for mutant in mutants_of(file, (REFERENCE / file).read_text())]


class PythonTarget:
    """Tells whether a mutant survives.

    Args:
        lines, answers: what is asked, and what the unchanged reference says to each line.
    """

    def __init__(self, lines: Sequence[str], answers: Sequence[str]) -> None:
        from proof.direct import direct_lines  # noqa: PLC0415 - the same
        from proof.gate_table import table_lines  # noqa: PLC0415 - it is loaded anew later

        self._asked = list(zip(lines, answers, strict=True))
        self._table = list(table_lines())
        self._direct = list(direct_lines())

    def survives(self, mutant: Mutant) -> bool:
        """Whether nothing that is asked shows the change."""
        if mutant.file in GATE_FILES and not self.gate_survives(mutant):
            return False
        with changed(mutant), time_limit(), suppress(Exception):
            lockstep = importlib.import_module(f"{PACKAGE}.lockstep").Lockstep()
            if any("\n".join(lockstep.answer(line)) != said for line, said in self._asked):
                return False
            return _same(importlib.import_module("proof.direct").direct_lines(), self._direct)
        return False  # it raised

    def gate_survives(self, mutant: Mutant) -> bool:
        """Whether the table of the gate's answers does not show it."""
        with changed(mutant, _GATE_MODULES), time_limit(), suppress(Exception):
            table = importlib.import_module("proof.gate_table")
            return _same(table.table_lines(), self._table)
        return False


def _same(found: Iterable[str], expected: Sequence[str]) -> bool:
    pairs = zip(found, expected, strict=True)
    return all(one == other for one, other in pairs)


@contextmanager
def changed(mutant: Mutant, only: Collection[str] = ()) -> Iterator[None]:
    """All modules of the reference (or `only` these) anew, one of them changed.

    The old ones come back at the end.
    """

    def is_reloaded(name: str) -> bool:
        return name in only if only else _is_reference(name)

    kept = {name: module for name, module in sys.modules.items() if is_reloaded(name)}
    for name in kept:
        del sys.modules[name]
    try:
        package = importlib.import_module(PACKAGE)
        part = mutant.file.removesuffix(".py")
        module = types.ModuleType(f"{PACKAGE}.{part}")
        sys.modules[module.__name__] = module
        setattr(package, part, module)
        text = mutant.apply(text_of(mutant.file))
        with suppress(Exception):  # then whoever imports it fails: killed
            exec(compile(text, mutant.file, "exec"), module.__dict__)  # noqa: S102 - our own text
        yield
    finally:
        for name in [name for name in sys.modules if is_reloaded(name)]:
            del sys.modules[name]
        sys.modules.update(kept)
        for name, module in kept.items():
            parent, _, child = name.rpartition(".")
            setattr(sys.modules[parent], child, module)


def _is_reference(name: str) -> bool:
    return name in (PACKAGE, "proof.direct") or name.startswith(f"{PACKAGE}.")


@contextmanager
def time_limit(cpu_s: float = _CPU_SECONDS) -> Iterator[None]:
    """An endless loop is a difference too."""

    def stop(*_: object) -> None:
        raise TimeoutError

    previous = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, cpu_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, previous)
