# SPDX-License-Identifier: GPL-3.0-or-later
"""Which lines and branches of some C++ files no run has reached, by gcov's JSON."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

from proof.cpp_core import run_tool


def unreached(gcov: str, folder: Path, files: set[Path]) -> list[tuple[Path, int, str]]:
    """The lines of `files` that were not run, or not in every direction.

    Args:
        gcov: the tool.
        folder: where g++ --coverage left its objects, and the runs their counts.
        files: whole paths.

    Returns:
        file, line number and what is missing, in order. A line that is compiled several times
        (a header, a template) counts as reached where any of its copies was; so does each
        direction of each of its branches.
    """
    lines: dict[tuple[Path, int], int] = defaultdict(int)
    branches: dict[tuple[Path, int], dict[int, int]] = defaultdict(lambda: defaultdict(int))
    for notes in sorted(folder.glob("*.gcno")):
        text = run_tool([gcov, "--json-format", "--branch-probabilities", "-t", str(notes)], folder)
        for report in map(json.loads, text.splitlines()):
            for source in report["files"]:
                path = Path(source["file"]).resolve()
                if path in files:
                    _add(source["lines"], path, lines, branches)
    missing: list[tuple[Path, int, str]] = []
    for (path, number), count in sorted(lines.items()):
        ways = branches[path, number]
        never = sorted(way for way, taken in ways.items() if not taken)
        if not count:
            missing.append((path, number, "never run"))
        elif never:
            missing.append((path, number, f"ways {never} of {len(ways)} never taken"))
    unseen = files - {path for path, _ in lines} - {path for path in files if _has_no_code(path)}
    return missing + [(path, 0, "not compiled") for path in sorted(unseen)]


def _add(
    reported: list[dict[str, Any]],
    path: Path,
    lines: dict[tuple[Path, int], int],
    branches: dict[tuple[Path, int], dict[int, int]],
) -> None:
    for line in reported:
        key = path, line["line_number"]
        lines[key] += line["count"]
        ways = [branch for branch in line["branches"] if not branch["throw"]]
        for way, branch in enumerate(ways):
            branches[key][way] += branch["count"]


def _has_no_code(path: Path) -> bool:
    """A header that only declares."""
    return path.suffix == ".hpp" and "return" not in path.read_text(encoding="utf-8")
