# SPDX-License-Identifier: GPL-3.0-or-later
"""Following a console: lines, views, and what ends a watch."""

from __future__ import annotations

import re

import pytest

from evtool.errors import CheckFailed, LinkTimeout
from evtool.monitor.follow import Follower, Happening, Line, Silence, read_line
from evtool.monitor.goal import Goal, Watch
from evtool.monitor.quantities import format_value
from evtool.monitor.views import (
    VIEW_RECORDS,
    Dashboard,
    Row,
    format_age,
    record_rows,
)
from evtool.protocol.console import FIELDS, Record

BMS = "[bms] v=72.00V i=30.00A switch=on mode=charging soc=55.1% age=120ms raw=02 D0"
BOOT = "[event] boot version=0.1.0 build=1a2b charge_point=CP-0001 reset=power_on"
ROM = "rst:0x1 (POWERON_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)"
PANIC = "Guru Meditation Error: Core  1 panic'ed (LoadProhibited). Exception was unhandled."


def lines(happenings: list[Happening]) -> list[Line]:
    assert all(isinstance(happening, Line) for happening in happenings)
    return [happening for happening in happenings if isinstance(happening, Line)]


def test_a_line_says_what_it_is() -> None:
    assert read_line(BOOT, 5).event == "boot"
    assert read_line(ROM, 5).reset == "POWERON_RESET"
    assert read_line(PANIC, 5).panic
    assert read_line("abort() was called at PC 0x400d1234 on core 0", 5).panic
    assert read_line("[bms] v=72", 5).malformed
    plain = read_line("connecting to wifi", 5)
    assert plain == Line(5, "connecting to wifi")


def test_bytes_become_lines_when_they_are_whole() -> None:
    follower = Follower(0)
    assert follower.feed(BMS[:10].encode(), 10) == []
    (line,) = lines(follower.feed(BMS[10:].encode() + b"\r\nrest", 20))
    assert line.at_ms == 20
    assert line.record is not None
    assert line.record.fields["voltage_mv"] == 72000
    assert [line.text for line in lines(follower.finish(30))] == ["rest"]


def test_silence_is_said_once_until_something_comes() -> None:
    follower = Follower(1000, silence_ms=5000)
    assert follower.feed(b"", 5999) == []
    assert follower.feed(b"", 6000) == [Silence(6000, 5000)]
    assert follower.feed(b"", 60_000) == []
    follower.feed(b"x", 61_000)
    assert follower.feed(b"", 66_000) == [Silence(66_000, 5000)]


def test_a_view_shows_units_and_labels() -> None:
    record = read_line(BMS, 0).record
    assert record is not None
    assert record_rows(record) == (
        Row("Requested voltage", "72.00", "V"),
        Row("Requested current", "30.00", "A"),
        Row("Vehicle's switch", "on"),
        Row("Mode", "charging"),
        Row("State of charge", "55.1", "%"),
        Row("Raw frame", "02 D0"),
    )


def test_every_known_field_has_a_label_and_a_unit() -> None:
    for name in VIEW_RECORDS["5"]:
        for field, quantity in FIELDS[name].values():
            (row,) = record_rows(Record(name, {field: 7})) or (Row("Age", ""),)
            assert row.label != field
            if quantity is not None and field not in {"age_ms", "m79", "m83_milli"}:
                assert row.unit, field


@pytest.mark.parametrize(
    ("field", "value", "shown"),
    [
        ("energy_mwh", 12345000, ("12.345", "kWh")),
        ("power_mw", 2139000, ("2.139", "kW")),
        ("temperature_mdegc", -4500, ("-4.5", "°C")),
        ("m83_milli", 1500, ("1.500", "")),
        ("m79", 12, ("12", "")),
        ("status", "not_charging", ("not charging", "")),
        ("voltage_mv", None, ("-", "")),
    ],
)
def test_values_as_people_read_them(field: str, value: int | str | None, shown: object) -> None:
    assert format_value(field, value) == shown


def test_age_adds_the_time_since_the_record_came_and_turns_stale() -> None:
    dashboard = Dashboard(("bms",))
    (section,) = dashboard.sections(0)
    assert (section.heard, section.stale, section.rows) == (False, True, ())
    dashboard.observe(read_line(BMS, 1000))
    (section,) = dashboard.sections(1500)
    assert (section.age_ms, section.stale) == (620, False)
    assert dashboard.sections(1000 + 2880)[0].stale is False
    assert dashboard.sections(1000 + 2881)[0].stale is True


def test_unknown_age_is_stale_however_fresh_the_record() -> None:
    dashboard = Dashboard(("bms",))
    dashboard.observe(read_line("[bms] v=- age=-", 1000))
    (section,) = dashboard.sections(1001)
    assert section.stale
    assert section.age_ms is None
    assert section.rows == (Row("Requested voltage", "-"),)


def test_a_restart_forgets_the_values_and_keeps_the_lines() -> None:
    dashboard = Dashboard()
    dashboard.observe(read_line(BMS, 1000))
    dashboard.observe(read_line("[bms] v=1", 1000))
    dashboard.observe(read_line(BOOT, 1100))
    assert not any(section.heard for section in dashboard.sections(1200))
    assert [line.text for line in dashboard.recent] == ["[bms] v=1", BOOT]
    assert dashboard.malformed == 1


def test_keys_choose_the_view() -> None:
    dashboard = Dashboard()
    for key, names in VIEW_RECORDS.items():
        dashboard.press(key)
        assert tuple(section.name for section in dashboard.sections(0)) == names
    dashboard.press("s")
    assert dashboard.records == VIEW_RECORDS["5"]


@pytest.mark.parametrize(
    ("age_ms", "text"),
    [(None, "never"), (40, "0.0 s"), (9900, "9.9 s"), (61_000, "61 s"), (600_000, "10 min")],
)
def test_ages(age_ms: int | None, text: str) -> None:
    assert format_age(age_ms) == text


def watch(**goal: object) -> Watch:
    return Watch(Goal(**goal), 1000, "PORT")  # type: ignore[arg-type]  # named in each test


def test_until_ends_it_well() -> None:
    watching = watch(until=re.compile(r"^\[event\] boot"), timeout_ms=500)
    assert not watching.reached(read_line(ROM, 1100))
    assert watching.reached(read_line(BOOT, 1200))


def test_until_that_never_comes_is_a_failed_check() -> None:
    watching = watch(until=re.compile("never"), timeout_ms=500)
    watching.reached(read_line(BMS, 1100))
    assert not watching.timed_out(1499)
    with pytest.raises(CheckFailed, match="never"):
        watching.timed_out(1500)


def test_a_board_that_says_nothing_is_a_link_timeout() -> None:
    with pytest.raises(LinkTimeout, match="said nothing for"):
        watch(until=re.compile("x"), timeout_ms=500).timed_out(1500)
    with pytest.raises(LinkTimeout):
        watch(duration_ms=500, records=("bms",)).timed_out(1500)


def test_muted_silence_is_as_it_should_be() -> None:
    assert watch(duration_ms=500).timed_out(1500)


def test_count_counts_the_records_asked_for() -> None:
    watching = watch(count=2, records=("bms",), timeout_ms=500)
    assert not watching.reached(read_line("[output] v=1.00V", 1100))
    assert not watching.reached(read_line(BMS, 1100))
    with pytest.raises(CheckFailed, match="1 of 2"):
        watching.timed_out(1500)
    assert watching.reached(read_line(BMS, 1100))


def test_fail_on_and_a_panic_end_it_badly() -> None:
    with pytest.raises(CheckFailed, match="must not be said"):
        watch(fail_on=re.compile("fault")).reached(read_line("[event] fault name=x", 1100))
    assert watch(until=re.compile("Guru")).reached(read_line(PANIC, 1100))
    assert not watch().reached(read_line(PANIC, 1100))


def test_a_panic_ends_a_watch_when_all_of_it_is_said() -> None:
    watching = watch(until=re.compile("Backtrace"))
    assert not watching.reached(read_line(PANIC, 1100))
    assert not watching.reached(read_line("Backtrace: 0x400d1f21:0x3ffb4f80", 1200))
    with pytest.raises(CheckFailed, match="broke down: Guru"):
        watching.reached(read_line("Rebooting...", 1300))
    for first, last_ms in ((PANIC, 4199), ("rst:0x8 (TG1WDT_SYS_RESET),boot:0x13 (SPI)", 4199)):
        watching = watch(until=re.compile("boot ok"))
        assert not watching.reached(read_line(first, 2000))
        assert not watching.reached(read_line("more", 2200))
        assert not watching.timed_out(last_ms)
        with pytest.raises(CheckFailed, match="broke down"):
            watching.timed_out(4200)


@pytest.mark.parametrize("all_lines", [True, False])
def test_a_panic_is_no_success_when_the_time_is_up(all_lines: bool) -> None:
    watching = watch(duration_ms=500)
    if all_lines:
        assert not watching.reached(read_line(PANIC, 1100))
    else:
        watching.hear([read_line(PANIC, 1100)])
    with pytest.raises(CheckFailed, match="Guru Meditation"):
        watching.timed_out(1500)
