# SPDX-License-Identifier: GPL-3.0-or-later
"""Logs of a console, in every form they come in."""

from __future__ import annotations

import json
import unicodedata
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evtool.protocol.console_log import ConsoleLog, LoggedLine, read_console_log

BMS = "[bms] v=72.00V age=1ms"
TERMINAL = "[terminal] v=72.00V age=1ms"
NOON_MS = 1_000_000_000_000  # 2001-09-09T01:46:40Z


def read(*lines: str) -> tuple[ConsoleLog, list[LoggedLine]]:
    log = read_console_log(line.encode() + b"\r\n" for line in lines)
    return log, list(log.lines)


@pytest.mark.parametrize(
    ("first", "second", "form", "at_ms"),
    [
        ("2001-09-09T01:46:40.000Z ", "2001-09-09T01:46:41.500Z ", "iso", NOON_MS),
        ("2001-09-09T03:46:40+02:00 ", "2001-09-09T03:46:41.5+02:00 ", "iso", NOON_MS),
        ("[2001-09-09 01:46:40,000] ", "[2001-09-09 01:46:41,500] ", "iso", NOON_MS),
        ("1000000000.000 ", "1000000001.500000 ", "epoch", NOON_MS),
        ("01:00:00.000 > ", "01:00:01.500 > ", "clock", 3_600_000),
        ("[01:00:00.000] ", "[01:00:01.500] ", "clock", 3_600_000),
        ("[   12.000000] ", "[   13.500000] ", "seconds", 12_000),
        ("+12.000 ", "+13.500 ", "seconds", 12_000),
    ],
)
def test_forms_of_time(first: str, second: str, form: str, at_ms: int) -> None:
    log, lines = read(first + BMS, "no time here", second + "text with  blanks ")
    assert log.form == form
    assert lines == [
        LoggedLine(at_ms, BMS, 1),
        LoggedLine(at_ms, "no time here", 2),
        LoggedLine(at_ms + 1500, "text with  blanks ", 3),
    ]


def test_a_log_of_several_ports_says_which() -> None:
    _, lines = read(
        "2001-09-09T01:46:40.000Z <board one> " + BMS,
        "2001-09-09T01:46:40.000Z <ttyUSB1> <xml>",
    )
    assert lines == [
        LoggedLine(NOON_MS, BMS, 1, "board one"),
        LoggedLine(NOON_MS, "<xml>", 2, "ttyUSB1"),
    ]
    _, lines = read("2001-09-09T01:46:40.000Z <xml> text", "2001-09-09T01:46:40.000Z text")
    assert lines[0] == LoggedLine(NOON_MS, "<xml> text", 1)


def test_midnight_is_no_step_back() -> None:
    _, lines = read("23:59:59.900 a", "00:00:00.100 b", "00:00:00.050 c")
    assert [line.at_ms for line in lines] == [86_399_900, 86_400_100, 86_400_050]


def test_a_log_without_times_is_counted_by_its_views() -> None:
    log, lines = read("text", BMS, TERMINAL, "[event] plug state=in", BMS, TERMINAL, BMS)
    assert log.reckoned
    assert [line.at_ms for line in lines] == [0, 0, 0, 0, 1000, 1000, 2000]


@pytest.mark.parametrize("mark", ["[     +0.012] ", "[          -] "])
def test_stamps_that_tell_no_time_are_taken_off(mark: str) -> None:
    log, lines = read(mark + BMS, mark + "text", "[    12.345] I (12345) a: b", mark + BMS)
    assert log.reckoned
    assert [(line.at_ms, line.text) for line in lines] == [
        (0, BMS), (0, "text"), (0, "I (12345) a: b"), (1000, BMS),
    ]  # fmt: skip


def test_json_lines_are_the_boards_lines() -> None:
    def document(**fields: object) -> str:
        return json.dumps({"time": "2001-09-09T01:46:40.000Z"} | fields)

    log, lines = read(
        document(event="connected", serial_port="P", text="P is open"),
        document(event="record", name="bms", fields={"voltage_mv": 72000, "age_ms": 1}, port="P"),
        document(event="board_event", name="gate", fields={"state": "open"}),
        document(event="text", text="hello"),
        document(event="record", name="bms", fields={"voltage_mv": {"a": 1}}),
        document(event="record", name="bms", fields={"voltage_mv": 1.5}),
        '{"event": "text", "text": "torn',
    )
    assert log.form == "json"
    assert lines == [
        LoggedLine(NOON_MS, BMS, 2, "P"),
        LoggedLine(NOON_MS, "[event] gate state=open", 3),
        LoggedLine(NOON_MS, "hello", 4),
    ]


@settings(deadline=None)
@given(st.lists(st.binary(max_size=80), max_size=30))
def test_nothing_is_raised_on_what_a_log_may_hold(lines: list[bytes]) -> None:
    found = list(read_console_log(lines).lines)
    assert len(found) <= len(lines)
    assert all(unicodedata.category(char) != "Cc" for line in found for char in line.text)


@settings(deadline=None)
@given(st.lists(st.text(alphabet="[]{}:.-+TZ 0123456789", max_size=40), max_size=20))
def test_nor_on_what_looks_like_times(lines: list[str]) -> None:
    list(read_console_log(line.encode() for line in lines).lines)


@settings(deadline=None)
@given(
    st.datetimes(min_value=datetime(1970, 1, 2), max_value=datetime(2999, 1, 1)),
)
def test_any_moment_is_read_to_the_millisecond(moment: datetime) -> None:
    text = f"{moment.isoformat(timespec='milliseconds')}Z x"
    _, (line,) = read(text)
    wanted = moment.replace(tzinfo=UTC, microsecond=moment.microsecond // 1000 * 1000)
    assert line == LoggedLine(round(wanted.timestamp() * 1000), "x", 1)
