# SPDX-License-Identifier: GPL-3.0-or-later
"""A changed rule in either language makes `evtool verify` fail and name it.

Each mutant changes one line of a copy of the C++ core, or one object of the reference.
"""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from evtool.link.line_program import LineProgram
from evtool.resources import firmware_dir
from evtool.verify import library_dir
from evtool.verify.device_under_test import HostProgram
from evtool.verify.run import run_scenario
from evtool.verify.scenario import load_scenario
from evtool.verify.verdict import Verdict

MAIN = """
#include <iostream>
#include "lockstep.hpp"
int main() { return evhost::run_lockstep(std::cin, std::cout); }
"""


@dataclass(frozen=True)
class Mutant:
    """One rule changed in the C++ core, and how verify must name the change."""

    name: str
    file: str
    old: str
    new: str
    scenario: str
    field: str
    reference: str
    device: str


MUTANTS = [
    Mutant(
        *("BMS believed for 30 s instead of 3 s", "src/bms.cpp"),
        *("kAlive = 3000", "kAlive = 30000", "bms_silent", "plugged", "0", "1"),
    ),
    Mutant(
        *("gate without permission", "src/charge_gate.cpp"),
        *("!word->transaction || !word->permitted", "false"),
        *("no_charge_without_transaction", "permitted", "0", "1"),
    ),
    Mutant(
        *("gate that asks for a transaction only", "src/charge_gate.cpp"),
        *("!word->transaction || !word->permitted", "!word->transaction"),
        *("permission_withdrawn", "permitted", "0", "1"),
    ),
    Mutant(
        *("BMS believed for 1 ms longer", "src/bms.cpp"),
        *("kAlive = 3000", "kAlive = 3001", "time_limits", "plugged", "0", "1"),
    ),
    Mutant(
        *("over-current without its tenth", "src/faults.cpp"),
        *("setpoint_ma * 11", "setpoint_ma * 10", "over_current", "faults", "-", "over_current"),
    ),
    Mutant(
        *("gate without the vehicle's switch", "src/charge_gate.cpp"),
        *("!facts.switch_allowed", "false", "vehicle_switch_off", "energised", "0", "1"),
    ),
    Mutant(
        *("gate without the module", "src/charge_gate.cpp"),
        *("!facts.module_alive", "false", "module_silent", "gate"),
        *("module_silent", "temperature_unknown"),
    ),
    Mutant(
        *("a module may disobey for 20 s", "src/faults.cpp"),
        *("kObey = 2000", "kObey = 20000", "module_disobeys", "faults", "module_disobeys", "-"),
    ),
]


def compile_core(gxx: str, folder: Path, mutant: Mutant | None) -> Path:
    firmware = folder / "firmware"
    shutil.copytree(firmware_dir() / "lib" / "evcore", firmware / "evcore")
    shutil.copytree(firmware_dir() / "host", firmware / "host")
    if mutant is not None:
        path = firmware / "evcore" / mutant.file
        text = path.read_text()
        assert text.count(mutant.old) == 1, f"{mutant.name}: {mutant.old} is no longer there"
        path.write_text(text.replace(mutant.old, mutant.new))
    (folder / "main.cpp").write_text(MAIN)
    sources = [
        *sorted((firmware / "evcore" / "src").glob("*.cpp")),
        firmware / "host" / "lockstep.cpp",
        firmware / "host" / "line_format.cpp",
        folder / "main.cpp",
    ]
    program = folder / "program"
    includes = [f"-I{firmware / 'evcore/include'}", f"-I{firmware / 'host'}"]
    subprocess.run(
        [gxx, "-std=c++17", *includes, *map(str, sources), "-o", str(program)],
        check=True,
        timeout=110,
    )
    return program


def verify(program: Path, scenario: str) -> Verdict:
    path = library_dir() / f"{scenario}.toml"
    return run_scenario(load_scenario(path), HostProgram(program, LineProgram))


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_changed_rule_of_the_core_is_named(gxx: str, tmp_path: Path, mutant: Mutant) -> None:
    verdict = verify(compile_core(gxx, tmp_path, mutant), mutant.scenario)
    assert verdict.difference is not None
    first = {each.field: each for each in verdict.difference.fields}
    assert mutant.field in first
    assert mutant.reference in first[mutant.field].reference
    assert first[mutant.field].device == mutant.device


def test_a_changed_rule_of_the_reference_is_found(
    gxx: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = compile_core(gxx, tmp_path, None)
    assert verify(program, "bms_silent").passed
    monkeypatch.setattr("evtool.reference_impl.bms.ALIVE_MS", 30_000)
    verdict = verify(program, "bms_silent")
    assert verdict.difference is not None
    assert [missed.field for missed in verdict.failed][:2] == ["bms_alive", "energised"]
