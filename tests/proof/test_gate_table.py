# SPDX-License-Identifier: GPL-3.0-or-later
"""The gate and the permission in both languages, over every combination of their facts."""

from __future__ import annotations

import subprocess
from pathlib import Path

from proof.cpp_core import CORE, PROOF, compile_objects, core_sources, link
from proof.direct import direct_lines
from proof.gate_table import table_lines


def test_the_gates_of_both_languages_are_one(gxx: str, tmp_path: Path) -> None:
    sources = [CORE / "src" / "charge_gate.cpp", CORE / "src" / "names.cpp"]
    objects = compile_objects(gxx, tmp_path, [*sources, PROOF / "gate_table.cpp"], "-O0")
    program = link(gxx, tmp_path, "gate_table", list(objects.values()))
    done = subprocess.run([program], capture_output=True, text=True, check=True)
    expected = list(table_lines())
    assert done.stdout.splitlines() == expected
    # Connected or not, cool enough, no limit of 0 or below.
    assert expected[: 64 * 6 * 49].count("open") == 2 * 3 * 4


def test_callers_of_both_languages_see_the_same(gxx: str, tmp_path: Path) -> None:
    sources = [*core_sources(), PROOF / "direct.cpp"]
    objects = compile_objects(gxx, tmp_path, sources, "-O0")
    program = link(gxx, tmp_path, "direct", list(objects.values()))
    done = subprocess.run([program], capture_output=True, text=True, check=True)
    expected = list(direct_lines())
    assert done.stdout.splitlines() == expected
    assert expected[:4] == ["0 0 0 1 1", "0", "1 1 1", "0 0 0"]
    assert sum("urgent=1" in line for line in expected) > 10
