# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules of the power path that the mutation run found untested."""

from __future__ import annotations

from collections.abc import Callable

from controller_rig import COMMAND, FEEDBACK, OFF, QUESTION, Rig


def test_an_excess_ends_with_the_gate(rig: Rig) -> None:
    """What was above the setpoint for a moment is no fault of a module that is off since."""
    rig.energise()
    rig.terminal(80, 60)
    rig.do("tick", 100)
    rig.word(transaction=0)
    rig.run(900, rig.request, rig.temperature)
    assert rig.state["faults"] == "-"


def test_over_current_stays_while_the_current_is_above_what_was_exceeded(rig: Rig) -> None:
    rig.energise()
    rig.terminal(72, 40)
    rig.run(500)
    assert rig.state["faults"] == "over_current"
    rig.run(3200, rig.temperature)
    assert rig.state["plugged"] == "0"
    rig.terminal(72, 34.001)
    assert "over_current" in rig.state["faults"]
    rig.terminal(72, 34)
    assert "over_current" not in rig.state["faults"]


def test_remaining_capacity_is_two_bytes(rig: Rig) -> None:
    rig.boot()
    rig.request()
    rig.frame(0x160B8001, "FFFF4096")
    assert rig.state["soc_permille"] == "551"


def test_a_recovery_is_asked_for_again_after_exactly_five_seconds(rig: Rig) -> None:
    rig.boot()
    rig.do("bus 0 bus_off")
    rig.do("tick", 4999)
    assert rig.others == ["recover 0"]
    rig.do("tick", 1)
    assert rig.others == ["recover 0"] * 2


def test_one_of_two_buses_off_is_a_fault(rig: Rig) -> None:
    rig.boot("buses=2")
    rig.do("bus 1 bus_off")
    assert rig.state["faults"] == "bus_off"
    rig.do("bus 1 running")
    assert rig.state["faults"] == "-"


def test_the_hottest_temperature_that_is_one(rig: Rig) -> None:
    rig.boot()
    rig.temperature(2**31 - 1)
    assert (rig.state["temperature_mdegc"], rig.state["malformed"]) == (str(2**31 - 1), "0")
    rig.temperature(2**31)
    assert (rig.state["temperature_mdegc"], rig.state["malformed"]) == (str(2**31 - 1), "1")


def test_an_old_answer_is_no_new_disobedience(rig: Rig) -> None:
    """It said on shortly after off; what comes later is about something else."""
    rig.energise()
    rig.word(transaction=0)
    rig.do("tick", 1900)
    rig.reply(0x32, state=0)
    rig.do("tick", 500)
    terminal, output = lambda: rig.terminal(72, 0), lambda: rig.telemetry(0x82, 0)
    samples: tuple[Callable[[], object], ...] = (rig.temperature, terminal, output)
    for sample in samples:
        sample()
        assert rig.state["faults"] == "-"


def test_the_register_is_stored_after_exactly_a_minute(rig: Rig) -> None:
    rig.boot()
    rig.terminal(72, 30)
    rig.now_ms += 1000
    rig.terminal(72, 30)
    assert rig.state["energy_mwh"] == "600"
    rig.do("tick", 58999)
    assert rig.others == []
    rig.do("tick", 1)
    assert rig.others == ["store energy_mwh 600"]


def test_before_a_sample_is_told_the_register_is_stored_once_in_9_s(rig: Rig) -> None:
    rig.boot(energy_mwh=10)
    rig.do("report sample", 20_000)
    assert rig.others == [], "nothing has grown"
    rig.boot()
    rig.terminal()
    rig.now_ms += 1000
    rig.terminal()
    assert (rig.state["energy_mwh"], rig.state["stored_mwh"]) == ("600", "0")
    rig.do("report sample", 7999)
    assert rig.others == []
    assert rig.state["stored_mwh"] == "0", "what may be told"
    rig.do("report sample", 1)
    assert rig.others == ["store energy_mwh 600"]
    assert rig.state["stored_mwh"] == "600"
    rig.terminal()
    rig.now_ms += 1000
    rig.terminal()
    rig.do("report sample", 7999)
    assert rig.state["stored_mwh"] == "600"
    rig.do("report sample", 1)
    assert rig.state["stored_mwh"] == "1200"
    rig.terminal()
    rig.now_ms += 1000
    rig.terminal()
    rig.do("tick", 58_999)
    assert len(rig.others) == 2
    rig.do("tick", 1)
    assert rig.others[2:] == ["store energy_mwh 1800"], "a minute after it was last stored"


def test_before_a_start_or_an_end_is_told_the_register_is_stored_at_once(rig: Rig) -> None:
    rig.boot()
    rig.terminal()
    for growth in (1, 2):
        rig.now_ms += 1000
        rig.terminal()
        rig.do("report transaction")
        assert rig.state["stored_mwh"] == rig.state["energy_mwh"] == str(600 * growth)
        assert rig.others[-1] == f"store energy_mwh {600 * growth}"
        rig.do("report transaction")
        assert len(rig.others) == growth, "nothing has grown"


def test_at_once_is_in_the_millisecond_of_another_store(rig: Rig) -> None:
    rig.boot()
    rig.word(transaction=1)
    rig.terminal()
    rig.now_ms += 1000
    rig.word(transaction=0)
    rig.terminal()
    rig.do("report transaction")
    assert rig.others == ["store energy_mwh 0", "store energy_mwh 600"]


def test_a_report_lets_time_pass_like_any_input(rig: Rig) -> None:
    rig.energise()
    rig.now_ms += 3001
    sent = rig.do("report sample")
    assert sent[0].data == OFF
    assert rig.state["gate"] == "no_vehicle"


def test_a_voltage_alone_is_a_sample_of_energy(rig: Rig) -> None:
    rig.boot()
    rig.telemetry(0x84, 72 * 1024)
    rig.telemetry(0x82, 36 * 1024)
    rig.now_ms += 1000
    rig.telemetry(0x84, 72 * 1024)
    rig.now_ms += 2500
    rig.telemetry(0x82, 36 * 1024)
    assert rig.state["energy_mwh"] == "720"


def test_a_question_about_the_past_is_answered_for_the_present(rig: Rig) -> None:
    rig.boot()
    rig.request()
    rig.do("tick", 3001)
    rig.now_ms -= 3000
    rig.do("tick")
    assert (rig.state["plugged"], rig.state["requested_mv"]) == ("0", "-")


def test_what_a_silence_has_ended_is_told_before_what_a_bus_says(rig: Rig) -> None:
    rig.energise()
    already_told = len(rig.console)
    rig.do("bus 0 error_passive", 3001)
    assert rig.console[already_told:][:3] == [
        "[event] plug state=out",
        "[event] gate state=closed reason=no_vehicle",
        "[event] bus bus=0 state=error_passive",
    ]


def test_a_short_discharge_reply_is_malformed(rig: Rig) -> None:
    rig.boot("capacity_source=charged_minus_discharged")
    rig.frame(0x160D8001, "000000")
    assert rig.state["malformed"] == "1"


def test_periods_begin_with_the_start(rig: Rig) -> None:
    """Not with the clock's zero: a start at 50 ms is followed by 150 ms, not by 100 ms."""
    rig.now_ms = 50
    rig.boot()
    start_ms = rig.now_ms
    rig.run(220)
    for can_id in (COMMAND, QUESTION, FEEDBACK):
        later = [sent.at_ms - start_ms for sent in rig.since(start_ms, can_id)]
        assert later == [100, 200], can_id
