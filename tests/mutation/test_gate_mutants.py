# SPDX-License-Identifier: GPL-3.0-or-later
"""Every mutant of the gate and of the permission dies, in both languages.

The rest of the power path is `make mutants`. Here only the table of the gate's answers is
asked, which is short.
"""

from __future__ import annotations

from pathlib import Path

from mutation import cpp_operators, cpp_target, python_operators, python_target
from mutation.gate_batch import gate_survivors
from mutation.mutant import Equivalents, Mutant, make


def test_no_mutant_of_the_gate_lives_in_the_reference() -> None:
    mutants = python_target.python_mutants(python_target.GATE_FILES)
    target = python_target.PythonTarget([], [])
    assert_dead([mutant for mutant in mutants if target.gate_survives(mutant)], len(mutants))


def test_no_mutant_of_the_gate_lives_in_the_core(gxx: str, tmp_path: Path) -> None:
    mutants = cpp_target.cpp_mutants(cpp_target.GATE_FILES)
    assert_dead(gate_survivors(gxx, tmp_path, mutants), len(mutants))


def assert_dead(alive: list[Mutant], made: int) -> None:
    equivalents = Equivalents()
    alive = [mutant for mutant in alive if not equivalents.holds(mutant)]
    assert not alive, "\n".join(map(str, alive))
    assert made > 60


def test_what_the_operators_make_of_a_line() -> None:
    cpp = (
        "bool f(int age) {\n  if (age > 3000) {  // 5 > 4\n    stop();\n  }\n  return a && b;\n}\n"
    )
    made = {mutant.change for mutant in cpp_operators.mutants_of("x.cpp", cpp)}
    assert made == {
        *("> -> >=", "> -> <=", "3000 -> 3001", "3000 -> 2999", "&& -> ||", "stop(); -> ;"),
        *("age > 3000 -> !(age > 3000)", "age > 3000 -> true", "age > 3000 -> false"),
        *("a && b -> !(a && b)", "a && b -> true", "a && b -> false"),
    }
    cpp = "void f() { ++a; }\n"
    made = {mutant.change for mutant in cpp_operators.mutants_of("x.cpp", cpp)}
    assert made == {"(nothing) -> return;", "++ -> --"}
    python = 'def f(age: int) -> bool:\n    """5 > 4"""\n    if age > 3:\n        stop()\n'
    made = {mutant.change for mutant in python_operators.mutants_of("x.py", python)}
    assert made == {
        *("age > 3 -> age >= 3", "age > 3 -> age <= 3", "3 -> 4", "3 -> 2", "stop() -> pass"),
        *("age > 3 -> (not (age > 3))", "age > 3 -> True", "age > 3 -> False"),
    }


def test_an_entry_of_the_list_matches_by_text_or_is_stale(tmp_path: Path) -> None:
    text = "if (a < b) {\n"
    listed = tmp_path / "equivalent.toml"
    listed.write_text(
        '[[equivalent]]\nfile = "x.cpp"\nreason = "they are never equal"\n'
        '[equivalent.lines]\n"if (a < b) {" = ["< -> <=", "< -> >="]\n'
    )
    equivalents = Equivalents(listed)
    assert equivalents.holds(make("x.cpp", "\n\n" + text, 8, "<", "<="))
    assert not equivalents.holds(make("x.cpp", text.replace("a", "c"), 6, "<", "<="))
    assert equivalents.stale({"x.cpp"}) == ["x.cpp: < -> >=   in   if (a < b) {"]
    assert equivalents.stale({"y.cpp"}) == []
