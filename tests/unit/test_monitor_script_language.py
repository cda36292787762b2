# SPDX-License-Identifier: GPL-3.0-or-later
"""The language of scripts: mistakes are told before a step is run, with place and fix."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from script_bench import ScriptBench, program

from evtool.monitor.script import steps
from evtool.monitor.script.parse import USAGE
from evtool.monitor.script.results import Summary, junit
from evtool.monitor.script.words import ScriptError


@pytest.mark.parametrize(
    ("text", "column", "says"),
    [
        ("expct /x/", 1, "did you mean expect /RE/"),
        ("expect x", 8, "an expression in /.../"),
        ("expect", 1, "missing behind this"),
        ('expect ""', 8, "empty text"),
        ("expect /x", 8, "not closed"),
        ("expect //", 8, "empty expression"),
        ("expect /a(/", 10, "no regular expression"),
        ("expect /a/x", 11, "only i"),
        ("expect /x/ within", 12, "a time such as 5s is missing"),
        ("expect /x/ within 5", 19, "5s"),
        ("expect /x/ within 0s", 19, "no time"),
        ("expect /x/ within 200h", 19, "at most 168h"),
        ("expect /x/ 5s", 12, "too much"),
        ("expect-not /x/", 12, "`for TIME` is missing"),
        ("send s", 6, 'a text in "..."'),
        ('send "s', 6, "not closed"),
        ('send "\\q"', 7, "unknown escape"),
        ('send "\\x80"', 7, "send-hex"),
        ('send "${a}"', 7, "has no value here"),
        ("expect /${a}/", 9, "has no value here"),
        ("send-hex 0", 10, "two digits a byte"),
        ("send-hex", 1, "missing behind this"),
        ("secret a", 8, "an environment variable's name is missing"),
        ("secret a 1b", 10, "no name of a variable"),
        ('set 1a "x"', 5, "no name of a variable"),
        ("terminl.v > 1", 1, "unknown step"),
        ("terminal.volts > 1", 1, "no field"),
        ("terminal.v", 1, "a condition is missing"),
        ("terminal.v over 1", 12, "is no condition"),
        ("terminal.v is 1", 12, "is a number"),
        ("terminal.status > 1", 19, "a word, not a number"),
        ("terminal.v > x", 14, "no number"),
        ("terminal.v > 1A", 14, "not a unit of this field"),
        ("terminal.v > 1.0001", 14, "more decimals"),
        ("terminal.v between 2 and 1", 20, "the lower limit first"),
        ("wait trminal", 6, "there is no record"),
        ("wait terminal v=1", 15, "write wait terminal.v is 1"),
        ('assert "a" like "b"', 12, "compares no texts"),
        ('include "gone.evs"', 9, "cannot read gone.evs"),
        ('include "try.evs"', 9, "includes itself"),
        ("include gone", 9, 'the file\'s name in "..."'),
        ("port", 1, "the port's name, or its number,"),
        ('port "${a}"', 6, "a variable in a port's name"),
        ("@ reset", 1, "a port's name is missing"),
        ("# nothing", 1, "has no step"),
        ("reset now", 7, "too much"),
    ],
)
def test_mistakes_have_a_place_and_a_fix(text: str, column: int, says: str) -> None:
    with pytest.raises(ScriptError) as caught:
        program(text)
    assert caught.value.message.startswith(f"try.evs:1:{column}: "), caught.value.message
    assert says in str(caught.value)
    assert caught.value.fix
    assert caught.value.exit_code == 2


def test_a_mistake_in_an_included_file_is_found_there() -> None:
    with pytest.raises(ScriptError, match=r"^more\.evs:2:1: unknown step"):
        program('reset\ninclude "more.evs"', more="reset\nresett")


def test_a_port_that_is_not_there_and_one_that_is_not_named() -> None:
    with pytest.raises(ScriptError, match="no port is called 'c'"):
        ScriptBench("@c reset")
    with pytest.raises(ScriptError, match="which port is meant"):
        ScriptBench("reset", ("a", "b"))


def test_a_variable_is_known_from_the_step_on_that_sets_it() -> None:
    assert len(program('expect /(?P<a>x)/\nsend "${a}"').steps) == 2
    with pytest.raises(ScriptError):
        program('send "${a}"\nexpect /(?P<a>x)/')


def test_comments_blanks_and_quotes() -> None:
    found = program(
        '\n  # a comment\n\tsend "a # b \\" \\$ \\x41" # more\nexpect /a \\/ # b/\n'
    ).steps
    send, expect = found
    assert isinstance(send, steps.Send)
    assert send.pieces == ('a # b " $ A',)
    assert isinstance(expect, steps.Expect)
    assert expect.pattern.pieces == ("a / # b",)


def test_times_and_the_default_limit() -> None:
    found = program("expect /a/\nwithin 2min\nexpect /a/\nexpect /a/ within 1.5s\nsleep 20ms").steps
    assert [s.within_ms for s in found if isinstance(s, steps.Expect)] == [10_000, 120_000, 1500]
    assert isinstance(found[3], steps.Sleep)
    assert found[3].for_ms == 20


_WORDS = [*USAGE, "/x/", "/(?P<a>x)/", '"x"', '"${a}"', "5s", "for", "within", "and", "terminal.v"]
_WORDS += [
    "is",
    "not",
    "between",
    "1",
    "event",
    "gate",
    "a=b",
    "@p",
    "#",
    '"',
    "/",
    "\\",
    "é",
    "${a}",
]


@given(st.lists(st.lists(st.sampled_from(_WORDS), max_size=7), max_size=5), st.text(max_size=30))
def test_any_text_is_a_script_or_a_told_mistake(lines: list[list[str]], end: str) -> None:
    text = "\n".join([*(" ".join(words) for words in lines), end])
    told: ScriptError | None = None
    try:
        assert program(text).steps
    except ScriptError as error:
        told = error
    if told is not None:
        assert told.message.startswith("try.evs:")
        assert told.fix


def test_the_documentation_shows_every_step_and_a_script_that_is_one() -> None:
    text = (Path(__file__).parents[2] / "docs" / "monitor-scripts.md").read_text()
    (script,) = re.findall(r"```\n(# smoke\.evs.*?)```", text, re.DOTALL)
    assert len(program(script).steps) == 8
    shown = {re.split(r"[` ]", row.removeprefix("| `"))[0] for row in text.splitlines()}
    assert set(USAGE) <= shown


# --- results ---------------------------------------------------------------------


def _mask(text: str) -> str:
    return text.replace("1234", "****")


def _summary() -> Summary:
    bench = ScriptBench(
        'send "key 1234"\nexpect /a/\nexpect /b\\x01/ within 1s\nsleep 1s', mask=_mask
    )
    bench.say("a <line> & \x01", "another")
    bench.wait(1000)
    return bench.summary


def test_junit_has_a_case_for_each_step() -> None:
    text = junit(_summary())
    suite = ET.fromstring(text).find("testsuite")  # noqa: S314 - written above
    assert suite is not None
    counts = {key: suite.get(key) for key in ("tests", "failures", "errors", "skipped")}
    assert counts == {"tests": "4", "failures": "1", "errors": "0", "skipped": "1"}
    cases = suite.findall("testcase")
    assert [[child.tag for child in case] for case in cases] == [
        [],
        ["system-out"],
        ["failure"],
        ["skipped"],
    ]
    assert cases[1][0].text == "a <line> & \\x01"
    assert "another" in (cases[2][0].text or "")
    assert b"1234" not in text
    assert b"****" in text


def test_a_run_that_breaks_off_is_no_success_in_junit() -> None:
    bench = ScriptBench("sleep 1s")
    suite = ET.fromstring(junit(bench.summary)).find("testsuite")  # noqa: S314
    assert suite is not None
    assert suite.get("errors") == "1"
    assert bench.summary.outcome == "error"


def test_the_summary_as_json_names_every_step() -> None:
    found = _summary().as_dict()
    assert found["outcome"] == "failed"
    found_steps = found["steps"]
    assert isinstance(found_steps, list)
    assert [step["outcome"] for step in found_steps] == ["passed", "passed", "failed", "not_run"]
    assert found_steps[1]["text"] == "a <line> & \\x01"
    assert found_steps[2]["duration_ms"] == 1000
    assert "started_ms" not in found_steps[3]


def test_what_the_author_wrote_is_masked_in_errors_too() -> None:
    bench = ScriptBench('set a "1234"\nassert "${a}" is "x"', mask=_mask)
    assert "1234" not in str(bench.error)
    assert "1234" not in str(bench.summary.as_dict())
