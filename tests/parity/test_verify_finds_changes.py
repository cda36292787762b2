# SPDX-License-Identifier: GPL-3.0-or-later
"""A changed rule in either language makes `evtool verify` fail and name it.

Each mutant changes one line of one source of the C++ core, or one object of the reference.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from once import Once
from proof.cpp_core import CORE, LOCKSTEP, compile_objects, core_sources, link

from evtool.link.line_program import LineProgram
from evtool.verify import library_dir
from evtool.verify.device_under_test import HostProgram
from evtool.verify.run import run_scenario
from evtool.verify.scenario import load_scenario
from evtool.verify.verdict import Verdict


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
        *("BMS believed for 30 s instead of 3 s", "bms.cpp"),
        *("kAlive = 3000", "kAlive = 30000", "bms_silent", "plugged", "0", "1"),
    ),
    Mutant(
        *("gate without permission", "charge_gate.cpp"),
        *("!word->transaction || !word->permitted", "false"),
        *("no_charge_without_transaction", "permitted", "0", "1"),
    ),
    Mutant(
        *("gate that asks for a transaction only", "charge_gate.cpp"),
        *("!word->transaction || !word->permitted", "!word->transaction"),
        *("permission_withdrawn", "permitted", "0", "1"),
    ),
    Mutant(
        *("BMS believed for 1 ms longer", "bms.cpp"),
        *("kAlive = 3000", "kAlive = 3001", "time_limits", "plugged", "0", "1"),
    ),
    Mutant(
        *("over-current without its tenth", "faults.cpp"),
        *("setpoint_ma * 11", "setpoint_ma * 10", "over_current", "faults", "-", "over_current"),
    ),
    Mutant(
        *("gate without the vehicle's switch", "charge_gate.cpp"),
        *("!facts.switch_allowed", "false", "vehicle_switch_off", "energised", "0", "1"),
    ),
    Mutant(
        *("gate without the module", "charge_gate.cpp"),
        *("!facts.module_alive", "false", "module_silent", "gate"),
        *("module_silent", "temperature_unknown"),
    ),
    Mutant(
        *("a module may disobey for 20 s", "faults.cpp"),
        *("kObey = 2000", "kObey = 20000", "module_disobeys", "faults", "module_disobeys", "-"),
    ),
]


@pytest.fixture(scope="session")
def objects(session_gxx: str, once: Once) -> Path:
    """A folder with the objects of the core, of its lockstep mode, and of a main."""
    sources = [*core_sources(), *LOCKSTEP]
    return once("unchanged-core", lambda folder: compile_objects(session_gxx, folder, sources))


def changed_core(gxx: str, objects: Path, folder: Path, mutant: Mutant) -> Path:
    """The program with one line of one source changed."""
    source = folder / mutant.file
    text = (CORE / "src" / mutant.file).read_text()
    assert text.count(mutant.old) == 1, f"{mutant.name}: {mutant.old} is no longer there"
    source.write_text(text.replace(mutant.old, mutant.new))
    changed = compile_objects(gxx, folder, [source])[source]
    kept = [each for each in objects.glob("*.o") if each.name != changed.name]
    assert len(kept) == len(list(objects.glob("*.o"))) - 1
    return link(gxx, folder, "program", [*kept, changed])


def verify(program: Path, scenario: str) -> Verdict:
    path = library_dir() / f"{scenario}.toml"
    return run_scenario(load_scenario(path), HostProgram(program, LineProgram))


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_changed_rule_of_the_core_is_named(
    gxx: str, objects: Path, tmp_path: Path, mutant: Mutant
) -> None:
    verdict = verify(changed_core(gxx, objects, tmp_path, mutant), mutant.scenario)
    assert verdict.difference is not None
    first = {each.field: each for each in verdict.difference.fields}
    assert mutant.field in first
    assert mutant.reference in first[mutant.field].reference
    assert first[mutant.field].device == mutant.device


def test_a_changed_rule_of_the_reference_is_found(
    gxx: str, objects: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = link(gxx, tmp_path, "program", list(objects.glob("*.o")))
    assert verify(program, "bms_silent").passed
    monkeypatch.setattr("evtool.reference_impl.bms.ALIVE_MS", 30_000)
    verdict = verify(program, "bms_silent")
    assert verdict.difference is not None
    assert [missed.field for missed in verdict.failed][:2] == ["bms_alive", "energised"]
