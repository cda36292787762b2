# SPDX-License-Identifier: GPL-3.0-or-later
"""Scenario files: what is understood, and every problem with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from evtool.errors import ConfigError
from evtool.verify import library_dir
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
        ("[config]", "[[config]]", "the configuration as [config]"),
        ("[config]", "[config", "not valid TOML"),
        ('duration = "2min"', 'duration = "2min"\ntick_ms = 50', "tick_ms: must be 1 to 20"),
    ],
)
def test_a_problem_is_named_with_its_line(old: str, new: str, complaint: str) -> None:
    assert old in GOOD
    with pytest.raises(ConfigError) as caught:
        parse_scenario(GOOD.replace(old, new), Path("name.toml"))
    assert complaint in str(caught.value)


def test_all_problems_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_scenario("[[event]]\n[[event]]\nat = 1\n", Path("name.toml"))
    assert len(str(caught.value.message).splitlines()) >= 6


def test_the_library_loads_and_says_which_rule_it_shows() -> None:
    paths = sorted(library_dir().glob("*.toml"))
    assert len(paths) >= 18
    for path in paths:
        scenario = load_scenario(path)
        assert scenario.rule.startswith("docs/controller.md")
        assert any(event.expect for event in scenario.events)
