# SPDX-License-Identifier: GPL-3.0-or-later
"""A board against the reference within tolerances: nothing is blamed on delays, and every
change of what a board does is found and named. In virtual time, without a board."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from board_rig import BoardRig, Spoil

from evtool.verify import library_dir
from evtool.verify.board.tolerances import Tolerances
from evtool.verify.scenario import load_scenario
from evtool.verify.verdict import Verdict

OFF = "can 0 068181FE x d 8 0132000100000000"
ON = "can 0 068181FE x d 8 0132000000000000"
CHARGE = """
[[event]]
at = "200ms"
do = "plug_in"
[[event]]
at = "600ms"
do = "remote_start"
[[event]]
at = "3s"
expect = { energised = 1, gate = "open", requested_ma = 30000, faults = "-", soc_permille = 550 }
[[event]]
at = "3500ms"
do = "switch"
on = false
"""


def field(verdict: Verdict) -> str:
    """The field of the first difference."""
    assert verdict.difference is not None, verdict.ended
    return verdict.difference.fields[0].field


def when(pattern: str, then: Spoil, from_ms: int = 0, times: int = 1_000_000) -> Spoil:
    """Spoils the first `times` lines of a scenario from a time on that match."""
    left = [times]

    def spoil(line: str, at_ms: int) -> list[tuple[int, str]]:
        if at_ms >= from_ms and left[0] and re.match(pattern, line):
            left[0] -= 1
            return then(line, at_ms)
        return [(0, line)]

    return spoil


def late(delay_ms: int) -> Spoil:
    return lambda line, _: [(delay_ms, line)]


def lost(_line: str, _at_ms: int) -> list[tuple[int, str]]:
    return []


def changed(old: str, new: str) -> Spoil:
    return lambda line, _: [(0, line.replace(old, new))]


@pytest.mark.parametrize("delays", [(0, 0, 0), (5, 40, 30), (60, 120, 800)])
def test_a_right_board_agrees_whatever_the_delays(delays: tuple[int, int, int]) -> None:
    wire, console, ocpp = delays
    verdict = BoardRig(wire_ms=wire, console_ms=console, ocpp_ms=ocpp).play(CHARGE)
    assert verdict.passed, verdict
    assert verdict.steps > 300
    assert verdict.tolerances is not None


@pytest.mark.parametrize(
    "name",
    [
        *("events_of_a_session", "lost_frames", "malformed_frames", "module_disobeys"),
        *("ocpp_offline", "smart_charging_limit", "voltage_jumps"),
    ],
)
def test_a_right_board_passes_evtools_own_scenarios(name: str) -> None:
    verdict = BoardRig().play_scenario(load_scenario(library_dir() / f"{name}.toml"))
    assert verdict.passed, (verdict.difference, verdict.failed, verdict.ended)


def test_one_run_after_the_other_starts_from_rest() -> None:
    rig = BoardRig()
    for _ in range(2):
        assert rig.play(CHARGE).passed


def test_an_off_that_comes_too_late_is_found() -> None:
    assert BoardRig(when(OFF, late(100), 3_500)).play(CHARGE).passed
    verdict = BoardRig(when(OFF, late(400), 3_500)).play(CHARGE)
    assert field(verdict) == "energised (CAN)"
    assert verdict.difference is not None
    first = verdict.difference.fields[0]
    assert (first.reference, first.device) == ("0", "1")
    closed = next(line for line in verdict.difference.history if "gate state=closed" in line)
    late_ms = verdict.difference.now_ms - int(closed[1:].split(" ")[0])
    allowed_ms = Tolerances().off_ms + Tolerances().base_ms
    assert allowed_ms - 100 <= late_ms <= allowed_ms
    assert any("switch False" in line for line in verdict.difference.history)
    assert verdict.difference.reference_state["energised"] == "0"
    assert verdict.difference.device_state["energised"] == "1"


def test_an_off_that_never_comes_is_found() -> None:
    verdict = BoardRig(when(OFF, changed(OFF, ON), 2_000)).play(CHARGE)
    assert field(verdict) == "energised (CAN)"


def test_one_on_behind_a_closed_gate_is_found() -> None:
    verdict = BoardRig(when(OFF, changed(OFF, ON), 4_900, times=1)).play(CHARGE)
    assert field(verdict) == "energised (CAN)"


def test_an_on_that_comes_too_late_is_found() -> None:
    assert field(BoardRig(when(ON, late(500))).play(CHARGE)) == "energised (CAN)"


def test_a_missing_repetition_is_found() -> None:
    verdict = BoardRig(when(OFF, lost, 4_400, times=3)).play(CHARGE)
    assert field(verdict) == "energised (CAN)"
    assert verdict.difference is not None
    assert verdict.difference.fields[0].reference == f"again within {500 + Tolerances().base_ms} ms"


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("can 0 068182FE x d 8 0180.*", "question 80 (CAN)"),
        ("can 0 18FF50E5 .*", "flags (CAN)"),
        ("can 0 160B0180 .*", "capacity_query (CAN)"),
        ("can 0 068181FE x d 8 0100.*", "setpoint_mv (CAN)"),
    ],
)
def test_what_is_no_longer_repeated_is_found(pattern: str, name: str) -> None:
    assert field(BoardRig(when(pattern, lost, 2_000)).play(CHARGE)) == name


def test_what_is_repeated_too_often_is_found() -> None:
    def twice(line: str, _at_ms: int) -> list[tuple[int, str]]:
        return [(0, line), (10, line)]

    assert field(BoardRig(when("can 0 18FF50E5", twice)).play(CHARGE)) == "flags (CAN)"


def test_a_wrong_setpoint_is_found() -> None:
    wrong = changed("0103000000000393", "0103000000000394")
    verdict = BoardRig(when("can 0 068181FE x d 8 0103", wrong)).play(CHARGE)
    assert field(verdict) == "setpoint_ma (CAN)"
    assert verdict.difference is not None
    first = verdict.difference.fields[0]
    assert (first.reference, first.device) == ("30000", "30033")


def test_a_bit_that_means_nothing_is_found_in_a_command() -> None:
    wrong = changed("0132000000000000", "0132000000000001")
    assert field(BoardRig(when(ON, wrong, 2_000, times=1)).play(CHARGE)) == "energised (CAN)"


@pytest.mark.parametrize(
    ("old", "new", "name"),
    [
        ("v=84.00V", "v=84.10V", "bms.voltage_mv (console)"),
        ("state=on", "state=off", "power_module.state (console)"),
        ("temp=", "temp=1", "output.temperature_mdegc (console)"),
        ("soc=55.0%", "soc=-", "bms.soc_permille (console)"),
        ("session=0.0", "session=0.1", "terminal.session_mwh (console)"),
        ("energy=4.71", "energy=4.73", "terminal.energy_mwh (console)"),
    ],
)
def test_a_wrong_field_of_a_record_is_found(old: str, new: str, name: str) -> None:
    verdict = BoardRig(when(r"console \[", changed(old, new), 2_000)).play(CHARGE)
    assert field(verdict) == name


def test_a_value_that_is_stale_is_found() -> None:
    """A console that goes on printing what it printed a second and more ago."""
    kept: dict[str, str] = {}

    def stale(line: str, at_ms: int) -> list[tuple[int, str]]:
        name = line.split(" ")[1]
        return [(0, kept.setdefault(name, line))]

    spoil = when(r"console \[(bms|output|power_module)\]", stale, 2_000)
    name = field(BoardRig(spoil).play(CHARGE))
    assert re.match(r"(bms|output|power_module)\.", name)


def test_an_age_that_is_wrong_is_found() -> None:
    def older(line: str, _at_ms: int) -> list[tuple[int, str]]:
        return [(0, re.sub(r"age=\d+ms", "age=2500ms", line))]

    verdict = BoardRig(when(r"console \[bms\]", older, 2_000)).play(CHARGE)
    assert field(verdict) == "bms.age_ms (console)"


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        (r"console \[event\] gate state=closed", "gate (console event)"),
        (r"console \[event\] plug state=in", "plugged (console event)"),
        (r"console \[event\] transaction state=started", "transaction (console event)"),
    ],
)
def test_an_event_that_never_comes_is_found(pattern: str, name: str) -> None:
    verdict = BoardRig(when(pattern, lost)).play(CHARGE)
    assert verdict.difference is not None
    assert name in [each.field for each in verdict.difference.fields]


def test_an_event_that_comes_too_late_is_found() -> None:
    gate = r"console \[event\] gate state=closed"
    assert BoardRig(when(gate, late(100), 3_500)).play(CHARGE).passed
    assert field(BoardRig(when(gate, late(300), 3_500)).play(CHARGE)) == "gate (console event)"


def test_a_gate_that_closes_for_another_reason_is_found() -> None:
    spoil = when(r"console \[event\] gate", changed("vehicle_switch_off", "no_vehicle"))
    verdict = BoardRig(spoil).play(CHARGE)
    assert field(verdict) == "gate (console event)"


def test_a_refused_start_is_compared_one_for_one() -> None:
    keys = '[[event]]\nat = "1s"\ndo = "key"\ntext = "s"\n'
    assert BoardRig().play(keys).passed
    refused = r"console \[event\] start"
    name = field(BoardRig(when(refused, changed("no_vehicle", "fault"))).play(keys))
    assert name == "console event"
    assert field(BoardRig(when(refused, lost)).play(keys)) == "console event"
    assert field(BoardRig(when(refused, late(600))).play(keys)) == "console event"


def test_a_view_that_nobody_chose_is_found() -> None:
    def more(line: str, _at_ms: int) -> list[tuple[int, str]]:
        return [(0, line), (0, "console [output] v=- i=- temp=25.0C m79=12 m83=1.500 age=9ms")]

    keys = '[[event]]\nat = "1s"\ndo = "key"\ntext = "1"\n'
    assert BoardRig().play(keys).passed
    verdict = BoardRig(when(r"console \[bms\]", more, 2_000)).play(keys)
    assert verdict.difference is not None
    assert "[output] (console)" in [each.field for each in verdict.difference.fields]


def test_a_board_that_restarts_has_given_up() -> None:
    boot = "console [event] boot version=1 build=2 charge_point=3 reset=panic"
    spoil = when(ON, lambda line, _: [(0, line), (0, boot)], 2_000, times=1)
    verdict = BoardRig(spoil).play(CHARGE)
    assert verdict.ended is not None
    assert "reset=panic" in verdict.ended.reason
    assert verdict.ended.history


def test_an_expectation_of_the_scenario_is_judged_on_the_board() -> None:
    text = CHARGE + '[[event]]\nat = "5500ms"\nexpect = { energised = 1, error = "NoError" }\n'
    verdict = BoardRig().play(text)
    assert [str(missed) for missed in verdict.failed] == ["energised: expected 1, board 0"]
    assert verdict.not_judged == ("error: a board does not show it",)


def test_lines_that_a_scenario_expects_are_judged_where_they_can_be_seen() -> None:
    expects = """
    [[event]]
    at = "6s"
    within = "6s"
    output = ["console [event] plug state=in", "console [event] gate state=open", "store *"]
    absent = ["console [event] fault *", "console [event] gate state=closed*"]
    """
    verdict = BoardRig().play(CHARGE + expects)
    assert [missed.field for missed in verdict.failed] == ["absent"]
    assert verdict.not_judged == ("line `store *`: not to be seen in a scenario's time",)


def test_the_tolerance_is_the_users() -> None:
    spoil = when(OFF, late(400), 3_500)
    assert BoardRig(spoil, Tolerances(base_ms=400)).play(CHARGE).passed


def test_a_timeline_has_both_sides() -> None:
    verdict = BoardRig().play(CHARGE, with_timeline=True)
    assert verdict.timeline is not None
    assert verdict.timeline.device is not None
    for course in (verdict.timeline.reference, verdict.timeline.device):
        assert [value for _, value in course["energised"]] == ["0", "1", "0"]
        assert all(0 <= at_ms <= verdict.timeline.end_ms for at_ms, _ in course["setpoint_ma"])


@pytest.mark.parametrize("words", ["bus=9 state=running", "bus=0 state=upside_down", ""])
def test_a_board_that_tells_of_no_bus_or_state_has_given_up(words: str) -> None:
    spoil = when("console .event. plug state=in", changed("plug state=in", f"bus {words}".strip()))
    verdict = BoardRig(spoil).play(CHARGE)
    assert verdict.ended is not None
    assert "a bus or a state that there is not: [event] bus" in verdict.ended.reason


@pytest.mark.parametrize("energy", ["-5.000kWh", "99999999999999999999.000kWh"])
def test_a_register_that_there_cannot_be_does_no_harm(energy: str) -> None:
    """It is what the next scenario begins with; what is added to it is compared all the same."""
    spoil = when(
        "console .terminal.",
        lambda line, _: [(0, re.sub("energy=[^ ]*", f"energy={energy}", line))],
    )
    rig = BoardRig(spoil)
    for _ in range(2):
        assert field(rig.play(CHARGE)) == "terminal.energy_mwh (console)"


@pytest.mark.parametrize("state", ["error_passive", "recovering"])
def test_a_word_about_the_bus_excuses_no_missing_repetition_for_longer(state: str) -> None:
    """The board says so for 200 ms, and two seconds later it no longer tells the module off."""

    def says(line: str, _at_ms: int) -> list[tuple[int, str]]:
        event = "console [event] bus bus=0 state="
        return [(0, line), (1, f"{event}{state}"), (201, f"{event}running")]

    told = when("console .event. stop", says, 0)
    missing = when(OFF, lost, 2_500)
    scenario = '[[event]]\nat = "500ms"\ndo = "key"\ntext = "t"\n'
    assert BoardRig(told).play(scenario).passed

    def spoil(line: str, at_ms: int) -> list[tuple[int, str]]:
        return told(line, at_ms) if line.startswith("console") else missing(line, at_ms)

    assert field(BoardRig(spoil).play(scenario)) == "energised (CAN)"


@pytest.mark.parametrize("permits", [False, True])
def test_a_board_that_permits_itself_without_a_csms_is_found(permits: bool) -> None:
    rig = BoardRig()
    rig.setup = replace(rig.setup, csms=False)
    rig.board._awaits = permits
    verdict = rig.play('[[event]]\nat = "200ms"\ndo = "plug_in"\n')
    assert verdict.passed != permits
    assert not permits or field(verdict) == "transaction (console event)"


@pytest.mark.parametrize("pattern", ["can 1 18FF50E5 .*", "can 1 160B0180 .*"])
def test_what_goes_out_on_the_bms_s_own_bus_is_judged_by_that_bus(pattern: str) -> None:
    """The module's bus can transmit no more; the BMS's can, but something is missing there."""

    def says(line: str, _at_ms: int) -> list[tuple[int, str]]:
        return [(0, line), (1, "console [event] bus bus=0 state=recovering")]

    told = when("console .event. stop", says, 0)
    missing = when(pattern, lost, 600)
    scenario = '[[event]]\nat = "500ms"\ndo = "key"\ntext = "t"\n'
    assert BoardRig(buses=2).play(scenario).passed
    assert BoardRig(told, buses=2).play(scenario).difference is None

    def spoil(line: str, at_ms: int) -> list[tuple[int, str]]:
        return told(line, at_ms) if line.startswith("console") else missing(line, at_ms)

    verdict = BoardRig(spoil, buses=2).play(scenario)
    assert verdict.difference is not None
    assert "again within" in verdict.difference.fields[0].reference
