# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that the controllers are asked in one stream of lockstep lines.

The rule tests (each run once on the reference, its command lines kept), the scenarios of `evtool
verify`, and a fixed piece of the seeded fuzz. Coverage and the mutation run feed on it: a line
that no question reaches, or a change that no answer shows, is one that the tests do not notice.
"""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Iterable, Iterator
from types import ModuleType
from typing import Any

from controller_rig import Rig
from parity import (
    test_console_rules,
    test_fault_rules,
    test_gate_rules,
    test_power_path_rules,
)

from evtool.reference_impl.lockstep import Lockstep
from evtool.reference_impl.random_inputs import random_lines
from evtool.verify import library_dir
from evtool.verify.run import Recording
from evtool.verify.scenario import load_scenario

RULE_TESTS = (test_power_path_rules, test_gate_rules, test_fault_rules, test_console_rules)
FUZZ_SEEDS = range(4)
FUZZ_LINES = 1500

# The console's start is granted; the BMS is on a bus of its own, which fails and comes back. Its
# pack is a newer one, whose reply is short.
TWO_BUSES = (
    *("@0 config buses=2 id_tag=LOCAL capacity_source=charged_minus_discharged", "@0 boot"),
    *("@0 bus 0 running", "@0 bus 1 running", "@0 can 1 160D8001 x d 3 000000"),
    *("@0 can 1 1806E5F4 x d 8 02D0012C00000000", "@0 can 0 0681827E x d 8 0180000000000100"),
    *("@0 ocpp connected=1 transaction=0 permitted=0 limit_ma=-", "@0 key 73"),
    *("@0 ocpp connected=1 transaction=1 permitted=1 limit_ma=-", "@0 bus 1 stopped"),
    *("@0 bus 1 running", "@0 bus 0 error_passive", "@0 bus 0 running"),
)

_FRESH = "@0 config " + " ".join(
    (
        "buses=1 capacity_source=remaining battery_capacity_mah=30000 id_tag=-",
        "module_current_scale=1/1024 module_temperature_scale=milli",
        "request_min_mv=56000 request_max_mv=85500 request_max_ma=300000",
        "max_voltage_mv=85500 max_current_ma=100000",
    )
)


def rule_lines(*modules: ModuleType) -> Iterator[str]:
    """The command lines of every rule test (of `modules`), from a fresh configuration each."""
    for module in modules or RULE_TESTS:
        for test, arguments in _cases(module):
            lines = [_FRESH]
            lockstep = Lockstep()

            def answer(line: str, keep: list[str] = lines, ask: Lockstep = lockstep) -> list[str]:
                keep.append(line)
                return ask.answer(line)

            test(rig=Rig(answer), **arguments)
            yield from lines


def fuzz_lines() -> Iterator[str]:
    """A fixed piece of the seeded fuzz."""
    for seed in FUZZ_SEEDS:
        yield _FRESH
        yield from random_lines(seed, FUZZ_LINES)


def scenario_lines() -> Iterator[str]:
    """Every scenario of `evtool verify`, as the reference plays it."""
    for path in sorted(library_dir().glob("*.toml")):
        yield _FRESH
        yield from (step.line for step in Recording(load_scenario(path)).steps())


def expected_answers(lines: Iterable[str]) -> list[str]:
    """What the reference says to them, a text for each line."""
    lockstep = Lockstep()
    return ["\n".join(lockstep.answer(line)) for line in lines]


def _cases(module: ModuleType) -> Iterator[tuple[Callable[..., None], dict[str, Any]]]:
    """Every test of a module that wants a rig, with every combination of its parameters."""
    for name, test in vars(module).items():
        if not name.startswith("test_") or "rig" not in inspect.signature(test).parameters:
            continue
        choices: list[list[dict[str, Any]]] = []
        for mark in getattr(test, "pytestmark", []):
            names, values = mark.args
            split = [part.strip() for part in names.split(",")] if isinstance(names, str) else names
            rows = [row if len(split) > 1 else (row,) for row in values]
            choices.append([dict(zip(split, row, strict=True)) for row in rows])
        for combination in itertools.product(*choices):
            yield test, {key: value for row in combination for key, value in row.items()}


def coverage_lines() -> list[str]:
    """The part of it that reaches every line: cheap enough for every run of the tests."""
    return [*fuzz_lines(), *rule_lines(test_fault_rules), *TWO_BUSES]
