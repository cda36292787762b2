# SPDX-License-Identifier: GPL-3.0-or-later
"""The gate and the power path, in both languages: no line and no branch that no test reaches.

What the tests ask is proof/corpus.py and proof/gate_table.py. A line that they miss fails here,
by name; the few that nothing can reach stand in `UNREACHABLE` with the reason, by their text, so
that an entry whose line is gone or was reached fails as well.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from proof.corpus import coverage_lines
from proof.cpp_core import (
    CORE,
    LOCKSTEP,
    PROOF,
    REPOSITORY,
    ask,
    compile_objects,
    core_sources,
    link,
)
from proof.direct import direct_lines
from proof.gcov_branches import unreached

REFERENCE = REPOSITORY / "evtool" / "reference_impl"
PARTS = (
    *("charge_gate", "permission", "bms", "faults", "module_commands", "bus_watch"),
    *("freshness", "power_module", "known", "setpoint", "controller"),
)
PLACES = (("src", ".cpp"), ("include/evcore", ".hpp"))
NEW_SAMPLE = "a sample that has just come is fresh"
OPEN_GATE = "a setpoint is wanted only while the gate is open, and then there is a request"
UNREACHABLE = {
    ("setpoint.py", "return 0, 0"): OPEN_GATE,
    ("setpoint.py", "if request is None:"): OPEN_GATE,
    ("controller.cpp", "return {};"): OPEN_GATE,
    ("controller.cpp", "if (!request) {"): OPEN_GATE,
    ("controller.cpp", "if (heard.voltage && millivolts) {"): NEW_SAMPLE,
    ("controller.cpp", "if (heard.current && milliamperes) {"): NEW_SAMPLE,
}

Missing = tuple[Path, int, str]


def test_the_reference_is_reached_whole(tmp_path: Path) -> None:
    files = [str(REFERENCE / f"{part}.py") for part in PARTS]
    report = tmp_path / "coverage.json"
    subprocess.run(
        [sys.executable, "-m", "proof.measure_reference", str(report), *files],
        check=True,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY / "tests")},
        cwd=REPOSITORY,
    )
    assert_reached(reference_missing(json.loads(report.read_text())), ".py")


def reference_missing(report: dict[str, Any]) -> Iterator[Missing]:
    for name, found in report["files"].items():
        path = REPOSITORY / name
        for line in found["missing_lines"]:
            yield path, line, "never run"
        for start, end in found["missing_branches"]:
            yield path, abs(start), f"never followed by line {abs(end)}"


def test_the_core_is_reached_whole(gxx: str, tmp_path: Path) -> None:
    gcov = shutil.which("gcov")
    if gcov is None:
        pytest.skip("needs gcov, which comes with g++ (Debian: apt-get install g++)")
    flags = ("--coverage", "-O0")
    sources = [*core_sources(), *LOCKSTEP, PROOF / "gate_table.cpp", PROOF / "direct.cpp"]
    objects = compile_objects(gxx, tmp_path, sources, *flags)
    mains = {"lockstep_main", "gate_table", "direct"}
    parts = [target for source, target in objects.items() if source.stem not in mains]
    programs = [
        link(gxx, tmp_path, main, [*parts, tmp_path / f"{main}.o"], "--coverage") for main in mains
    ]
    said = {
        program.name: ask(program, coverage_lines() if program.name == "lockstep_main" else [])
        for program in programs
    }
    assert said["direct"].splitlines() == list(direct_lines())
    files = [CORE / folder / f"{part}{suffix}" for part in PARTS for folder, suffix in PLACES]
    assert_reached(unreached(gcov, tmp_path, {path for path in files if path.exists()}), ".cpp")


def assert_reached(missing: Iterable[Missing], suffix: str) -> None:
    found, used = [], set()
    for path, number, what in missing:
        text = path.read_text(encoding="utf-8").splitlines()[number - 1].strip()
        if (path.name, text) in UNREACHABLE:
            used.add((path.name, text))
        else:
            found.append(f"{path.relative_to(REPOSITORY)}:{number}: {what}: {text}")
    assert not found, "\n".join(["not reached by any test:", *found])
    stale = {entry for entry in UNREACHABLE if entry[0].endswith(suffix)} - used
    assert not stale, f"reached, or gone: {sorted(stale)}"
