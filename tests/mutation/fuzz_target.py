# SPDX-License-Identifier: GPL-3.0-or-later
"""Mutants asked nothing but the random inputs of `evtool verify --fuzz`: after how many steps?

The unchanged controller of the other language is the oracle, chunk by chunk, as in `verify`.
"""

from __future__ import annotations

import importlib
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from zlib import crc32

from mutation import python_target
from mutation.cpp_target import source_of, text_of
from mutation.mutant import Mutant
from proof.cpp_core import CORE, HOST, LOCKSTEP, STANDARD, compile_objects, core_sources, link

from evtool.verify.fuzz import CHUNK_STEPS, chunks

_FLAGS = ("-O1", "-w", "-D_GLIBCXX_ASSERTIONS")
_STANDARD_HEADERS = ("algorithm", "array", "cstdint", "istream", "optional", "ostream", "string")
_LIMITED = 'ulimit -t 20; ulimit -f 100000; exec "$0"'

# Each chunk's lines and a sum of the answer to each.
Asked = Sequence[tuple[Sequence[str], Sequence[int]]]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the random inputs made of a mutant.

    Attributes:
        steps: how many it took to find it; None if it was not found.
        compiles: False for one that is no program.
    """

    mutant: Mutant
    steps: int | None
    compiles: bool = True


class Questions:
    """The chunks of a run, as files, and what the unchanged core says to each.

    Args:
        folder: where they go; answers are long, so only a sum of each chunk's is kept.
    """

    def __init__(self, gxx: str, folder: Path, seed: int, steps: int) -> None:
        self.folder = folder
        sources = [*core_sources(), *LOCKSTEP]
        self.objects = compile_objects(gxx, folder, sources, *_FLAGS)
        self.program = link(gxx, folder, "original", list(self.objects.values()))
        self.files: list[Path] = []
        self.sums: list[int] = []
        for number, chunk in enumerate(chunks(seed, steps)):
            path = folder / f"chunk{number}.txt"
            path.write_text("".join(f"{line}\n" for line in chunk.lines()))
            self.files.append(path)
            self.sums.append(crc32(answers_of(self.program, path, folder / "original.out")))

    def answers(self, number: int) -> list[bytes]:
        """A chunk's answers, one for each line."""
        sink = self.folder / "original.out"
        return split(answers_of(self.program, self.files[number], sink))


def answers_of(program: Path, questions: Path, sink: Path) -> bytes:
    """All that a lockstep program says; an endless answer is cut off."""
    with questions.open("rb") as source, sink.open("wb") as target:
        command = ["/bin/sh", "-c", _LIMITED, str(program)]
        subprocess.run(command, stdin=source, stdout=target, stderr=subprocess.DEVNULL, check=False)
    return sink.read_bytes()


def split(text: bytes) -> list[bytes]:
    """One piece for each answer."""
    return text.split(b"\nok\n" if not text.startswith(b"ok\n") else b"ok\n")


class FuzzedCore:
    """Asks mutants of the C++ core; several may be asked at once."""

    def __init__(self, gxx: str, questions: Questions) -> None:
        self._gxx = gxx
        self._questions = questions
        self._common = questions.folder / "common.hpp"
        self._common.write_text("".join(f"#include <{name}>\n" for name in _STANDARD_HEADERS))
        self._run([*self._compiler(), "-x", "c++-header", str(self._common)])

    def ask(self, mutant: Mutant, number: int) -> Verdict:
        """`number` tells its files from those of others."""
        folder = self._questions.folder / f"mutant{number}"
        folder.mkdir()
        try:
            program = self._build(mutant, folder)
            if program is None:
                return Verdict(mutant, None, compiles=False)
            return Verdict(mutant, self._steps(program, folder))
        finally:
            shutil.rmtree(folder)

    def _steps(self, program: Path, folder: Path) -> int | None:
        questions = self._questions
        for number, (path, expected) in enumerate(
            zip(questions.files, questions.sums, strict=True)
        ):
            found = answers_of(program, path, folder / "answers.out")
            if crc32(found) != expected:
                said = answers_of(questions.program, path, folder / "said.out")
                pairs = zip(split(found), split(said), strict=False)
                same = takewhile(lambda pair: pair[0] == pair[1], pairs)
                return number * CHUNK_STEPS + sum(1 for _ in same) + 1
        return None

    def _build(self, mutant: Mutant, folder: Path) -> Path | None:
        headers = folder / "include" / "evcore"
        headers.mkdir(parents=True)
        is_header = mutant.file.endswith(".hpp")
        changed = (headers if is_header else folder) / mutant.file
        changed.write_text(mutant.apply(text_of(mutant.file)))
        if is_header:
            sources = [*core_sources(), *LOCKSTEP]
            piece = folder / "whole.cpp"
            piece.write_text("".join(f'#include "{source}"\n' for source in sources))
        else:
            sources, piece = [source_of(mutant.file)], changed
        target = folder / "changed.o"
        include = f"-I{folder / 'include'}"
        command = [*self._compiler(include), "-include", str(self._common), "-c", str(piece)]
        if not self._run([*command, "-o", str(target)]):
            return None
        objects = {**self._questions.objects, **dict.fromkeys(sources, target)}
        return link(self._gxx, folder, "program", list(dict.fromkeys(objects.values())))

    def _compiler(self, *first: str) -> list[str]:
        return [self._gxx, *STANDARD, *_FLAGS, *first, f"-I{CORE / 'include'}", f"-I{HOST}"]

    def _run(self, command: Sequence[str]) -> bool:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0


class FuzzedReference:
    """Asks mutants of the reference, in this process.

    Args:
        asked: what the core said to each line.
    """

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._patience_s = 120.0 + 0.001 * sum(len(lines) for lines, _ in asked)

    def ask(self, mutant: Mutant) -> Verdict:
        """How many steps it takes."""
        steps = 0
        limit = python_target.time_limit(self._patience_s)
        with python_target.changed(mutant), limit, suppress(Exception):
            module = importlib.import_module(f"{python_target.PACKAGE}.lockstep")
            for lines, expected in self._asked:
                lockstep = module.Lockstep()
                for line, said in zip(lines, expected, strict=True):
                    steps += 1
                    if answer_hash(lockstep.answer(line)) != said:
                        return Verdict(mutant, steps)
            return Verdict(mutant, None)
        return Verdict(mutant, max(steps, 1))  # it raised, or does not end


def answer_hash(answer: Sequence[str]) -> int:
    """Enough of an answer to tell it from another."""
    return crc32("\n".join(answer[:-1]).encode())


def python_questions(questions: Questions) -> Asked:
    """The same chunks for `FuzzedReference`."""
    return list(_python_questions(questions))


def _python_questions(questions: Questions) -> Iterator[tuple[list[str], list[int]]]:
    for number, path in enumerate(questions.files):
        lines = path.read_text().splitlines()
        text = answers_of(questions.program, path, questions.folder / "original.out").decode()
        said: list[int] = []
        answer: list[str] = []
        for line in text.splitlines():
            answer.append(line)
            if line == "ok":
                said.append(answer_hash(answer))
                answer = []
        assert len(said) == len(lines), number
        yield lines, said


CPP_FILES = sorted(
    path.name
    for folder in (CORE / "src", CORE / "include" / "evcore")
    for path in folder.iterdir()
    if path.name != "can_tables.hpp"
)
PYTHON_FILES = sorted(
    path.name
    for path in python_target.REFERENCE.glob("*.py")
    if path.stem not in ("__init__", "random_inputs")
)
