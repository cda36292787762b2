# SPDX-License-Identifier: GPL-3.0-or-later
"""Following a console: lines, views, what ends a watch, and a port that comes and goes."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from evtool.errors import CheckFailed, DeviceError, LinkTimeout
from evtool.monitor.follow import Follower, Happening, Line, Silence, read_line
from evtool.monitor.goal import Goal, Watch
from evtool.monitor.quantities import format_value
from evtool.monitor.redact import Redactor
from evtool.monitor.session import Session, Wiring
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
    with pytest.raises(CheckFailed, match="broke down"):
        watch(until=re.compile("boot ok")).reached(read_line(PANIC, 1100))
    assert watch(until=re.compile("Guru")).reached(read_line(PANIC, 1100))
    assert not watch().reached(read_line(PANIC, 1100))


class ScriptedPort:
    """Gives one piece of `script` for each read; an error where it holds one."""

    def __init__(self, clock: FakeClock, script: list[bytes | DeviceError]) -> None:
        self._clock = clock
        self._script = script
        self.sent = b""
        self.closed = False
        self.discarded_before: bytes | None = None

    def discard_waiting(self) -> None:
        self.discarded_before = self.sent

    def read(self, timeout_s: float) -> bytes:
        self._clock.now += round(timeout_s * 1000)
        if not self._script:
            return b""
        piece = self._script.pop(0)
        if isinstance(piece, DeviceError):
            raise piece
        return piece

    def write(self, data: bytes) -> None:
        self.sent += data

    def reset(self) -> bool:
        return False

    def close(self) -> None:
        self.closed = True


class FakeClock:
    def __init__(self) -> None:
        self.now = 0

    def pause(self, seconds: float) -> None:
        self.now += round(seconds * 1000)


class Notebook:
    """A display that keeps what it was shown."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.notes: list[str] = []

    def show(self, happening: Happening) -> None:
        self.texts.append(happening.text if isinstance(happening, Line) else "silence")

    def note(self, event: str, text: str) -> None:
        self.notes.append(event)

    def press(self, key: str) -> None:
        self.notes.append(key)

    def refresh(self, now_ms: int) -> None:
        pass


def session(
    ports: list[ScriptedPort | DeviceError],
    clock: FakeClock,
    goal: Goal,
    *,
    keys: Callable[[], bytes] = bytes,
    send: str = "",
    reconnect: bool = True,
    secrets: tuple[str, ...] = (),
) -> tuple[Session, Notebook, list[str]]:
    notebook = Notebook()
    log: list[str] = []

    def open_port() -> ScriptedPort:
        port = ports.pop(0)
        if isinstance(port, DeviceError):
            raise port
        return port

    wiring = Wiring(
        open_port, lambda: clock.now, clock.pause, keys, lambda: clock.now * 1_000_000, log.append
    )
    made = Session(
        wiring,
        notebook,
        Redactor(secrets),
        port_name="PORT",
        goal=goal,
        view_key="1",
        send=send,
        reconnect=reconnect,
    )
    return made, notebook, log


GOAL = Goal(count=2, records=("bms",), timeout_ms=60_000)


def test_a_port_that_returns_is_asked_for_the_view_again_but_starts_nothing_again() -> None:
    clock = FakeClock()
    gone = DeviceError("PORT: the port disappeared")
    first = ScriptedPort(clock, [BMS.encode() + b"\nhalf a li", gone])
    second = ScriptedPort(clock, [BMS.encode() + b"\n"])
    made, notebook, _ = session(
        [first, DeviceError("none"), DeviceError("none"), second], clock, GOAL, send="s"
    )
    made.run()
    assert first.sent == b"1s"
    assert second.sent == b"1"
    assert first.discarded_before == b""
    assert second.discarded_before is None
    assert notebook.texts == [BMS, "half a li", BMS]
    assert notebook.notes == ["connected", "disconnected", "connected"]
    assert first.closed
    assert second.closed


def test_a_port_that_disappears_ends_it_where_it_is_not_to_be_waited_for() -> None:
    clock = FakeClock()
    port = ScriptedPort(clock, [DeviceError("PORT: the port disappeared")])
    made, _, _ = session([port], clock, GOAL, reconnect=False)
    with pytest.raises(DeviceError, match="disappeared"):
        made.run()
    assert port.closed


def test_a_port_that_stays_away_is_an_error_when_time_is_up() -> None:
    clock = FakeClock()
    ports: list[ScriptedPort | DeviceError] = [ScriptedPort(clock, [DeviceError("gone")])]
    ports += [DeviceError(f"no serial port {attempt}") for attempt in range(1000)]
    made, _, _ = session(ports, clock, GOAL)
    with pytest.raises(DeviceError, match="no serial port"):
        made.run()
    assert 60_000 <= clock.now <= 61_000


def test_a_board_that_starts_anew_is_asked_for_the_view_again() -> None:
    clock = FakeClock()
    record = BMS.encode() + b"\n"
    port = ScriptedPort(clock, [record, BOOT.encode() + b"\n", record])
    made, notebook, _ = session([port], clock, GOAL)
    made.run()
    assert port.sent == b"11"
    assert notebook.texts == [BMS, BOOT, BMS]


def test_records_off_the_view_are_logged_and_not_shown() -> None:
    clock = FakeClock()
    other = "[output] v=71.95V"
    data = "\n".join([other, BMS, "[fan] on=1", BMS, ""]).encode()
    made, notebook, log = session([ScriptedPort(clock, [data])], clock, GOAL)
    made.run()
    assert notebook.texts == [BMS, "[fan] on=1", BMS]
    assert log == [other, BMS, "[fan] on=1", BMS]


def test_keys_go_to_the_board_and_q_ends() -> None:
    clock = FakeClock()
    pressed = [b"S\x1bx", b"3", b"q9"]
    port = ScriptedPort(clock, [])
    made, notebook, _ = session([port], clock, Goal(), keys=lambda: pressed.pop(0))
    made.run()
    assert port.sent == b"1s3"
    assert notebook.notes == ["connected", "s", "3"]


def test_secrets_are_masked_before_screen_and_log() -> None:
    clock = FakeClock()
    pieces: list[bytes | DeviceError] = [
        b"pass correct ho",
        b"rse battery!\n" + BMS.encode(),
        b"\n",
    ]
    made, notebook, log = session(
        [ScriptedPort(clock, pieces)],
        clock,
        Goal(count=1, records=("bms",)),
        secrets=("correct horse battery",),
    )
    made.run()
    assert notebook.texts == log == ["pass ****!", BMS]
