# SPDX-License-Identifier: GPL-3.0-or-later
"""One small wrong change to one file, and the list of changes that are none."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

EQUIVALENT = Path(__file__).resolve().parent / "equivalent.toml"


@dataclass(frozen=True, slots=True)
class Mutant:
    """`old` at `start` in the text of `file` becomes `new`.

    `line_text` is the whole line, stripped, so that a list can name it without a number.
    """

    file: str
    line: int
    line_text: str
    start: int
    old: str
    new: str

    def apply(self, text: str) -> str:
        """The changed file."""
        assert text[self.start : self.start + len(self.old)] == self.old
        return text[: self.start] + self.new + text[self.start + len(self.old) :]

    @property
    def change(self) -> str:
        """What becomes what, on one line."""
        old, new = " ".join(self.old.split()), " ".join(self.new.split())
        return f"{old or '(nothing)'} -> {new or '(nothing)'}"

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.change}   in   {self.line_text}"


def make(file: str, text: str, start: int, old: str, new: str) -> Mutant:
    """A mutant of `text`; its line is the one in which the change begins."""
    before = text.count("\n", 0, start)
    line_text = text.splitlines()[before].strip()
    return Mutant(file, before + 1, line_text, start, old, new)


class Equivalents:
    """Mutants that no test can kill because they change nothing, each with its reason.

    An entry names file, line and change by their text: code that moves stays listed, code that
    changes must be looked at again, and an entry that matches nothing is stale.
    """

    def __init__(self, path: Path = EQUIVALENT) -> None:
        entries = tomllib.loads(path.read_text(encoding="utf-8")).get("equivalent", [])
        self._reasons: dict[tuple[str, str, str], str] = {}
        for entry in entries:
            keys = [
                (entry["file"], line, change)
                for line, changes in entry["lines"].items()
                for change in changes
            ]
            for key in keys:
                assert key not in self._reasons, f"twice in {path.name}: {key}"
                assert entry["reason"].strip(), f"{path.name}: {key} has no reason"
                self._reasons[key] = entry["reason"]
        self._used: set[tuple[str, str, str]] = set()

    def holds(self, mutant: Mutant) -> bool:
        """Whether this mutant is listed."""
        key = mutant.file, mutant.line_text, mutant.change
        if key in self._reasons:
            self._used.add(key)
            return True
        return False

    def stale(self, files: set[str]) -> list[str]:
        """Entries for `files` that no surviving mutant matched."""
        unused = [key for key in self._reasons if key not in self._used and key[0] in files]
        return [f"{file}: {change}   in   {line}" for file, line, change in sorted(unused)]
