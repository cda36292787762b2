# SPDX-License-Identifier: GPL-3.0-or-later
"""A recorded console as a scenario: a true log agrees with the reference, a doctored not."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from console_logs import log_of, scenario_of, whole_session
from hypothesis import given, settings
from hypothesis import strategies as st

from evtool.protocol.console_log import LoggedLine, read_console_log
from evtool.verify import library_dir
from evtool.verify.device_under_test import Reference
from evtool.verify.from_log.case import Case, make_case, play_case, render_case
from evtool.verify.from_log.stretches import Cut, cut_log
from evtool.verify.run import run_scenario
from evtool.verify.scenario import load_scenario
from evtool.verify.verdict import Verdict

# Those of evtool's scenarios that take their time, as the field does.
TRUE_LOGS = (
    "bms_silent",
    "bus_off",
    "bus_off_too_long",
    "charge_remote_start_stop",
    "end_of_charge_is_no_unplug",
    "energy_of_two_transactions",
    "events_of_a_session",
    "module_disobeys",
    "module_silent",
    "next_vehicle",
    "ocpp_offline",
    "over_temperature",
    "permission_stale",
    "permission_withdrawn",
    "request_out_of_range",
    "smart_charging_limit",
    "two_buses_newer_pack",
    "unplug_while_charging",
    "vehicle_switch_off",
)


def cases(lines: list[LoggedLine], config: dict[str, str] | None = None) -> list[Case]:
    found = cut_log(lines).stretches
    assert found
    return [make_case(each, "log", config or {}, reckoned=False) for each in found]


def verdicts(lines: list[LoggedLine], config: dict[str, str] | None = None) -> list[Verdict]:
    return [play_case(case, Reference()) for case in cases(lines, config)]


def complaints(found: list[Verdict]) -> list[str]:
    return [str(each) for verdict in found for each in verdict.failed]


@pytest.fixture(scope="module")
def session() -> list[LoggedLine]:
    """A whole session: a vehicle comes, is charged, and leaves in the midst of it."""
    return log_of(whole_session())


@pytest.mark.parametrize("name", TRUE_LOGS)
def test_a_true_log_agrees(name: str) -> None:
    scenario = load_scenario(library_dir() / f"{name}.toml")
    found = verdicts(log_of(scenario), dict(scenario.config))
    assert complaints(found) == []
    assert all(verdict.passed for verdict in found)


@pytest.mark.parametrize(
    ("voltage", "current", "fault"),
    [(90000, 20000, "over_voltage"), (72000, 60000, "over_current")],
)
def test_a_fault_in_the_midst_of_a_session_agrees(voltage: int, current: int, fault: str) -> None:
    lines = log_of(whole_session(voltage, current))
    assert any(f"fault name={fault} state=set" in line.text for line in lines)
    assert complaints(verdicts(lines)) == []


def test_a_log_that_begins_in_the_midst_of_things_agrees(session: list[LoggedLine]) -> None:
    begins = [*range(20, 140, 30), *range(300, 380, 8), 1200]  # at any line of a round, too
    for begin in begins:
        found = verdicts([line for line in session if line.number > len(session) * begin // 2000])
        assert complaints(found) == []
        if begin == 300:  # power flowed
            assert any("on trust" in each for verdict in found for each in verdict.not_judged)


def test_a_log_that_begins_with_a_fault_agrees() -> None:
    lines = log_of(whole_session(90000, 20000))
    (set_at,) = [n for n, line in enumerate(lines) if "over_voltage state=set" in line.text]
    rest = lines[set_at + 6 :]
    assert any("over_voltage state=cleared" in line.text for line in rest)
    assert complaints(verdicts(rest)) == []


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 80))
def test_however_late_the_host_reads(seed: int, period_ms: int) -> None:
    assert complaints(verdicts(log_of(whole_session(), seed, period_ms))) == []


def edited(lines: list[LoggedLine], pattern: str, by: str) -> list[LoggedLine]:
    """The log with the first match changed everywhere; `by` "" takes the line away."""
    assert any(re.search(pattern, line.text) for line in lines), pattern
    return [
        replace(line, text=re.sub(pattern, by, line.text))
        for line in lines
        if by or not re.search(pattern, line.text)
    ]


def delayed(lines: list[LoggedLine], pattern: str, by_ms: int) -> list[LoggedLine]:
    moved = [
        replace(line, at_ms=line.at_ms + by_ms) if re.search(pattern, line.text) else line
        for line in lines
    ]
    return sorted(moved, key=lambda line: line.at_ms)


DOCTORED: dict[str, tuple[Callable[[list[LoggedLine]], list[LoggedLine]], str]] = {
    "a gate that never closed": (
        lambda lines: edited(lines, r"\[event\] gate state=closed.*", ""),
        "gate",
    ),
    "another reason": (
        lambda lines: edited(lines, "reason=no_vehicle", "reason=not_permitted"),
        "gate state=closed",
    ),
    "a gate that opened late": (
        lambda lines: delayed(lines, r"gate state=open", 4000),
        "gate state=open",
    ),
    "a permission that was never granted": (
        lambda lines: edited(lines, r"\[event\] permit state=granted", ""),
        "gate state=open",
    ),
    "a plug that stayed": (
        lambda lines: edited(lines, r"\[event\] plug state=out", ""),
        "plug state=out",
    ),
    "a vehicle that forbade": (
        lambda lines: edited(lines, r"(raw=\w\w \w\w \w\w \w\w) 00", r"\1 01"),
        "gate",
    ),
    "a module too hot": (
        lambda lines: edited(lines, r"temp=[0-9.]+C", "temp=75.0C"),
        "over_temperature",
    ),
    "a module that stayed on": (
        lambda lines: edited(lines, r"state=off (set_v)", r"state=on \1"),
        "module_disobeys",
    ),
    "power out of nothing": (
        lambda lines: edited(lines, r"p=[1-9][0-9.]*W", "p=100.0W"),
        "terminal.power_mw",
    ),
    "energy out of nothing": (
        lambda lines: edited(lines, r"energy=0\.00([0-9])kWh", r"energy=0.\g<1>00kWh"),
        "terminal.energy_mwh",
    ),
    "a value that should be unknown": (
        lambda lines: edited(lines, r"(\[terminal\] .*age=)\d+ms", r"\g<1>9000ms"),
        "terminal.voltage_mv",
    ),
    "a fault of which nothing came": (
        lambda lines: sorted(
            [*lines, replace(lines[len(lines) // 3],
                             text="[event] fault name=over_current state=set")],
            key=lambda line: line.at_ms,
        ),
        "gate",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DOCTORED)
def test_a_doctored_log_is_found(name: str, session: list[LoggedLine]) -> None:
    change, wanted = DOCTORED[name]
    found = complaints(verdicts(change(session)))
    assert any(wanted in each for each in found), found


KEYS = """
title = "A session that the keys begin and end"
rule = "docs/controller.md"
duration = "20s"
event = [
  { at = "1s", do = "plug_in" },
  { at = "4s", do = "key", text = "s" },
  { at = "14s", do = "key", text = "t" },
]
"""


def test_what_a_key_was_answered_is_judged() -> None:
    lines = log_of(scenario_of(KEYS))
    assert complaints(verdicts(lines)) == []
    for pattern, by in (
        ("start state=requested", "start state=refused reason=no_vehicle"),
        ("stop state=requested reason=Local", "stop state=refused reason=no_transaction"),
    ):
        found = complaints(verdicts(edited(lines, pattern, by)))
        assert any(by.split()[0] in each for each in found), found


def test_the_saved_scenario_says_the_same(session: list[LoggedLine], tmp_path: Path) -> None:
    for lines, agrees in ((session, True), (DOCTORED["another reason"][0](session), False)):
        (case,) = cases(lines)
        path = tmp_path / "saved.toml"
        path.write_text(render_case(case, "x.log"))
        saved = load_scenario(path)
        assert saved.lines == case.scenario.lines
        assert [replace(each, line=0) for each in saved.events] == [
            replace(each, line=0) for each in case.scenario.events
        ]
        assert run_scenario(saved, Reference()).passed is agrees


def cut(texts: Iterator[tuple[int, str]]) -> Cut:
    return cut_log(LoggedLine(at, text, n) for n, (at, text) in enumerate(texts, 1))


def rounds(begin_ms: int, count: int) -> Iterator[tuple[int, str]]:
    for number in range(count):
        for name in ("bms", "power_module", "output", "terminal"):
            yield begin_ms + number * 1000, f"[{name}] v=- age=-"


def test_only_what_was_wholly_on_view_is_judged() -> None:
    def lines() -> Iterator[tuple[int, str]]:
        yield from rounds(0, 10)
        for number in range(20):  # one view alone
            yield 10_000 + number * 1000, "[bms] v=- age=-"
        yield from rounds(40_000, 10)

    found = cut(lines())
    assert [(each.begin_ms, each.end_ms) for each in found.stretches] == [
        (0, 9_000), (40_000, 49_000),
    ]  # fmt: skip
    assert found.left_out_ms == 31_000


def test_each_start_and_each_run_is_a_stretch_of_its_own() -> None:
    boot = "[event] boot version=1 build=2 charge_point=CP reset=power_on"

    def lines() -> Iterator[tuple[int, str]]:
        yield from rounds(0, 10)
        yield 10_500, boot
        yield from rounds(11_000, 10)
        yield from rounds(5_000, 10)  # the clock went back

    found = cut(lines())
    assert [each.booted for each in found.stretches] == [False, False, True]
    assert cut_log([]).stretches == []


def test_a_log_without_times_is_played_with_more_patience(session: list[LoggedLine]) -> None:
    log = read_console_log(f"{line.text}\r\n".encode() for line in session)
    assert log.reckoned
    (stretch,) = cut_log(log.lines).stretches
    verdict = play_case(make_case(stretch, "log", {}, reckoned=True), Reference())
    assert complaints([verdict]) == []


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_nothing_that_a_log_may_hold_breaks_it(data: st.DataObject) -> None:
    """Lines with any fields at all, in any order: a verdict, whatever it is."""
    texts = st.sampled_from(
        [
            "[bms] v=72.00V i=30.00A switch=on mode=- soc=- age=10ms raw=02 D0 01 2C 00",
            "[bms] v=- raw=not hex at all",
            "[bms] age=99999999ms raw=00 11 22 33 44 55 66 77 88 99",
            "[power_module] state=on set_v=-5.00V set_i=99999999.00A age=0ms",
            "[output] v=-1.00V i=9999999999.00A temp=-40.0C age=5ms",
            "[terminal] v=-999999.00V i=999999999.00A status=odd energy=0.001kWh age=1ms",
            "[event] gate state=open",
            "[event] gate state=closed reason=too_hot",
            "[event] fault name=nobody_knows state=set",
            "[event] fault name=over_voltage state=set",
            "[event] bus bus=9 state=dancing",
            "[event] permit state=granted",
            "[event] start state=requested",
            "[event] plug",
        ]
    )
    lines = [
        (number * 300, text)
        for number, text in enumerate(data.draw(st.lists(texts, min_size=40, max_size=60)))
    ]
    for stretch in cut(iter(lines)).stretches:
        play_case(make_case(stretch, "log", {}, reckoned=False), Reference())
