# SPDX-License-Identifier: GPL-3.0-or-later
"""Scripts of the monitor: what passes, what fails, and with which error."""

from __future__ import annotations

import random

import pytest
from fake_console import BOOT, RECORDS
from hypothesis import given, settings
from hypothesis import strategies as st
from script_bench import ScriptBench

from evtool.errors import CheckFailed, DeviceError, LinkTimeout

PANIC = "Guru Meditation Error: Core  1 panic'ed (LoadProhibited). Exception was unhandled."


def terminal(volts: str) -> str:
    return RECORDS["4"].replace("v=71.90V", f"v={volts}")


def test_send_and_expect_pass_in_order() -> None:
    bench = ScriptBench('send "s\\r\\n"\nexpect /start state=(?P<state>\\w+)/\nsend "${state}"')
    assert bench.sent == [("p", b"s\r\n")]
    bench.say("[event] start state=requested")
    assert bench.sent[1] == ("p", b"requested")
    assert bench.ended
    assert bench.error is None
    assert bench.summary.outcome == "passed"
    assert bench.summary.steps[1].captures == {"state": "requested"}
    assert bench.summary.steps[1].text == "[event] start state=requested"


def test_what_came_between_the_send_and_the_expect_counts() -> None:
    bench = ScriptBench('send "s"\nsleep 2s\nexpect /requested/ within 1s')
    bench.say("[event] start state=requested")
    bench.wait(2000)
    assert bench.ended
    assert bench.error is None


def test_what_came_before_the_send_is_no_answer() -> None:
    bench = ScriptBench('sleep 1s\nsend "s"\nexpect /requested/ within 1s')
    bench.say("[event] start state=requested")
    bench.wait(2001)
    assert isinstance(bench.error, CheckFailed)
    assert "try.evs:3" in bench.error.message


def test_no_text_is_taken_twice() -> None:
    bench = ScriptBench("expect /plug/\nexpect /plug/ within 1s")
    bench.say("[event] plug state=in")
    bench.wait(1000)
    assert bench.outcomes == ["passed", "failed"]
    bench = ScriptBench("expect /plug/\nexpect /plug/ within 1s")
    bench.say("[event] plug state=in", "[event] plug state=out")
    assert bench.outcomes == ["passed", "passed"]


def test_a_text_is_found_in_a_line_that_has_not_ended() -> None:
    bench = ScriptBench('expect "login: "\nsend "me\\n"\nexpect /^word/')
    bench.feed(b"login:")
    assert not bench.sent
    bench.feed(b" ")
    assert bench.sent == [("p", b"me\n")]
    # The rest of that line, and no more of it.
    bench.feed(b"word\n")
    assert bench.outcomes == ["passed"] * 3


def test_a_time_out_says_what_came_last() -> None:
    bench = ScriptBench("expect /never said/ within 500ms")
    bench.say("[event] plug state=in")
    bench.wait(499)
    assert not bench.ended
    bench.wait(1)
    assert isinstance(bench.error, CheckFailed)
    assert "within 0.5 s" in bench.error.message
    assert "plug state=in" in (bench.error.fix or "")


def test_a_board_that_says_nothing_is_not_a_board_that_fails() -> None:
    bench = ScriptBench("expect /x/ within 1s")
    bench.wait(1000)
    assert isinstance(bench.error, LinkTimeout)
    assert bench.outcomes == ["error"]


def test_a_lost_port_is_a_device_error_once_time_is_up() -> None:
    bench = ScriptBench("expect /x/ within 5s")
    bench.say("hello")
    bench.news("disconnected")
    bench.wait(4000)
    assert not bench.ended
    bench.wait(1000)
    assert type(bench.error) is DeviceError
    assert bench.outcomes == ["error"]


def test_a_port_that_returns_in_time_is_no_loss() -> None:
    bench = ScriptBench('expect /x/ within 5s\nsend "y"')
    bench.news("disconnected")
    bench.wait(3000)
    bench.news("connected")
    bench.say("x")
    assert bench.outcomes == ["passed", "passed"]


def test_a_send_waits_for_its_port() -> None:
    bench = ScriptBench('sleep 1s\nsend "y"')
    bench.news("disconnected")
    bench.wait(3000)
    assert not bench.sent
    bench.news("connected")
    bench.wait(300)
    assert bench.sent == [("p", b"y")]
    assert bench.summary.outcome == "passed"


def test_a_reset_needs_lines() -> None:
    bench = ScriptBench("reset\nexpect /boot/")
    assert bench.resets == ["p"]
    bench.say(BOOT)
    assert bench.summary.outcome == "passed"


def test_bytes_in_hex() -> None:
    assert ScriptBench("send-hex 00 ff0A").sent == [("p", b"\x00\xff\n")]


# --- panics -------------------------------------------------------------------


@pytest.mark.parametrize("script", ["expect /zzz/", "sleep 9s", "expect-not /zzz/ for 9s"])
def test_a_panic_fails_every_script(script: str) -> None:
    bench = ScriptBench(script)
    bench.say(PANIC, "Backtrace: 0x400d1f21:0x3ffb4f80")
    assert not bench.ended  # the rest of it is read
    bench.say("Rebooting...", "zzz")
    assert isinstance(bench.error, CheckFailed)
    assert "broke down: Guru" in bench.error.message
    bench = ScriptBench(script)
    bench.say(PANIC)
    bench.wait(2000)
    assert isinstance(bench.error, CheckFailed)


def test_a_watchdog_that_only_the_rom_reports_is_a_breakdown() -> None:
    bench = ScriptBench("sleep 9s")
    bench.say("rst:0x8 (TG1WDT_SYS_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)")
    bench.wait(2000)
    assert isinstance(bench.error, CheckFailed)
    bench = ScriptBench("sleep 9s")
    bench.say("rst:0x1 (POWERON_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)")
    assert not bench.ended


def test_a_brown_out_whose_reset_looks_like_a_wanted_one_is_a_breakdown() -> None:
    bench = ScriptBench("sleep 9s")
    bench.say("Brownout detector was triggered", "", "rst:0xc (SW_CPU_RESET),boot:0x13 (SPI)")
    assert isinstance(bench.error, CheckFailed)


def test_what_must_not_come_is_seen_before_the_text_behind_it() -> None:
    bench = ScriptBench('fail-on /worse/\nexpect "log in: "\nsend "me"')
    bench.feed(b"worse\r\nlog in: ")
    assert isinstance(bench.error, CheckFailed)
    assert bench.sent == []


@pytest.mark.parametrize("reset", ["panic", "watchdog", "brownout"])
def test_a_breakdown_that_only_the_next_start_tells_of_is_one(reset: str) -> None:
    bench = ScriptBench("sleep 9s")
    bench.say(BOOT.replace("power_on", reset))
    bench.wait(2000)
    assert isinstance(bench.error, CheckFailed)
    bench = ScriptBench(f"wait event boot reset={reset}\nsleep 1s")
    bench.say(BOOT.replace("power_on", reset))
    bench.wait(1000)
    assert bench.summary.outcome == "passed"


@pytest.mark.parametrize("reset", ["power_on", "software", "external"])
def test_a_start_that_somebody_wanted_is_no_breakdown(reset: str) -> None:
    bench = ScriptBench("sleep 9s")
    bench.say(BOOT.replace("power_on", reset))
    bench.wait(9000)
    assert bench.summary.outcome == "passed"


def test_the_start_behind_a_panic_that_was_told_is_no_second_one() -> None:
    bench = ScriptBench("expect-panic\nsleep 9s")
    bench.say(PANIC, "rst:0xc (SW_CPU_RESET),boot:0x13 (SPI)", BOOT.replace("power_on", "panic"))
    bench.wait(5000)
    assert not bench.ended
    bench.say(BOOT.replace("power_on", "panic"))
    bench.wait(2000)
    assert isinstance(bench.error, CheckFailed)


def test_a_panic_that_is_expected_is_one_panic() -> None:
    bench = ScriptBench('send "x"\nsleep 1s\nexpect-panic within 2s\nexpect /boot/\nsleep 1s')
    bench.say(PANIC, "Backtrace: 0x400d1f21:0x3ffb4f80", "Rebooting...")
    bench.wait(1000)
    bench.say("rst:0xc (SW_CPU_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)", BOOT)
    bench.wait(1000)
    assert bench.error is None
    assert bench.summary.outcome == "passed"
    bench = ScriptBench("expect-panic\nsleep 9s")
    bench.say(PANIC, "rst:0xc (SW_CPU_RESET),boot:0x13 (SPI)", PANIC)
    bench.wait(2000)
    assert isinstance(bench.error, CheckFailed)


def test_a_panic_that_does_not_come_is_a_failure() -> None:
    bench = ScriptBench("expect-panic within 1s")
    bench.say("all is well")
    bench.wait(1000)
    assert isinstance(bench.error, CheckFailed)


def test_an_expect_may_be_for_the_panics_own_line() -> None:
    bench = ScriptBench("expect /LoadProhibited/\nexpect /Backtrace/")
    bench.say(PANIC, "Backtrace: 0x400d1f21:0x3ffb4f80")
    assert bench.summary.outcome == "passed"


# --- records ------------------------------------------------------------------


def test_an_assertion_holds_for_a_time() -> None:
    bench = ScriptBench("terminal.v between 60 and 84 for 5s")
    for _ in range(6):
        bench.say(terminal("71.90V"))
        bench.wait(1000)
    assert bench.error is None
    assert bench.summary.outcome == "passed"
    assert bench.summary.duration_ms == 5000


@pytest.mark.parametrize(
    ("volts", "condition"),
    [
        ("84.01V", "between 60 and 84"),
        ("59.99V", "between 60V and 84000mV"),
        ("-", "between 60 and 84"),
        ("60.00V", "> 60"),
        ("60.00V", "!= 60.00"),
        ("60.00V", "not between 60 and 61"),
    ],
)
def test_an_assertion_fails_at_the_first_record_that_breaks_it(volts: str, condition: str) -> None:
    bench = ScriptBench(f"assert terminal.v {condition} for 5s")
    bench.say(terminal(volts))
    assert isinstance(bench.error, CheckFailed)
    assert "terminal.v is " in bench.error.message


@pytest.mark.parametrize(
    "condition",
    [
        "terminal.v = 71.9",
        "terminal.voltage_mv >= 71900",
        "terminal.status is charging",
        "terminal.status is not unknown",
        "terminal.p < 2.2kW",
        "terminal.energy is known",
    ],
)
def test_conditions_that_hold(condition: str) -> None:
    bench = ScriptBench(f"assert {condition}")
    bench.say(RECORDS["4"])
    assert bench.summary.outcome == "passed"


def test_values_that_nobody_saw_prove_nothing() -> None:
    bench = ScriptBench("assert terminal.v > 1 for 10s")
    bench.say(RECORDS["4"])
    bench.wait(3001)
    assert isinstance(bench.error, CheckFailed)
    assert "no record terminal" in bench.error.message
    bench = ScriptBench("assert terminal.v > 1 for 1s within 2s")
    bench.say("hello")
    bench.wait(2000)
    assert isinstance(bench.error, CheckFailed)


def test_wait_goes_on_until_the_condition_has_held() -> None:
    bench = ScriptBench("wait terminal.v > 70 for 2s within 20s")
    for volts in ("10.00V", "71.00V", "10.00V", "71.00V", "72.00V"):
        assert not bench.ended
        bench.say(terminal(volts))
        bench.wait(1000)
    assert bench.summary.outcome == "passed"
    assert bench.summary.duration_ms == 5000


def test_wait_for_records_and_events() -> None:
    bench = ScriptBench("wait event gate state=open\nwait bms within 2s")
    bench.say(RECORDS["1"], "[event] gate state=closed reason=x", "[event] gate state=open")
    assert not bench.ended
    bench.say(RECORDS["1"])
    assert bench.ended
    assert bench.error is None


# --- what must not come ---------------------------------------------------------


def test_expect_not_looks_back_and_takes_nothing() -> None:
    bench = ScriptBench('send "x"\nsleep 1s\nexpect-not /bad/ for 1s\nexpect /good/')
    bench.say("good")
    bench.wait(2000)
    assert bench.summary.outcome == "passed"
    bench = ScriptBench('send "x"\nsleep 1s\nexpect-not /bad/ for 1s')
    bench.say("bad")
    bench.wait(1000)
    assert isinstance(bench.error, CheckFailed)


def test_fail_on_holds_from_there_on_until_nothing() -> None:
    script = "sleep 1s\nfail-on /bad/\nfail-on /worse/\nsleep 1s\nfail-on nothing\nsleep 1s"
    for at_ms, fails in ((500, False), (1500, True), (2500, False)):
        bench = ScriptBench(script)
        bench.wait(at_ms)
        bench.say("worse")
        bench.wait(3000)
        assert isinstance(bench.error, CheckFailed) == fails


def test_the_whole_script_has_a_limit() -> None:
    bench = ScriptBench("sleep 2s\nsleep 2s", timeout_ms=3000)
    bench.say("x")
    bench.wait(3000)
    assert isinstance(bench.error, CheckFailed)
    assert bench.outcomes == ["passed", "failed"]


# --- texts, several ports, includes -----------------------------------------------


def test_variables_are_compared() -> None:
    script = 'set want "1a2b3c4d"\nexpect /build=(?P<got>\\w+)/\nassert "${got}" is "${want}"\n'
    script += 'assert "${got}" matches /^[0-9a-f]{8}$/\nexpect /${got}/ within 1s'
    bench = ScriptBench(script)
    bench.say(BOOT, "again 1a2b3c4d")
    assert bench.summary.outcome == "passed"
    bench = ScriptBench('set a "x"\nassert "${a}" is not "x"')
    assert isinstance(bench.error, CheckFailed)


def test_a_variable_in_an_expression_is_a_text() -> None:
    bench = ScriptBench('set a "a.c"\nexpect /${a}/ within 1s')
    bench.say("abc")
    bench.wait(1000)
    assert isinstance(bench.error, CheckFailed)


def test_several_ports_in_one_script() -> None:
    bench = ScriptBench('@a send "x"\nport b\nexpect /y/\n@a expect /z/', ("a", "b"))
    assert bench.sent == [("a", b"x")]
    bench.say("y", port="a")
    bench.say("z", port="a")
    assert not bench.ended
    bench.say("y", port="b")
    assert bench.summary.outcome == "passed"
    assert [step.port for step in bench.summary.steps] == ["a", "b", "a"]


def test_an_included_file_is_part_of_the_script() -> None:
    bench = ScriptBench('include "login.evs"\nsend "${name}"', login='set name "me"')
    assert bench.sent == [("p", b"me")]
    assert [step.where for step in bench.summary.steps] == ["login.evs:1", "try.evs:2"]


# --- the pieces in which bytes come make no difference ------------------------------

_SCRIPT = r"""
fail-on /worse/
expect "log in: "
send "me"
expect /a(?P<n>[0-9]+)/ within 2s
expect /é(?P<m>.*)$/
expect-not /bad/ for 1s
expect "n=${n}"
wait event plug within 2s
terminal.v between 60 and 84 for 2s
"""
_LINES = ["a12", "x a3 a4", "é", "é\x1b[1mfat\x1b[0m", "log in: a5 n=5", "log in:", "n=12", "bad"]
_LINES += ["worse", "[event] plug state=in", terminal("70.00V"), terminal("90.00V"), "n=n=3", ""]


@given(
    said=st.lists(
        st.tuples(st.integers(0, 1500), st.lists(st.sampled_from(_LINES), max_size=6)), max_size=8
    ),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=150, deadline=None)
def test_the_pieces_make_no_difference(said: list[tuple[int, list[str]]], seed: int) -> None:
    def play(chance: random.Random | None) -> tuple[object, ...]:
        bench = ScriptBench(_SCRIPT)
        for pause_ms, lines in said:
            bench.wait(pause_ms)
            data = "".join(line + "\r\n" for line in lines).encode()
            while data:
                end = len(data) if chance is None else chance.randint(1, min(9, len(data)))
                bench.feed(data[:end])
                data = data[end:]
        bench.wait(60_000)
        error = None if bench.error is None else (type(bench.error), bench.error.message)
        return bench.sent, error, bench.summary.steps

    assert play(None) == play(random.Random(seed))  # noqa: S311 - repeatable
