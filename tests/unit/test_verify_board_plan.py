# SPDX-License-Identifier: GPL-3.0-or-later
"""What a board cannot be made to do is named with its reason; who else is on its bus is heard."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from board_rig import CONFIG, scenario_of

from evtool.protocol.can_frame import CanFrame
from evtool.verify import library_dir
from evtool.verify.board.course import Course, Sighting, first_stray
from evtool.verify.board.ocpp import BoardWord, Expected
from evtool.verify.board.outcome import is_own_config, not_run
from evtool.verify.board.plan import Means, why_not
from evtool.verify.board.watch import Watch, other_sender
from evtool.verify.html_report import render_html
from evtool.verify.junit_report import render_junit
from evtool.verify.report import as_document, headline
from evtool.verify.scenario import load_scenario, parse_scenario

MEANS = Means(CONFIG, no_csms="", remote_frames=False)
NO_CSMS = replace(MEANS, no_csms="give --csms-listen")


def event(text: str) -> str:
    return f'[[event]]\nat = "1s"\n{text}\n'


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('do = "jump"\nby = "2d"', "jump: a board's clock cannot be moved (line 4)"),
        ('do = "bus"\nstate = "bus_off"', "bus: a board's CAN controller"),
        ('do = "word"\ntransaction = true\npermitted = true', "word: OCPP's word comes from"),
        ('do = "power_cut"', "power_cut: evtool does not cut"),
        ('do = "ocpp"\nmode = "silent"', "ocpp silent: a board's OCPP client"),
        ('do = "limit"\ncurrent_ma = 16050', "limit: OCPP carries a limit in steps of 0.1 A"),
        ('do = "frame"\ncan_id = 1\nbus = 1', "frame: the board has one bus"),
        ('do = "frame"\ncan_id = 1\nremote = true', "frame: this CAN interface carries no remote"),
    ],
)
def test_what_a_board_cannot_be_made_to_do(text: str, reason: str) -> None:
    assert why_not(scenario_of(event(text)), MEANS).startswith(reason)


@pytest.mark.parametrize(
    "text",
    [
        *('do = "remote_start"', 'do = "remote_stop"', 'do = "limit"\ncurrent_ma = -1'),
        *('do = "ocpp"\nmode = "offline"', 'do = "key"\ntext = "5S"'),
    ],
)
def test_what_needs_a_csms(text: str) -> None:
    scenario = scenario_of(event(text))
    assert why_not(scenario, MEANS) == ""
    assert "give --csms-listen" in why_not(scenario, NO_CSMS)


def test_what_needs_none() -> None:
    text = event('do = "plug_in"') + event('do = "key"\ntext = "5t"')
    text += event('do = "lose"\ncan_id = 1\nframes = 2') + event('do = "module"\nmode = "hot"')
    assert why_not(scenario_of(text), NO_CSMS) == ""


def test_an_order_while_the_board_is_offline() -> None:
    offline = event('do = "ocpp"\nmode = "offline"')
    online = event('do = "ocpp"\nmode = "online"')
    stop = event('do = "remote_stop"')
    assert "remote_stop while offline" in why_not(scenario_of(offline + stop + online), MEANS)
    assert why_not(scenario_of(offline + online + stop), MEANS) == ""


def test_another_configuration_than_the_boards() -> None:
    config = '[config]\nbuses = 2\n[[event]]\nat = "1s"\ndo = "plug_in"\n'
    assert why_not(scenario_of(config), MEANS) == "needs buses = 2; the board's is 1"
    two = replace(MEANS, config={**CONFIG, "buses": "2"})
    assert why_not(scenario_of(config), two) == ""
    assert is_own_config(scenario_of(config), two.config)
    assert not is_own_config(scenario_of(config), {**two.config, "max_current_ma": "20000"})
    tag = '[config]\nid_tag = "-"\n[[event]]\nat = "1s"\ndo = "plug_in"\n'
    assert why_not(scenario_of(tag), MEANS) == "needs id_tag = -; the board's is LOCAL"


def test_what_takes_too_long_and_raw_lines() -> None:
    long = scenario_of('duration = "3min"\n' + event('do = "plug_in"'))
    assert why_not(long, MEANS) == "takes 180 s; --max-duration is 120 s"
    assert why_not(long, replace(MEANS, max_duration_ms=200_000)) == ""
    lines = 'title = "t"\nrule = "r"\nlines = """\n@0 boot reset=power_on\n"""\n'
    assert "raw lines" in why_not(parse_scenario(lines, Path("a.toml")), MEANS)


def test_evtools_own_scenarios_fall_in_two() -> None:
    reasons = [why_not(load_scenario(path), MEANS) for path in library_dir().glob("*.toml")]
    assert sum(not reason for reason in reasons) >= 20


def test_a_run_left_out_is_neither_good_nor_bad_in_any_report() -> None:
    verdict = not_run(scenario_of(event('do = "plug_in"')), "no way <here>")
    assert not verdict.passed
    assert not verdict.wrong
    assert headline(verdict).split() == "- mine not run: no way <here>".split()
    document = as_document(verdict)
    assert (document["passed"], document["not_run"]) == (None, "no way <here>")
    junit = render_junit([verdict], "board")
    assert 'skipped="1"' in junit
    assert '<skipped message="no way &lt;here&gt;" />' in junit
    assert 'failures="0"' in junit
    page = render_html([verdict], "board")
    assert "nothing was run" in page
    assert "not run: no way &lt;here&gt;" in page


def test_a_second_vehicle_or_module_is_heard_and_the_heartbeat_is_neither() -> None:
    watch = Watch(BoardWord())
    watch.frame(0, CanFrame(0x18FF50E5, bytes(8)))
    watch.frame(0, CanFrame(0x068181FE, bytes(8)))
    assert watch.commands_on == {0}
    assert other_sender(CanFrame(0x18FF50E5, bytes(8))) is None
    assert other_sender(CanFrame(0x068181FE, bytes(8))) is None
    assert other_sender(CanFrame(0x1806E5F4, bytes(8))) == "a vehicle's BMS"
    assert other_sender(CanFrame(0x0681827E, bytes(8))) == "a power module"
    assert other_sender(CanFrame(0x1806E5F4, b"", remote=True)) is None
    assert not watch.complete
    watch.line("[terminal] v=- i=- p=- status=- energy=4.711kWh session=- age=-")
    assert watch.complete
    watch.line("[event] ocpp state=connected")
    assert watch.word.connected


@pytest.mark.parametrize(
    ("seen", "stray"),
    [
        ([("0", 0), ("1", 1_040)], None),
        ([("0", 0), ("1", 1_200)], 1_101),  # late
        ([("0", 0), ("1", 940)], None),  # early
        ([("0", 0), ("1", 800)], 800),  # too early
        ([("0", 0)], 1_101),  # never
        ([("0", 0), ("1", 1_040), ("0", 1_500), ("1", 1_510)], 1_500),  # once more
    ],
)
def test_a_value_that_holds_may_be_late_and_early_by_no_more_than_that(
    seen: list[tuple[str, int]], stray: int | None
) -> None:
    course = Course("0", 0)
    course.note("1", 1_000)
    sightings = [Sighting(value, at_ms, at_ms) for value, at_ms in seen]
    found = first_stray(sightings, course, 3_000, 100, lambda _: 100, str.__eq__)
    assert (None if found is None else found[0]) == stray


def test_what_was_looked_at_late_is_not_blamed_on_the_board() -> None:
    course = Course("0", 0)
    course.note("1", 1_000)
    slow = [Sighting("0", 0, 0), Sighting("1", 1_050, 1_900)]
    assert first_stray(slow, course, 3_000, 100, lambda _: 100, str.__eq__) is None


def test_what_ocpp_must_come_to_say() -> None:
    expected = Expected(connected=True, now_ms=0)
    expected.start(1_000)
    assert not expected.transaction
    expected.plug(True, 2_000)
    expected.limit(0, 3_000)
    expected.limit(None, 4_000)
    expected.plug(False, 5_000)
    expected.plug(True, 6_000)
    transaction = [(value, at_ms) for value, at_ms, _, _ in expected.courses["transaction"].spans()]
    permitted = [(value, at_ms) for value, at_ms, _, _ in expected.courses["permitted"].spans()]
    assert transaction == [("0", 0), ("1", 2_000), ("0", 5_000)]
    assert permitted == [("0", 0), ("1", 2_000), ("0", 3_000), ("1", 4_000), ("0", 5_000)]


def test_a_limit_is_taken_over_when_the_board_shows_it_or_has_had_its_time() -> None:
    word = BoardWord(connected=True, transaction=True, permitted=True)
    word.order_limit(16_000, energised=True, until_ms=2_000)
    word.saw_setpoint(30_000, 16_000)
    assert (word.due(100) or "").endswith("limit_ma=-")
    word.saw_setpoint(16_000, 16_000)
    assert (word.due(200) or "").endswith("limit_ma=16000")
    word.order_limit(0, energised=True, until_ms=2_000)
    assert word.due(300) is None
    word.event("permitted", "0")
    assert (word.due(400) or "").endswith("permitted=1 limit_ma=0")
    word.order_limit(8_000, energised=True, until_ms=2_000)
    assert (word.due(2_000) or "").endswith("limit_ma=8000")
