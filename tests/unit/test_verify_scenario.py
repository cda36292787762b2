# SPDX-License-Identifier: GPL-3.0-or-later
"""Scenario files: what is understood, and every problem with its line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evtool.errors import ConfigError
from evtool.verify import library_dir
from evtool.verify.device_under_test import Reference
from evtool.verify.raw_lines import render_lines_scenario
from evtool.verify.run import run_scenario
from evtool.verify.scenario import load_scenario, parse_scenario

GOOD = """\
title = "t"
rule = "r"
duration = "2min"
[config]
buses = 2
[[event]]
at = "1500ms"
do = "plug_in"
[[event]]
at = "0.25s"
do = "frame"
can_id = 0x1806E5F4
data = "00 01"
[[event]]
at = "60s"
do = "jump"
by = "50d"
expect = { energised = true, faults = "-" }
"""


def test_events_come_in_order_of_time() -> None:
    scenario = parse_scenario(GOOD, Path("x/name.toml"))
    assert (scenario.name, scenario.duration_ms, scenario.config) == (
        "name",
        120_000,
        {"buses": "2"},
    )
    assert [event.at_ms for event in scenario.events] == [250, 1500, 60_000]
    assert [event.line for event in scenario.events] == [9, 6, 14]
    assert scenario.events[2].parameters["by_ms"] == 50 * 86_400_000
    assert scenario.events[2].expect == {"energised": "1", "faults": "-"}


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ('title = "t"', "title = 1", "name.toml:1: title: a string is required"),
        ('rule = "r"', 'rlue = "r"', "name.toml:2: rlue: unknown key"),
        ('"2min"', '"2 minutes"', "name.toml:3: duration: must be a time"),
        ('"plug_in"', '"plugin"', "name.toml:6: do: 'plugin' is none of: plug_in"),
        ('"1500ms"', "1500", "name.toml:6: at: must be a time"),
        ("0x1806E5F4", '"x"', "name.toml:9: frame: can_id must be of type int"),
        ("0x1806E5F4", "0x3806E5F4", "name.toml:9: frame: can_id must be 0 to 0x1FFFFFFF"),
        ('"00 01"', '"0 01"', "name.toml:9: frame: data must be up to 8 bytes in hex"),
        ('by = "50d"', 'by = "50y"', "name.toml:14: jump: by: must be a time"),
        ('by = "50d"', "", "name.toml:14: jump: by is required"),
        ('at = "60s"', 'at = "3min"', "name.toml:14: at: lies beyond the scenario's duration"),
        ('do = "plug_in"', "", "name.toml:6: an event needs `do` or `expect`"),
        ('do = "plug_in"', 'do = "plug_in"\non = true', "plug_in: unknown parameter on"),
        ('do = "plug_in"', 'do = "bms"\nmode = "dead"', "bms: mode must be one of: normal, silent"),
        ('do = "plug_in"', 'do = "lose"\ncan_id = 1\nframes = 0', "lose: frames must be 1 to"),
        ('do = "plug_in"', 'do = "measure"\nvoltage_mv = -1', "voltage_mv must be 0 to 1000000"),
        ('do = "plug_in"', 'do = "power_cut"\nreset = "x"', "power_cut: reset must be one of: po"),
        ('do = "plug_in"', "output = 1", "name.toml:6: output: must be a list of lines"),
        ('do = "plug_in"', "absent = [1]", "name.toml:6: absent: must be a list of lines"),
        ('do = "plug_in"', "first_frame = 1", "name.toml:6: first_frame: must be a line"),
        ('do = "plug_in"', 'do = "plug_in"\nwithin = 1', "name.toml:6: within: must be a time"),
        ('do = "plug_in"', 'do = "plug_in"\nevery = "1s"', "name.toml:6: times: must be 1 to"),
        ('do = "plug_in"', 'do = "plug_in"\ntimes = 2', "name.toml:6: every: must be a time"),
        (
            'do = "plug_in"',
            'do = "plug_in"\nevery = "1min"\ntimes = 4',
            "name.toml:6: at: lies bey",
        ),
        ("[config]", "[[config]]", "name.toml:1: config: write the configuration as [config]"),
        ("[config]", "[config", "not valid TOML"),
        ('duration = "2min"', 'duration = "2min"\ntick_ms = 50', "tick_ms: must be 1 to 20"),
    ],
)
def test_a_problem_is_named_with_its_line(old: str, new: str, complaint: str) -> None:
    assert old in GOOD
    with pytest.raises(ConfigError) as caught:
        parse_scenario(GOOD.replace(old, new), Path("name.toml"))
    assert complaint in str(caught.value)


def test_an_event_is_repeated() -> None:
    text = GOOD.replace('do = "plug_in"', 'do = "plug_in"\nevery = "10ms"\ntimes = 3')
    events = parse_scenario(text, Path("name.toml")).events
    assert [event.at_ms for event in events if event.action == "plug_in"] == [1500, 1510, 1520]


def test_a_repetition_beyond_the_end_is_one_problem() -> None:
    text = GOOD.replace('do = "plug_in"', 'do = "plug_in"\nevery = "1min"\ntimes = 9')
    with pytest.raises(ConfigError) as caught:
        parse_scenario(text, Path("name.toml"))
    assert len(str(caught.value.message).splitlines()) == 1


def test_all_problems_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_scenario("[[event]]\n[[event]]\nat = 1\n", Path("name.toml"))
    assert len(str(caught.value.message).splitlines()) >= 6


def test_the_page_about_the_library_names_every_scenario_and_every_fault() -> None:
    page = (Path(__file__).parents[2] / "docs" / "scenarios.md").read_text(encoding="utf-8")
    rows = [line.split("|") for line in page.splitlines() if line.startswith("| ")]
    shown = {name for row in rows for name in re.findall(r"`([a-z0-9_]+)`", row[-2])}
    assert shown == {path.stem for path in library_dir().glob("*.toml")}
    faults = [int(n) for row in rows for n in re.findall(r"\bF(\d+)\b", row[1])]
    assert sorted(faults) == list(range(1, 61))


def test_the_library_loads_and_says_which_rule_it_shows() -> None:
    paths = sorted(library_dir().glob("*.toml"))
    assert len(paths) >= 45
    for path in paths:
        scenario = load_scenario(path)
        assert scenario.rule.startswith("docs/controller.md")
        assert any(event.expects for event in scenario.events)


LINES = """\
title = "t"
rule = "r"
lines = '''
# said aside
@0 config buses=1

@0 boot reset=power_on
@15 bus 0 running
@4000 tick
'''
[[event]]
at = "20ms"
expect = { bus0 = "running" }
"""


def test_lines_are_all_that_happens() -> None:
    scenario = parse_scenario(LINES, Path("x/name.toml"))
    assert scenario.lines == (
        "@0 config buses=1",
        "@0 boot reset=power_on",
        "@15 bus 0 running",
        "@4000 tick",
    )
    assert scenario.duration_ms == 4000


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("@15 bus", "15 bus", "name.toml:8: lines: each begins with its time"),
        ("@15 bus", "@015 bus", "name.toml:8: lines: each begins with its time"),
        ("@15 bus 0", "@15 bus 7", "name.toml:8: lines: `bus 7 running`: bad bus"),
        ("@15 bus", "@15  bus", "name.toml:8: lines: ` bus 0 running`: no such command"),
        ("buses=1", "buses=3", "name.toml:5: lines: `config buses=3`: bad config"),
        ("boot reset=power_on", "tick", "name.toml:4: lines: without a `boot`"),
        ('rule = "r"', 'rule = "r"\nduration = "1s"', "name.toml:3: duration: not beside `lines`"),
        ("[[event]]", "[config]\n[[event]]", "config: not beside `lines`"),
        ('at = "20ms"', 'at = "20ms"\ndo = "plug_in"', "name.toml:11: do: beside `lines`"),
        ('at = "20ms"', 'at = "5s"', "name.toml:11: at: lies beyond the scenario's duration"),
        ("[[event]]", "[event]", "events are written as [[event]]"),
    ],
)
def test_a_problem_in_the_lines_is_named_with_its_line(old: str, new: str, complaint: str) -> None:
    assert old in LINES
    with pytest.raises(ConfigError) as caught:
        parse_scenario(LINES.replace(old, new), Path("name.toml"))
    assert complaint in str(caught.value)


def test_lines_that_are_no_text() -> None:
    with pytest.raises(ConfigError, match=r"name.toml:3: lines: must be a text"):
        parse_scenario('title = "t"\nrule = "r"\nlines = ["@0 tick"]\n', Path("name.toml"))


@given(
    st.lists(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20)),
    st.text(),
)
def test_rendered_lines_are_read_back_as_they_were(tags: list[str], title: str) -> None:
    lines = ["@0 boot reset=power_on", *(f"@{n} config id_tag={tag}" for n, tag in enumerate(tags))]
    text = render_lines_scenario(title, "rule", lines, comment=[title])
    scenario = parse_scenario(text, Path("found.toml"))
    assert list(scenario.lines) == lines


def test_expectations_beside_lines_hold_at_their_time() -> None:
    verdict = run_scenario(parse_scenario(LINES, Path("name.toml")), Reference())
    assert verdict.passed, verdict.failed
    stopped = LINES.replace("@15 bus 0 running", "@21 bus 0 running")
    verdict = run_scenario(parse_scenario(stopped, Path("name.toml")), Reference())
    assert [missed.actual for missed in verdict.failed] == ["stopped"]


HOSTILE = 'title = "t"\nrule = "r"\nduration = "1s"\n'


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (HOSTILE + "x = " + "[" * 5000 + "]" * 5000, "x.toml: not valid TOML: nested too deep"),
        (HOSTILE + "x = " + "9" * 6000, "x.toml: not valid TOML: "),
        (HOSTILE.replace("1s", "9" * 400 + "d"), "x.toml:3: duration: must be a time"),
        (HOSTILE.replace("1s", "3650d"), "x.toml:3: duration: at most 10,000,000 ticks"),
        (HOSTILE.replace('"t"', '"\\u001b[2J"'), "x.toml:1: title: must be one line"),
        (HOSTILE + "[config]\nfoo = 1\n", "x.toml:5: config: no field foo"),
        (HOSTILE + "[config]\nbuses = 3\n", "x.toml:5: config: no field buses with the value '3'"),
        (HOSTILE + "[config]\nbuses = [1]\n", "x.toml:5: config: no field buses"),
        (HOSTILE + '[config]\nid_tag = "a b"\n', "x.toml:5: config: no field id_tag"),
        (
            HOSTILE + '[config]\n"buses=2 request_max_ma" = 5\n',
            "config: no field buses=2 request_max_ma",
        ),
        (HOSTILE + '[config]\nbuses = "2 id_tag=A"\n', "x.toml:5: config: no field buses"),
        (HOSTILE + '[config]\n"a\\u001b[2J" = 1\n', "config: no field a?[2J with"),
        (HOSTILE + '[[event]]\nat = "0s"\ndo = [1]\n', "x.toml:4: do: [1] is none of"),
        (
            HOSTILE + '[[event]]\nat = "0s"\ndo = "request"\nvoltage_mv = -1\ncurrent_ma = 0\n',
            "x.toml:4: request: voltage_mv must be 0 to 6553500",
        ),
        (
            HOSTILE + '[[event]]\nat = "0s"\ndo = "bus"\nstate = "running"\nbus = 7\n',
            "x.toml:4: bus: bus must be 0 to 1",
        ),
        (
            HOSTILE + '[[event]]\nat = "0s"\ndo = "jump"\nby = "53375995583d"\n' * 2,
            "the clock ends at 2^62 ms",
        ),
        (
            HOSTILE + '[[event]]\nat = "0s"\nexpect = { nonsense = 1 }\n',
            "x.toml:4: expect: 'nonsense' is none of: plugged, ",
        ),
        (
            HOSTILE + '[[event]]\nat = "0s"\nexpect = { plugged = nan }\n',
            "x.toml:4: expect: plugged must be a number",
        ),
        (
            HOSTILE + '[[event]]\nat = "0s"\ndo = "plug_in"\nwithin = "1s"\n',
            "x.toml:4: within: only beside output, absent or first_frame",
        ),
        (
            HOSTILE + '[[event]]\nat = "0s"\ndo = "plug_in"\nevery = "0s"\ntimes = 2\n',
            "x.toml:4: every: must be at least 1ms",
        ),
        (
            HOSTILE.replace("1s", "20s")
            + '[[event]]\nat = "0s"\ndo = "plug_in"\nevery = "1ms"\ntimes = 10000\n' * 21,
            "more than 200,000 events",
        ),
        (HOSTILE + '[[event]]\nat = "0s"\noutput = [""]\n', "x.toml:4: output: must be a list"),
    ],
)
def test_hostile_files_are_refused_by_name(text: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(complaint)):
        parse_scenario(text, Path("x.toml"))


def test_all_the_problems_fit_one_screen() -> None:
    text = HOSTILE + '[[event]]\nat = "0s"\ndo = "dance"\n' * 500
    with pytest.raises(ConfigError, match=r"x\.toml: and 480 more") as caught:
        parse_scenario(text, Path("x.toml"))
    assert len(str(caught.value).splitlines()) == 22


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_bytes(b"\xef\xbb\xbf" + HOSTILE.replace("\n", "\r\n").encode())
    assert load_scenario(path).duration_ms == 1000


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_bytes(b'title = "\xff"')
    with pytest.raises(ConfigError, match="is not UTF-8: invalid start byte at byte 9"):
        load_scenario(path)


def test_a_file_of_gigabytes_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    with path.open("wb") as stream:
        stream.truncate(4 << 30)
    with pytest.raises(ConfigError, match="has more than 64 MiB"):
        load_scenario(path)
