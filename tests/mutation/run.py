# SPDX-License-Identifier: GPL-3.0-or-later
"""Every mutant of the gate and the power path, in both languages: `python -m mutation.run`.

Exit code 1 if one lives that is not listed in equivalent.toml, or an entry there is stale.
"""

from __future__ import annotations

import argparse
import multiprocessing
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from mutation.cpp_target import FILES as CPP_FILES
from mutation.cpp_target import CppTarget, cpp_mutants
from mutation.mutant import Equivalents, Mutant
from mutation.python_target import FILES as PYTHON_FILES
from mutation.python_target import PythonTarget, python_mutants
from proof.corpus import expected_answers, fuzz_lines, rule_lines, scenario_lines
from proof.cpp_core import WORKERS

Verdict = tuple[Mutant, bool | None]


@dataclass
class Tally:
    """How many there were, and which lived."""

    killed: int = 0
    stillborn: int = 0  # it does not compile
    equivalent: int = 0
    alive: list[Mutant] = field(default_factory=list)

    def add(self, verdicts: Iterable[Verdict], equivalents: Equivalents) -> None:
        """Count them in."""
        for mutant, survives in verdicts:
            if survives is None:
                self.stillborn += 1
            elif not survives:
                self.killed += 1
            elif equivalents.holds(mutant):
                self.equivalent += 1
            else:
                self.alive.append(mutant)

    def __str__(self) -> str:
        made = self.killed + self.equivalent + len(self.alive)
        return (
            f"{made} mutants, {self.killed} killed, {self.equivalent} equivalent, "
            f"{len(self.alive)} alive ({self.stillborn} do not compile)"
        )


def judge_cpp(target: CppTarget, mutants: Sequence[Mutant]) -> Iterator[Verdict]:
    """Two compilers at a time."""
    with ThreadPoolExecutor(WORKERS) as pool:
        survive = pool.map(target.survives, mutants, range(len(mutants)))
        yield from zip(mutants, survive, strict=True)


_target: PythonTarget


def _begin(lines: Sequence[str], answers: Sequence[str]) -> None:
    global _target  # noqa: PLW0603 - what a pool's worker keeps between its tasks
    _target = PythonTarget(lines, answers)


def _survives(mutant: Mutant) -> bool:
    return _target.survives(mutant)


def judge_python(
    lines: Sequence[str], answers: Sequence[str], mutants: Sequence[Mutant]
) -> Iterator[Verdict]:
    """Two processes at a time."""
    context = multiprocessing.get_context("fork")
    with context.Pool(WORKERS, _begin, (lines, answers)) as pool:
        yield from zip(mutants, pool.imap(_survives, mutants, chunksize=4), strict=True)


def main(arguments: Sequence[str]) -> int:
    """Judge them all; what lives goes to standard output."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", nargs="*", help="only these files: faults.cpp, controller.py")
    wanted = parser.parse_args(arguments).file
    gxx = shutil.which("g++")
    if gxx is None:
        sys.exit("needs g++ (Debian: apt-get install g++)")
    cpp_files = [file for file in CPP_FILES if not wanted or file in wanted]
    python_files = [file for file in PYTHON_FILES if not wanted or file in wanted]
    equivalents = Equivalents()
    fuzz, rules = list(fuzz_lines()), list(rule_lines())
    alive: list[Mutant] = []
    if cpp_files:
        start = time.monotonic()
        tally = Tally()
        with tempfile.TemporaryDirectory() as folder:
            target = CppTarget(gxx, Path(folder), [fuzz, rules, list(scenario_lines())])
            tally.add(judge_cpp(target, cpp_mutants(cpp_files)), equivalents)
        alive += tally.alive
        _say(f"C++: {tally}, {time.monotonic() - start:.0f} s")
    if python_files:
        start = time.monotonic()
        tally = Tally()
        lines = fuzz + rules
        verdicts = judge_python(lines, expected_answers(lines), python_mutants(python_files))
        tally.add(verdicts, equivalents)
        alive += tally.alive
        _say(f"Python: {tally}, {time.monotonic() - start:.0f} s")
    stale = equivalents.stale({*cpp_files, *python_files})
    for mutant in alive:
        _say(f"alive: {mutant}")
    for entry in stale:
        _say(f"stale in equivalent.toml: {entry}")
    return 1 if alive or stale else 0


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
