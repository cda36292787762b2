# SPDX-License-Identifier: GPL-3.0-or-later
"""What a scenario expects, on recordings that meet it and on such that just do not."""

from __future__ import annotations

from pathlib import Path

import pytest

from evtool.verify.run import Recording
from evtool.verify.scenario import parse_scenario

HEAD = """\
title = "t"
rule = "docs/controller.md"
duration = "10s"
[[event]]
at = "0s"
do = "module"
mode = "silent"
[[event]]
at = "1s"
do = "frame"
can_id = 0x1806E5F4
data = "02D0012C00000000"
"""
CHARGE = """\
title = "t"
rule = "docs/controller.md"
duration = "10s"
[[event]]
at = "1s"
do = "plug_in"
[[event]]
at = "1s"
do = "remote_start"
"""
OFF = '"can 0 068181FE x d 8 0132000100000000"'


def failures(text: str) -> list[str]:
    recording = Recording(parse_scenario(text, Path("name.toml")))
    assert list(recording.steps())
    return [str(failed) for failed in recording.failed]


def event(at: str, body: str) -> str:
    return f'[[event]]\nat = "{at}"\n{body}\n'


def test_the_state_is_that_of_the_very_millisecond() -> None:
    assert not failures(HEAD + event("4000ms", "expect = { plugged = 1 }"))
    assert failures(HEAD + event("4001ms", "expect = { plugged = 1 }")) == [
        "plugged: expected 1, reference 0"
    ]


@pytest.mark.parametrize(
    ("body", "met"),
    [
        ('output = ["console [[]event] plug state=in"]', False),
        ('output = ["console [event] plug state=in"]', True),
        ('output = ["console * state=in"]', True),
        ('output = ["console * state=i"]', False),
        ('output = ["can *", "console *"]', False),
        ('output = ["console *", "console *"]', False),
        ('absent = ["console * state=out"]', True),
        ('absent = ["console * state=in"]', False),
        ('output = ["console [event] boot *"]', False),
        ('output = ["console [event] boot *", "console * state=in"]\nwithin = "1001ms"', True),
        ('output = ["console * state=in", "console [event] boot *"]\nwithin = "1001ms"', False),
        ('output = ["console [event] boot *"]\nwithin = "1000ms"', False),
    ],
)
def test_lines_are_expected_in_order_and_in_their_stretch_of_time(body: str, met: bool) -> None:
    assert (not failures(HEAD + event("1s", body))) == met


def test_the_first_frame_and_what_comes_instead() -> None:
    assert not failures(HEAD + event("0s", f"first_frame = {OFF}"))
    assert failures(HEAD + event("510ms", f"first_frame = {OFF}")) == [
        f"first_frame: expected {OFF[1:-1]}, reference (nothing)"
    ]


def test_a_lost_frame_reaches_nobody() -> None:
    lost = event("4005ms", "do = 'lose'\ncan_id = 0x068181FE\nframes = 1")
    stop = event("4010ms", "do = 'remote_stop'\nexpect = { energised = 0 }")
    on = event("4090ms", "expect = { module = 'on' }")
    off = event("5s", "expect = { module = 'off' }")
    assert not failures(CHARGE + lost + stop + on + off)
    assert failures(CHARGE + stop + on)


def test_the_module_shows_what_it_is_told_to() -> None:
    forced = "do = 'measure'\nvoltage_mv = 71000\ncurrent_ma = -500\ntemperature_mdegc = 40000"
    shown = "{ measured_mv = 71000, measured_ma = -500, temperature_mdegc = 40000 }"
    text = CHARGE + event("4s", forced) + event("4900ms", f"expect = {shown}")
    assert not failures(text)
    back = event("5s", "do = 'measure'")
    assert len(failures(text + back + event("6s", f"expect = {shown}"))) == 3


def test_heating_reaches_the_console() -> None:
    view = event("1s", "do = 'key'\ntext = '1'")
    text = CHARGE + event("1s", "do = 'heating'\non = true") + view
    assert not failures(text + event("3s", "within = '1s'\noutput = ['* mode=heating *']"))


@pytest.mark.parametrize("lost", [False, True])
def test_after_a_power_cut_the_register_is_what_nvs_holds(lost: bool) -> None:
    text = (
        CHARGE
        + event("6s", "do = 'remote_stop'")
        + event("8s", f"do = 'power_cut'\nreset = 'brownout'\nlost_write = {str(lost).lower()}")
        + event("8s", "output = ['console * reset=brownout', 'console * state=running']")
    )
    recording = Recording(parse_scenario(text, Path("name.toml")))
    boot = [step.line for step in recording.steps() if " boot " in step.line][1]
    stored = int(boot.rpartition("=")[2])
    assert not recording.failed
    assert (stored == 0) == lost


@pytest.mark.parametrize(
    ("within", "body", "said"),
    [
        (
            "1s",
            'output = ["console [event] gate state=*"]',
            "(nothing since then; last at 1020 ms)",
        ),
        (
            "5s",
            'output = ["console [event] gate state=open", "console [event] plug state=in"]',
            "(only before the one expected before it)",
        ),
        (
            "5s",
            'output = ["console [event] gate state=closed*"]',
            "console [event] gate state=open",
        ),
        ("5s", 'output = ["store *"]', "(nothing)"),
    ],
)
def test_a_line_that_is_missing_is_named_with_what_is_there_instead(
    within: str, body: str, said: str
) -> None:
    text = CHARGE + event("5s", f'within = "{within}"\n{body}')
    text += event("5s", 'within = "5s"\nabsent = ["nothing"]')  # so far back it remembers
    assert failures(text)[0].endswith(f"reference {said}")


def test_many_stars_take_no_time() -> None:
    pattern = "*0" * 30 + "*Z"
    assert failures(HEAD + event("5s", f'within = "5s"\noutput = ["{pattern}"]'))
    assert not failures(HEAD + event("5s", f'within = "5s"\nabsent = ["{pattern}"]'))


@pytest.mark.parametrize(
    ("pattern", "is_met"),
    [
        ("console [[]event]*", False),
        ("console [event] boot *", True),
        ("console [event] boot", False),
        ("*", True),
        ("**", True),
        ("*reset=power_on", True),
        ("*reset=power_o", False),
        ("console *boot *boot *", False),
        ("console [event] .*", False),
    ],
)
def test_only_the_star_is_special(pattern: str, is_met: bool) -> None:
    assert bool(failures(HEAD + event("0s", f'output = ["{pattern}"]'))) is not is_met
