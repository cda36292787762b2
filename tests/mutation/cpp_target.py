# SPDX-License-Identifier: GPL-3.0-or-later
"""Mutants of the C++ core: the changed file compiled against ready objects, run and compared."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from mutation.cpp_operators import mutants_of
from mutation.mutant import Mutant
from proof.cpp_core import (
    CORE,
    HOST,
    LOCKSTEP,
    PROOF,
    STANDARD,
    compile_objects,
    core_sources,
    link,
)

GATE_FILES = ("charge_gate.cpp", "charge_gate.hpp", "permission.hpp")
FILES = (
    *GATE_FILES,
    *("bms.cpp", "bms.hpp", "faults.cpp", "faults.hpp", "module_commands.cpp", "bus_watch.cpp"),
    *("bus_watch.hpp", "freshness.hpp", "power_module.cpp", "power_module.hpp", "controller.cpp"),
    "controller.hpp",
)
# An endless loop and an endless answer are differences too: CPU seconds, and blocks of 512 bytes.
_LIMITED = 'ulimit -t 30; ulimit -f 400000; exec "$0"'
_TABLE = PROOF / "gate_table.cpp"
_DIRECT = PROOF / "direct.cpp"
_MAINS = {LOCKSTEP[-1], _TABLE, _DIRECT}
# A subscript beyond an array's end is a difference too.
_FLAGS = ("-O0", "-w", "-D_GLIBCXX_ASSERTIONS")


def source_of(file: str) -> Path:
    """Where a file of the core stands."""
    return CORE / ("src" if file.endswith(".cpp") else "include/evcore") / file


@cache
def text_of(file: str) -> str:
    """A file of the core as it was when it was first asked for: it may be edited meanwhile."""
    return source_of(file).read_text()


def cpp_mutants(files: Sequence[str]) -> list[Mutant]:
    """Every mutant of these files of the core."""
    return [mutant for file in files for mutant in mutants_of(file, text_of(file))]


class CppTarget:
    """Tells whether a mutant survives; several may be asked at once.

    Args:
        gxx: the compiler.
        folder: where objects and programs go.
        stages: what is asked, in this order; the next only of what survived the one before.
    """

    def __init__(self, gxx: str, folder: Path, stages: Sequence[Sequence[str]]) -> None:
        self._gxx = gxx
        self._folder = folder
        sources = [*core_sources(), *LOCKSTEP, _TABLE, _DIRECT]
        self._objects = compile_objects(gxx, folder, sources, *_FLAGS)
        self._questions: list[Path] = []
        for number, lines in enumerate(stages):
            path = folder / f"stage{number}.txt"
            path.write_text("".join(f"{line}\n" for line in lines))
            self._questions.append(path)
        table = self._link(folder, {}, _TABLE)
        program = self._link(folder, {}, LOCKSTEP[-1])
        self._table = self._run(table, None, folder / "table.out")
        self._direct = self._run(self._link(folder, {}, _DIRECT), None, folder / "direct.out")
        self._answers = [
            self._run(program, questions, folder / "answers.out") for questions in self._questions
        ]

    def survives(self, mutant: Mutant, number: int) -> bool | None:
        """Whether nothing that is asked shows the change; None: it does not compile.

        `number` tells its files from those of others.
        """
        folder = self._folder / f"mutant{number}"
        headers = folder / "include" / "evcore"
        headers.mkdir(parents=True)
        is_header = mutant.file.endswith(".hpp")
        changed = (headers if is_header else folder) / mutant.file
        changed.write_text(mutant.apply(text_of(mutant.file)))
        if mutant.file in GATE_FILES:
            answer = self._gate_shows(mutant, folder, changed)
            if answer is None or answer:
                return None if answer is None else False
        objects = self._compile(folder, changed, [*core_sources(), *LOCKSTEP])
        if objects is None:
            return None
        program = self._link(folder, objects, LOCKSTEP[-1])
        for questions, answers in zip(self._questions, self._answers, strict=True):
            if self._run(program, questions, folder / "answers.out") != answers:
                return False
        if is_header:
            objects = self._compile(folder, changed, [*core_sources(), _DIRECT])
        program = self._link(folder, objects or {}, _DIRECT)
        return self._run(program, None, folder / "direct.out") == self._direct

    def _gate_shows(self, mutant: Mutant, folder: Path, changed: Path) -> bool | None:
        """Whether the table of the gate's answers shows it, before the long questions."""
        objects: dict[Path, Path] = {}
        sources = [source_of("charge_gate.cpp"), _TABLE] if changed.suffix == ".hpp" else [changed]
        for source in sources:
            made = self._compile_one(folder, source)
            if made is None:
                return None
            objects[source_of(source.name) if source != _TABLE else _TABLE] = made
        program = self._link(folder, objects, _TABLE)
        return self._run(program, None, folder / "table.out") != self._table

    def _compile(self, folder: Path, changed: Path, sources: list[Path]) -> dict[Path, Path] | None:
        """The changed file, or where that is a header all `sources` in one piece."""
        if changed.suffix == ".cpp":
            made = self._compile_one(folder, changed)
            return None if made is None else {source_of(changed.name): made}
        piece = folder / "whole.cpp"
        piece.write_text("".join(f'#include "{source}"\n' for source in sources))
        made = self._compile_one(folder, piece)
        return None if made is None else dict.fromkeys(sources, made)

    def _compile_one(self, folder: Path, source: Path) -> Path | None:
        target = folder / f"{source.stem}.o"
        includes = [f"-I{folder / 'include'}", f"-I{CORE / 'include'}", f"-I{HOST}"]
        command = [self._gxx, *STANDARD, *_FLAGS, *includes, "-c", str(source)]
        done = subprocess.run([*command, "-o", str(target)], capture_output=True, check=False)
        return target if done.returncode == 0 else None

    def _link(self, folder: Path, changed: dict[Path, Path], main: Path) -> Path:
        objects = {**self._objects, **changed}
        others = _MAINS - {main}
        if main != LOCKSTEP[-1]:
            others = others | set(LOCKSTEP)
        wanted = {path: None for source, path in objects.items() if source not in others}
        return link(self._gxx, folder, main.stem + ".run", list(wanted))

    def _run(self, program: Path, questions: Path | None, output: Path) -> bytes:
        with output.open("wb") as sink:
            source = questions.open("rb") if questions else None
            try:
                subprocess.run(
                    ["/bin/sh", "-c", _LIMITED, str(program)],
                    stdin=source if source else subprocess.DEVNULL,
                    stdout=sink,
                    stderr=subprocess.DEVNULL,
                    check=False,
                )
            finally:
                if source:
                    source.close()
        text = output.read_bytes()
        output.unlink()  # a thousand mutants say much
        return text
