# SPDX-License-Identifier: GPL-3.0-or-later
"""Mutants that a person made: planted.toml."""

from __future__ import annotations

import tomllib
from pathlib import Path

from mutation import cpp_target, python_target
from mutation.mutant import Mutant, make

PLANTED = Path(__file__).resolve().parent / "planted.toml"


def planted(language: str) -> tuple[dict[Mutant, str], list[str]]:
    """The mutants of `cpp` or `python` with their names, and which no longer apply.

    Raises:
        OSError, TOMLDecodeError: the list cannot be read.
    """
    read = cpp_target.text_of if language == "cpp" else python_target.text_of
    mutants: dict[Mutant, str] = {}
    stale: list[str] = []
    for entry in tomllib.loads(PLANTED.read_text(encoding="utf-8"))["planted"]:
        if language not in entry:
            continue
        file, old, new = entry[language]
        text = read(file)
        if text.count(old) == 1:
            mutants[make(file, text, text.index(old), old, new)] = entry["name"]
        else:
            stale.append(f"{file}: {entry['name']}: `{old}` is there {text.count(old)} times")
    return mutants, stale
