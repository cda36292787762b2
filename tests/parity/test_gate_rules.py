# SPDX-License-Identifier: GPL-3.0-or-later
"""What opens and closes the gate, and what the power module is told: docs/controller.md."""

from __future__ import annotations

from itertools import pairwise

import pytest
from controller_rig import (
    CAPACITY_QUERY,
    COMMAND,
    DISCHARGE_QUERY,
    FEEDBACK,
    OFF,
    ON,
    QUESTION,
    Rig,
)


def switches(rig: Rig, since_ms: int) -> list[tuple[int, bool]]:
    """When the switch was sent, and whether it was on."""
    sent = rig.since(since_ms, COMMAND)
    return [(frame.at_ms, frame.data == ON) for frame in sent if frame.data in (ON, OFF)]


def test_off_is_the_first_frame_of_all(rig: Rig) -> None:
    rig.do("boot")
    assert [(sent.can_id, sent.data) for sent in rig.sent] == [(COMMAND, OFF)]


def test_voltage_current_then_on(rig: Rig) -> None:
    rig.boot()
    rig.request()
    rig.temperature()
    sent = rig.word()
    assert [frame.data for frame in sent if frame.can_id == COMMAND] == [
        "0100000000012000",  # 72 V x 1024
        "0103000000000393",  # 30 A x 30.5
        ON,
    ]


def test_nothing_turns_on_without_a_transaction(rig: Rig) -> None:
    rig.boot()
    rig.run(8000, rig.request, rig.temperature, lambda: rig.word(transaction=0), rig.terminal)
    rig.run(8000, rig.request, rig.temperature, lambda: rig.word(permitted=0), rig.terminal)
    assert not any(on for _, on in switches(rig, -1))


@pytest.mark.parametrize(
    ("closes", "reason"),
    [
        (lambda rig: rig.request(control=1), "vehicle_switch_off"),
        (lambda rig: rig.request(control=255), "vehicle_switch_off"),
        (lambda rig: rig.request(volts=56.0), "request_out_of_range"),
        (lambda rig: rig.request(volts=85.5), "request_out_of_range"),
        (lambda rig: rig.request(amperes=0), "request_out_of_range"),
        (lambda rig: rig.request(amperes=300.1), "request_out_of_range"),
        (lambda rig: rig.temperature(70001), "fault"),
        (lambda rig: rig.word(permitted=0), "not_permitted"),
        (lambda rig: rig.word(transaction=0), "not_permitted"),
        (lambda rig: rig.word(limit=0), "limit_zero"),
        (lambda rig: rig.do("bus 0 bus_off"), "bus_down"),
        (lambda rig: rig.do("bus 0 error_passive"), "bus_down"),
        (lambda rig: rig.do("bus 0 stopped"), "bus_down"),
        (lambda rig: rig.do("bus 0 recovering"), "bus_down"),
        (lambda rig: rig.do("tick", 3001), "no_vehicle"),
    ],
)
def test_what_closes_the_gate_sends_off_first(rig: Rig, closes: object, reason: str) -> None:
    rig.energise()
    rig.run(50)
    assert callable(closes)
    sent = closes(rig)
    assert (sent[0].can_id, sent[0].data) == (COMMAND, OFF)
    assert rig.state["gate"] == reason
    assert rig.state["energised"] == "0"
    assert (rig.state["setpoint_mv"], rig.state["setpoint_ma"]) == ("0", "0")
    assert rig.events("gate")[-1] == f"state=closed reason={reason}"


@pytest.mark.parametrize(
    "keeps",
    [
        lambda rig: rig.request(volts=56.1),
        lambda rig: rig.request(volts=85.4),
        lambda rig: rig.request(amperes=0.1),
        lambda rig: rig.request(amperes=300),
        lambda rig: rig.request(mode=1),
        lambda rig: rig.temperature(70000),
        lambda rig: rig.word(limit=1),
        lambda rig: rig.word(connected=0),
        lambda rig: rig.do("tick", 3000),
    ],
)
def test_what_leaves_the_gate_open(rig: Rig, keeps: object) -> None:
    rig.energise()
    assert callable(keeps)
    keeps(rig)
    assert rig.state["gate"] == "open"


def test_range_comes_from_the_configuration(rig: Rig) -> None:
    rig.boot("request_min_mv=40000 request_max_mv=50000 request_max_ma=20000")
    rig.all_well()
    assert rig.state["in_range"] == "0"
    rig.request(volts=45, amperes=20)
    assert rig.state["gate"] == "open"


@pytest.mark.parametrize(("age_ms", "open_"), [(4999, True), (5000, False)])
def test_a_permission_is_younger_than_five_seconds(rig: Rig, age_ms: int, open_: bool) -> None:
    rig.energise()
    rig.do("tick", age_ms - 10)
    rig.request()
    rig.temperature()
    rig.do("tick", 10)
    assert (rig.state["permitted"] == "1") is open_
    assert rig.state["connected"] == rig.state["permitted"]
    if not open_:
        assert rig.state["gate"] == "permission_stale"


def test_module_silent(rig: Rig) -> None:
    rig.energise()
    rig.run(3000, rig.request, rig.word)
    assert rig.state["gate"] == "open"
    rig.run(20, rig.request, rig.word)
    assert rig.state["gate"] == "module_silent"
    assert rig.state["error"] == "PowerSwitchFailure"


def test_temperature_must_be_fresh_even_while_the_module_talks(rig: Rig) -> None:
    rig.energise()
    rig.run(3020, rig.request, rig.word, rig.terminal)
    assert rig.state["module_alive"] == "1"
    assert rig.state["gate"] == "temperature_unknown"


def test_a_voltage_makes_no_vehicle(rig: Rig) -> None:
    rig.energise()
    rig.run(4000, rig.terminal, rig.temperature, rig.word, lambda: rig.telemetry(0x84, 73728))
    assert rig.state["plugged"] == "0"
    assert rig.state["measured_mv"] == "72000"
    assert rig.events("plug") == ["state=in", "state=out"]


def test_the_heartbeat_opens_nothing(rig: Rig) -> None:
    rig.boot()
    rig.run(500, rig.request, rig.word, lambda: rig.frame(0x18FF50E5, "0000000008000000"))
    assert rig.state["module_alive"] == "0"


def test_a_silence_is_seen_even_if_a_frame_ends_it(rig: Rig) -> None:
    """49.7 days wrap a 32-bit clock: the request after them is not a continued one."""
    rig.energise()
    rig.now_ms += 2**32 + 10
    sent = rig.request()
    assert (sent[0].can_id, sent[0].data) == (COMMAND, OFF)
    assert rig.state["energised"] == "0"
    assert rig.events("plug") == ["state=in", "state=out", "state=in"]


def test_setpoints_are_the_least_of_request_maximum_and_limit(rig: Rig) -> None:
    rig.energise("max_voltage_mv=70000 max_current_ma=25000")
    assert (rig.state["setpoint_mv"], rig.state["setpoint_ma"]) == ("70000", "25000")
    rig.now_ms += 100
    rig.word(limit=16000)
    assert (rig.state["setpoint_ma"], rig.state["limit_ma"]) == ("16000", "16000")
    rig.now_ms += 100
    rig.request(volts=60, amperes=10)
    assert (rig.state["setpoint_mv"], rig.state["setpoint_ma"]) == ("60000", "10000")
    assert rig.state["offered_ma"] == "16000"


def test_changed_setpoints_go_out_within_500_ms(rig: Rig) -> None:
    rig.energise()
    for tenths in range(1, 40):
        rig.request(volts=72 + tenths / 10)
        at_ms = rig.now_ms
        rig.run(100, rig.temperature, rig.word)
        value = (72000 + tenths * 100) * 1024
        expected = f"01000000{(value + 500) // 1000:08X}"
        assert expected in [sent.data for sent in rig.since(at_ms - 1, COMMAND)]


def test_a_flood_of_changes_is_not_a_flood_of_commands(rig: Rig) -> None:
    rig.energise()
    before = len(rig.sent)
    for number in range(200):
        rig.now_ms += 1
        rig.request(volts=72 + number % 2)
    assert len(rig.sent) - before < 40


@pytest.mark.parametrize("tick_ms", [20, 99, 200, 499, 500])
def test_the_switch_is_repeated_every_500_ms_on_and_off(rig: Rig, tick_ms: int) -> None:
    rig.energise()
    start_ms = rig.now_ms
    for _ in range(4000 // tick_ms):
        rig.all_well()
        rig.do("tick", tick_ms)
    times = [start_ms, *(at_ms for at_ms, on in switches(rig, start_ms) if on)]
    assert all(b - a <= 500 + tick_ms for a, b in pairwise(times))
    assert rig.now_ms - times[-1] <= 500 + tick_ms
    rig.word(transaction=0)
    start_ms = rig.now_ms
    for _ in range(4000 // tick_ms):
        rig.do("tick", tick_ms)
    sent = switches(rig, start_ms)
    assert not any(on for _, on in sent)
    times = [start_ms, *(at_ms for at_ms, _ in sent)]
    assert all(b - a <= 500 + tick_ms for a, b in pairwise(times))


def test_off_is_repeated_even_while_the_bus_is_down(rig: Rig) -> None:
    rig.energise()
    rig.do("bus 0 bus_off")
    start_ms = rig.now_ms
    rig.run(3000)
    sent = [frame for frame in rig.sent if frame.at_ms > start_ms]
    assert {frame.data for frame in sent} == {OFF}
    assert [frame.at_ms - start_ms for frame in sent] == [500, 1000, 1500, 2000, 2500, 3000]


def test_polling_one_function_in_turn(rig: Rig) -> None:
    rig.energise()
    start_ms = rig.now_ms
    rig.run(2000, rig.all_well)
    questions = [sent.data[2:4] for sent in rig.since(start_ms, QUESTION)]
    assert len(questions) == 20
    first = questions.index("84")
    assert questions[first : first + 10] == ["84", "82", "80", "79", "83"] * 2
    commands = [sent.data[2:4] for sent in rig.since(start_ms, COMMAND)]
    assert len(commands) == 20
    first = commands.index("32")
    assert commands[first : first + 9] == ["32", "00", "03"] * 3
    assert all(sent.data.startswith("01") for sent in rig.since(start_ms, QUESTION))


def test_periods_of_feedback_and_capacity_query(rig: Rig) -> None:
    rig.boot()
    start_ms = rig.now_ms
    rig.run(10000)
    assert len(rig.since(start_ms, FEEDBACK)) == 100
    assert len(rig.since(start_ms, CAPACITY_QUERY)) == 5
    assert rig.since(start_ms, DISCHARGE_QUERY) == []


def test_newer_packs_are_asked_for_what_they_discharged(rig: Rig) -> None:
    rig.boot("capacity_source=charged_minus_discharged")
    start_ms = rig.now_ms
    rig.run(4000)
    assert len(rig.since(start_ms, DISCHARGE_QUERY)) == 2


@pytest.mark.parametrize("gap_ms", [1000, 10**6, 2**32, 10**12])
def test_a_long_gap_is_not_made_up_for(rig: Rig, gap_ms: int) -> None:
    rig.energise()
    assert len(rig.do("tick", gap_ms)) <= 9
    assert len(rig.do("tick", 1)) == 0


def test_time_that_goes_back_stands_still(rig: Rig) -> None:
    rig.energise()
    rig.now_ms += 1000
    rig.all_well()
    rig.now_ms -= 900
    rig.do("tick")
    assert rig.state["gate"] == "open"
    rig.now_ms += 900
    rig.do("tick", 3001)
    assert rig.state["gate"] == "no_vehicle"


def test_two_buses(rig: Rig) -> None:
    rig.boot("buses=2")
    rig.request(bus=0)
    assert rig.state["plugged"] == "0"
    rig.request(bus=1)
    rig.temperature()
    rig.word()
    assert rig.state["gate"] == "open"
    start_ms = rig.now_ms
    rig.run(2500, lambda: rig.request(bus=1), rig.temperature, rig.word)
    sent = [frame for frame in rig.sent if frame.at_ms > start_ms]
    assert {frame.can_id for frame in sent if frame.bus == 1} == {FEEDBACK, CAPACITY_QUERY}
    assert {frame.can_id for frame in sent if frame.bus == 0} == {COMMAND, QUESTION}
    rig.do("bus 1 stopped")
    assert rig.state["gate"] == "bus_down"


def test_with_one_bus_the_other_does_not_exist(rig: Rig) -> None:
    rig.energise()
    rig.do("bus 1 bus_off")
    rig.request(control=1, bus=1)
    assert rig.state["gate"] == "open"
    assert rig.state["bus1"] == "stopped"


def test_after_a_recovery_off_comes_first_and_the_gate_opens_anew(rig: Rig) -> None:
    rig.energise()
    rig.do("bus 0 bus_off")
    rig.do("tick", 20)
    sent = rig.do("bus 0 running", 20)
    data = [frame.data for frame in sent if frame.can_id == COMMAND]
    assert data[0] == OFF
    assert data[1:4] == ["0100000000012000", "0103000000000393", ON]


def test_recovery_at_most_once_in_five_seconds(rig: Rig) -> None:
    rig.boot()
    rig.do("bus 0 bus_off")
    assert rig.others == ["recover 0"]
    rig.run(4980)
    rig.do("bus 0 running")
    rig.do("bus 0 bus_off")
    assert rig.others == ["recover 0"]
    rig.run(20)
    assert rig.others == ["recover 0"] * 2
    rig.do("bus 0 recovering")
    rig.run(4980)
    assert rig.others == ["recover 0"] * 2
    rig.run(40)
    assert rig.others == ["recover 0"] * 3
    rig.do("bus 0 error_passive")
    rig.run(20000)
    assert rig.others == ["recover 0"] * 3


def test_a_driver_has_five_seconds_to_start(rig: Rig) -> None:
    rig.do("boot")
    rig.run(4980)
    assert rig.others == []
    rig.run(40)
    assert rig.others == ["recover 0"]
