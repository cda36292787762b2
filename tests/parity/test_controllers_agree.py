# SPDX-License-Identifier: GPL-3.0-or-later
"""The C++ controller and the Python one give the same answers, text for text."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evtool.reference_impl import numbers
from evtool.reference_impl.controller_types import MAX_TIME_MS, BusState
from evtool.reference_impl.line_format import MAX_UINT64
from evtool.reference_impl.lockstep import Lockstep
from evtool.reference_impl.random_inputs import random_lines

Build = Callable[..., Path]

HEALTHY = (
    "@0 config id_tag=LOCAL",
    "@0 boot reset=power_on version=0.1.0 build=1a2b3c4d charge_point=CP-0001 energy_mwh=5",
    "@0 bus 0 running",
    "@0 key 35",
    "@10 can 0 1806E5F4 x d 8 02D0012C00000000",
    "@10 can 0 0681827E x d 8 0180000000000100",
    "@10 can 0 00433F01 x d 8 428FE66641EE6666",
    "@20 ocpp connected=1 transaction=1 permitted=1 limit_ma=-",
)


def reference_answers(lines: list[str]) -> list[str]:
    lockstep = Lockstep()
    return [answer for line in lines for answer in lockstep.answer(line)]


def program_answers(program: Path, lines: list[str]) -> list[str]:
    text = "".join(f"{line}\n" for line in lines)
    done = subprocess.run([program], input=text, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 2), done.stderr
    assert done.stderr == ""
    return done.stdout.splitlines()


def assert_same(program: Path, lines: list[str]) -> None:
    expected, found = reference_answers(lines), program_answers(program, lines)
    for number, (reference, device) in enumerate(zip(expected, found, strict=False)):
        assert device == reference, f"answer line {number}"
    assert len(found) == len(expected)


@pytest.mark.parametrize("seed", range(12))
def test_random_sequences(lockstep_program: Path, seed: int) -> None:
    assert_same(lockstep_program, list(random_lines(seed, 2500)))


@pytest.mark.parametrize("seed", [1000, 1001])
def test_random_sequences_do_not_misbehave(sanitized_program: Path, seed: int) -> None:
    assert_same(sanitized_program, list(random_lines(seed, 2500)))


STEPS_MS = st.one_of(
    st.sampled_from((0, 1, 20, 100, 200, 500, 1000, 2000, 3000, 5000, 10000, 60000)),
    st.integers(0, 61000),
    st.sampled_from((2**31, 2**32, 2**53, 2**61)).flatmap(lambda at: st.integers(at - 3001, at)),
)
COMMANDS = st.one_of(
    st.sampled_from(("tick", "key 35", "key 73", "key 74", "boot energy_mwh=5")),
    st.sampled_from([line.partition(" ")[2] for line in HEALTHY[2:]]),
    st.sampled_from([f"bus {bus} {state.value}" for bus in (0, 1) for state in BusState]),
    st.sampled_from(("can 0 0681817E x d 8 0132000000000000", "can 0 0681817E x d 5 0132000000")),
    st.sampled_from((0, 1)).map(
        lambda bit: f"ocpp connected=1 transaction={bit} permitted=1 limit_ma=20000"
    ),
    st.binary(min_size=8, max_size=8).map(lambda data: f"can 0 00433F01 x d 8 {data.hex()}"),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(happens=st.lists(st.tuples(STEPS_MS, COMMANDS), max_size=40))
def test_any_sequence_at_any_pace(lockstep_program: Path, happens: list[tuple[int, str]]) -> None:
    """Chosen by hypothesis, which knows nothing of the generator's plausible worlds."""
    lines, now_ms = list(HEALTHY), 20
    for step_ms, command in happens:
        now_ms = min(now_ms + step_ms, MAX_TIME_MS)
        lines.append(f"@{now_ms} {command}")
    assert_same(lockstep_program, lines)


def test_random_sequences_reach_what_matters() -> None:
    """A generator that never opens the gate, or never meets a fault, would prove nothing."""
    seen: set[str] = set()
    for seed in range(12):
        for answer in reference_answers(list(random_lines(seed, 2500))):
            if answer.startswith("state "):
                fields = dict(word.split("=", 1) for word in answer.split()[1:])
                seen |= {f"gate={fields['gate']}", f"error={fields['error']}"}
                seen |= set(fields["faults"].split(","))
    gates = "open no_vehicle vehicle_switch_off request_out_of_range bus_down fault module_silent"
    gates += " temperature_unknown permission_stale not_permitted limit_zero"
    assert {f"gate={name}" for name in gates.split()} <= seen
    assert {"over_temperature", "over_voltage", "over_current", "module_disobeys"} <= seen
    assert {"bus_off", "error=EVCommunicationError", "error=PowerSwitchFailure"} <= seen


@pytest.mark.parametrize(
    "step_ms", [1, 20, 99, 200, 500, 1999, 2000, 2001, 3000, 3001, 5000, 60000, 2**32, 10**12]
)
def test_every_rhythm(lockstep_program: Path, step_ms: int) -> None:
    """The same events at every pace: what is periodic, stale or held is so in both."""
    events = [
        "tick",
        "can 0 00433F01 x d 8 429A000041EE6666",
        "can 0 1806E5F4 x d 8 02D0012C00000000",
        "can 0 0681817E x d 8 0132000000000000",
        "can 0 0681827E x d 8 0180000000000100",
        "ocpp connected=1 transaction=1 permitted=1 limit_ma=16000",
        "can 0 160B8001 x d 4 00004096",
        "tick",
        "key 73",
        "bus 0 bus_off",
        "tick",
        "bus 0 running",
        "ocpp connected=1 transaction=0 permitted=0 limit_ma=-",
        "key 74",
    ]
    lines = list(HEALTHY)
    for number, event in enumerate(events * 6):
        lines.append(f"@{20 + (number + 1) * step_ms} {event}")
    assert_same(lockstep_program, lines)


@pytest.mark.parametrize(
    "line",
    [
        *(
            "",
            "tick",
            "@",
            "@ tick",
            "@1",
            "@-1 tick",
            "@01 tick",
            "@+1 tick",
            "@1  tick",
            "@1 tick ",
        ),
        *("@4611686018427387905 tick", "@99999999999999999999 tick", "@1 nothing", "@1 \u00e9"),
        *("@1 can", "@1 can 2 00000000 x d 0 -", "@1 can 0 20000000 x d 0 -"),
        *("@1 can 0 00000800 s d 0 -", "@1 can 0 0000000 x d 0 -", "@1 can 0 0000000g x d 0 -"),
        *("@1 can 0 00000000 y d 0 -", "@1 can 0 00000000 x d 9 " + "00" * 9),
        *("@1 can 0 00000000 x d 1 0", "@1 can 0 00000000 x d 1 -", "@1 can 0 00000000 x d 0 00"),
        *(
            "@1 can 0 00000000 x r 1 00",
            "@1 can 0 00000000 x d 1 0g",
            "@1 can 0 00000000 x d 1 00 ",
        ),
        *("@1 bus 0", "@1 bus 2 running", "@1 bus 0 walking", "@1 bus 0 running 1"),
        *("@1 ocpp", "@1 ocpp connected=1 transaction=1 permitted=1", "@1 key", "@1 key 3"),
        "@1 ocpp connected=2 transaction=1 permitted=1 limit_ma=-",
        "@1 ocpp connected=1 transaction=1 permitted=1 limit_ma=-1",
        "@1 ocpp connected=1 transaction=1 permitted=1 limit_ma=007",
        "@1 ocpp connected=1 transaction=1 permitted=1 limit_ma=2147483648",
        *(
            "@1 key 333",
            "@1 key 0x",
            "@1 config ",
            "@1 config a=b",
            "@1 config buses",
            "@1 boot x=1",
        ),
        *(
            "@1 config buses=0",
            "@1 config buses=3",
            "@1 config id_tag=",
            "@1 config max_current_ma=-1",
        ),
        *("@1 config id_tag=" + "x" * 21, "@1 boot reset=" + "x" * 25, "@1 boot version=\u00e9"),
        *("@1 boot energy_mwh=18446744073709551616", "@1 boot energy_mwh="),
        *("@1 boot version=" + "x" * 17, "@1 boot build=" + "x" * 41),
        "@1 boot charge_point=" + "x" * 49,
    ],
)
def test_lines_that_are_not_understood(lockstep_program: Path, line: str) -> None:
    lines = ["@0 boot", line, "@2 tick"]
    found = program_answers(lockstep_program, lines)
    assert found == reference_answers(lines)
    assert found[-1].startswith("malformed ")


@pytest.mark.parametrize(
    "line",
    [
        *("@4611686018427387904 tick", "@0 boot", f"@1 boot energy_mwh={MAX_UINT64}"),
        *("@1 config", "@1 can 1 1fffffff x d 8 00112233445566fF", "@1 can 0 000007FF s r 8 -"),
        *("@1 config buses=2 buses=1 id_tag=a=b", "@1 key fF", "@1 bus 1 recovering"),
        "@1 boot reset=- version=~ build=" + "x" * 40 + " charge_point=" + "y" * 48,
    ],
)
def test_lines_at_the_edge_of_what_is_understood(lockstep_program: Path, line: str) -> None:
    lines = ["@0 tick", "@0 boot", line, "@5 tick"]
    found = program_answers(lockstep_program, lines)
    assert found == reference_answers(lines)
    assert found[-1] == "ok"


def checksum(name: str, first: int, last: int, step: int) -> int:
    """The same FNV-1a as in conversions_main.cpp."""
    functions = {
        "power_mw": lambda value: numbers.power_mw(value, 997 - value),
        "soc_permille": lambda value: numbers.soc_permille(value, 30011),
    }
    function = functions.get(name) or getattr(numbers, name)
    digest = 0xCBF29CE484222325
    for value in range(first, last + 1, step):
        result = function(value)
        for byte in ((2**40 if result is None else result) & MAX_UINT64).to_bytes(8, "little"):
            digest = (digest ^ byte) * 0x100000001B3 & MAX_UINT64
    return digest


SWEEPS = (
    ("milli_to_deci_field", -1000, 40000, 1),
    ("milli_to_deci_field", 6553000, 6554000, 1),
    ("per_1024_to_milli", 0, 65535, 1),
    ("per_1024_to_milli", 0, 2**32 - 1, 65521),
    ("voltage_setpoint_to_raw", 0, 90000, 1),
    ("voltage_setpoint_to_raw", 0, 2**31 - 1, 32749),
    ("current_setpoint_to_raw", 0, 90000, 1),
    ("current_setpoint_to_raw", 0, 2**31 - 1, 32749),
    ("current_setpoint_to_milli", 0, 65535, 1),
    ("current_setpoint_to_milli", 0, 2**32 - 1, 65521),
    ("float32_to_milli", 0, 2**32 - 1, 32749),
    ("float32_to_milli", 0x428F0000, 0x42900000, 1),
    ("float32_to_milli", 0x4A000000 - 20000, 0x4A000000 + 20000, 1),
    ("float32_to_milli", 0x7F800000 - 100, 0x7F800000 + 100, 1),
    ("power_mw", -(2**31), 2**31, 131071),
    ("power_mw", -2000, 2000, 1),
    ("soc_permille", -10, 40000, 1),
)


def test_conversions_agree_over_whole_ranges(build_cpp: Build) -> None:
    program = build_cpp("conversions_main.cpp")
    questions = [" ".join(map(str, sweep)) for sweep in SWEEPS]
    answers = program_answers(program, questions)
    for sweep, answer in zip(SWEEPS, answers, strict=True):
        assert checksum(*sweep) == int(answer), sweep


def test_numbers_are_printed_alike(build_cpp: Build) -> None:
    values = [*range(-1100, 1100), 2**31, -(2**31), 2**62 // 1000, 999995, 999994, -4, -5]
    cases = [(value, decimals) for value in values for decimals in (1, 2, 3)]
    answers = program_answers(
        build_cpp("conversions_main.cpp"), [f"text {value} {places}" for value, places in cases]
    )
    assert answers == [numbers.fixed_text(value, places) for value, places in cases]


def test_off_overtakes_outputs_that_were_not_fetched(build_cpp: Build) -> None:
    done = subprocess.run(
        [build_cpp("queue_main.cpp")], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_the_core_bears_what_only_a_driver_can_say(sanitized_api_program: Path) -> None:
    done = subprocess.run([sanitized_api_program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
