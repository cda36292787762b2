# SPDX-License-Identifier: GPL-3.0-or-later
"""Mutants of both languages against the random inputs alone: `python -m mutation.fuzz_run`.

What they do not find is asked the rule tests, the scenarios and direct calls (what `make mutants`
asks); what lives then must stand in equivalent.toml. Exit code 1 if something lives that does not,
or a planted mutant no longer applies.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mutation.cpp_target import CppTarget, cpp_mutants
from mutation.fuzz_target import (
    CPP_FILES,
    PYTHON_FILES,
    Asked,
    FuzzedCore,
    FuzzedReference,
    Questions,
    Verdict,
    python_questions,
)
from mutation.mutant import Equivalents, Mutant
from mutation.planted import planted
from mutation.python_target import PythonTarget, python_mutants
from proof.corpus import expected_answers, rule_lines, scenario_lines
from proof.cpp_core import WORKERS


def main(arguments: Sequence[str]) -> int:
    """Judge them; what the random inputs miss goes to standard output."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", nargs="*", help="only these files: faults.cpp, controller.py")
    parser.add_argument("--steps", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--sample", type=int, default=300, help="at most so many a language")
    parser.add_argument("--planted", action="store_true", help="those of planted.toml instead")
    wanted = parser.parse_args(arguments)
    gxx = shutil.which("g++")
    if gxx is None:
        sys.exit("needs g++ (Debian: apt-get install g++)")
    good = True
    with tempfile.TemporaryDirectory() as folder:
        questions = Questions(gxx, Path(folder), wanted.seed, wanted.steps)
        for language in ("cpp", "python"):
            mutants = _chosen(language, wanted)
            if not mutants:
                continue
            start = time.monotonic()
            ask = _ask_core if language == "cpp" else _ask_reference
            verdicts = list(ask(gxx, questions, list(mutants)))
            _say(f"{language}: {_summary(verdicts)}, {time.monotonic() - start:.0f} s")
            if wanted.planted:
                for verdict in verdicts:
                    _say(f"  {_steps(verdict)}: {mutants[verdict.mutant]}")
            missed = [each.mutant for each in verdicts if each.compiles and each.steps is None]
            others = _CppRules if language == "cpp" else _PythonRules
            good = _explain(missed, others(gxx, Path(folder)), mutants) and good
    for entry in [*planted("cpp")[1], *planted("python")[1]] if wanted.planted else ():
        good = False
        _say(f"stale in planted.toml: {entry}")
    return 0 if good else 1


def _chosen(language: str, wanted: argparse.Namespace) -> Mapping[Mutant, str]:
    """The mutants, each with a name that may be empty."""
    if wanted.planted:
        return planted(language)[0]
    suffixes = (".cpp", ".hpp") if language == "cpp" else (".py",)
    files = [file for file in wanted.file if file.endswith(suffixes)]
    if wanted.file and not files:
        return {}
    make = cpp_mutants if language == "cpp" else python_mutants
    mutants = make(files or (CPP_FILES if language == "cpp" else PYTHON_FILES))
    if len(mutants) > wanted.sample:
        mutants = random.Random(wanted.seed).sample(mutants, wanted.sample)  # noqa: S311 - a sample
    return dict.fromkeys(mutants, "")


def _ask_core(gxx: str, questions: Questions, mutants: Sequence[Mutant]) -> Iterator[Verdict]:
    core = FuzzedCore(gxx, questions)
    with ThreadPoolExecutor(WORKERS) as pool:
        yield from pool.map(core.ask, mutants, range(len(mutants)))


_reference: FuzzedReference


def _begin(asked: Asked) -> None:
    global _reference  # noqa: PLW0603 - what a pool's worker keeps between its tasks
    _reference = FuzzedReference(asked)


def _ask(mutant: Mutant) -> Verdict:
    return _reference.ask(mutant)


def _ask_reference(_: str, questions: Questions, mutants: Sequence[Mutant]) -> Iterator[Verdict]:
    context = multiprocessing.get_context("fork")
    with context.Pool(WORKERS, _begin, (python_questions(questions),)) as pool:
        yield from pool.imap(_ask, mutants)


class _CppRules:
    """The rule tests, the scenarios and direct calls, for mutants of the core."""

    def __init__(self, gxx: str, folder: Path) -> None:
        rules = folder / "rules"
        rules.mkdir()
        self._target = CppTarget(gxx, rules, [list(rule_lines()), list(scenario_lines())])
        self._number = 0

    def find(self, mutant: Mutant) -> bool:
        self._number += 1
        return self._target.survives(mutant, self._number) is False


class _PythonRules:
    """The rule tests and direct calls, for mutants of the reference."""

    def __init__(self, _: str, __: Path) -> None:
        lines = list(rule_lines())
        self._target = PythonTarget(lines, expected_answers(lines))

    def find(self, mutant: Mutant) -> bool:
        return not self._target.survives(mutant)


def _explain(
    missed: Iterable[Mutant], rules: _CppRules | _PythonRules, names: Mapping[Mutant, str]
) -> bool:
    """Say what becomes of each that the random inputs missed; whether all are accounted for."""
    equivalents = Equivalents()
    good = True
    for mutant in missed:
        if equivalents.holds(mutant):
            _say(f"equivalent: {mutant}")
        elif rules.find(mutant):
            _say(f"found by rules or scenarios: {mutant} {names[mutant]}")
        else:
            good = False
            _say(f"alive: {mutant} {names[mutant]}")
    return good


def _steps(verdict: Verdict) -> str:
    if not verdict.compiles:
        return "no program"
    return "not found" if verdict.steps is None else f"{verdict.steps} steps"


def _summary(verdicts: Sequence[Verdict]) -> str:
    made = [verdict for verdict in verdicts if verdict.compiles]
    steps = sorted(verdict.steps for verdict in made if verdict.steps is not None)
    told = f"{len(made)} mutants, {len(steps)} found"
    if not steps:
        return told
    places = (steps[len(steps) // 2], steps[len(steps) * 9 // 10], steps[-1])
    return told + " (steps: median {}, nine of ten {}, most {})".format(*places)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
