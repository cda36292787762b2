# SPDX-License-Identifier: GPL-3.0-or-later
"""What went wrong and where, out of what compiler, linker, SCons and PlatformIO print."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Kind = Literal["compiler", "linker", "script", "platformio"]

# src/a.cpp:3:9: error: ..., a.S:4: Error: ... (the assembler)
_COMPILER = re.compile(
    r"(?P<file>[^\s:][^:]*):(?P<line>\d+)(?::(?P<column>\d+))?: "
    r"(?P<text>(?:fatal error|internal compiler error|error|Error|Fatal error): .*)"
)
# g++: fatal error: no input files, cc1plus: error: ...
_DRIVER = re.compile(
    r"(?:\S*/)?(?P<text>(?:\S*-)?(?:cc1plus|cc1|c\+\+|g\+\+|gcc|as|ar|collect2): "
    r"(?:fatal error|internal compiler error|error): .*)"
)
# a.cpp:12: undefined reference to ... where there is debug information, else
# a.cpp:(.text+0xa): undefined reference to ...
_LINKER = re.compile(
    r"(?:(?:\S*/)?\S*\bld(?:\.\w+)?: )?(?P<file>[^\s:][^:]*):(?:(?P<line>\d+)|\([^()]*\)): "
    r"(?P<text>(?:undefined reference to|multiple definition of|relocation truncated|"
    r"dangerous relocation|undefined symbol).*)"
)
_LD = re.compile(
    r"(?:\S*/)?\S*\bld(?:\.\w+)?: (?!.*: in function )(?!.*\bwarning: )(?P<text>.*\S.*)"
)
_IN_FUNCTION = re.compile(r".*: in function [`'](?P<name>.*?)['`]?:$")
_PLATFORMIO = re.compile(r"Error: (?P<text>.*\S.*)")
_SCONS = re.compile(r"\*\*\* (?:\[[^\]]*\] )?(?P<text>(?!.*\bError -?\d+$).*\S.*)")
_EXCEPTION = re.compile(r"(?P<text>[A-Z]\w*(?:Error|Exception|Interrupt): .*?):?$")
_PLACE = re.compile(r'\s*File "(?P<file>[^"]+)", line (?P<line>\d+)')
_INI_FILE = re.compile(r"Invalid '(?P<file>[^']+)'")
_INI_LINE = re.compile(r"\s*\[line\s+(?P<line>\d+)\]")
_SUMMARY = "collect2: error: ld returned"


@dataclass(frozen=True, slots=True)
class Problem:
    """One error; file, line and column (from 1) where they are known."""

    kind: Kind
    text: str
    file: str | None = None
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        place = [str(part) for part in (self.file, self.line, self.column) if part is not None]
        return ": ".join([":".join(place), self.text] if place else [self.text])


class Diagnosis:
    """Reads a build's lines in their order.

    Args:
        folder: the PlatformIO project; files in it are named from there.
        on_problem: called with each error as soon as it is known.
    """

    def __init__(
        self, folder: Path, on_problem: Callable[[Problem], None] = lambda problem: None
    ) -> None:
        self._folder = str(folder) + "/"
        self._on_problem = on_problem
        self._function: str | None = None
        self._exception: str | None = None
        self._place: tuple[str, int] | None = None
        self._ini: str | None = None
        self.problems: list[Problem] = []

    def feed(self, line: str) -> None:
        """Take the next line."""
        found = self._compiler_or_linker(line) or self._platformio(line)
        if found is not None:
            self._add(found)
        elif not self._script(line) and (match := _IN_FUNCTION.match(line)):
            self._function = match["name"]

    def finish(self) -> None:
        """The last line was taken: a script's error is known as a whole only now."""
        if self._exception is None:
            return
        file, number = self._place or (None, None)
        kind: Kind = "platformio" if file is None else "script"
        self._add(Problem(kind, self._exception, file, number))
        self._exception = None

    def _compiler_or_linker(self, line: str) -> Problem | None:
        if match := _COMPILER.match(line):
            column = match["column"]
            return Problem(
                "compiler",
                match["text"],
                self._near(match["file"]),
                int(match["line"]),
                None if column is None else int(column),
            )
        if line.startswith(_SUMMARY):
            return None
        if match := _DRIVER.match(line):
            return Problem("compiler", match["text"])
        if match := _LINKER.match(line):
            where = f" (in {self._function})" if self._function else ""
            number = match["line"]
            return Problem(
                "linker",
                match["text"] + where,
                self._near(match["file"]),
                None if number is None else int(number),
            )
        match = _LD.match(line)
        return None if match is None else Problem("linker", match["text"])

    def _platformio(self, line: str) -> Problem | None:
        match = _PLATFORMIO.match(line) or _SCONS.match(line)
        return None if match is None else Problem("platformio", match["text"])

    def _script(self, line: str) -> bool:
        """Python's and SCons's ways to name a place, before or after the error's own line."""
        if match := _PLACE.match(line):
            if match["file"].startswith(self._folder):
                self._place = (self._near(match["file"]), int(match["line"]))
            return True
        if match := _EXCEPTION.match(line):
            self._exception = match["text"]
            ini = _INI_FILE.search(line)
            self._ini = ini["file"] if ini else self._ini
            return True
        if self._ini is not None and (match := _INI_LINE.match(line)):
            self._place = (self._near(self._ini), int(match["line"]))
            self._exception = line.strip()
            return True
        return False

    def _add(self, problem: Problem) -> None:
        self.problems.append(problem)
        self._on_problem(problem)

    def _near(self, file: str) -> str:
        return file.removeprefix(self._folder).removeprefix("./")
