# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults, their timers, latches and codes; frames that are not believed; the feedback."""

from __future__ import annotations

import struct

import pytest
from controller_rig import FEEDBACK, Rig


def flags(rig: Rig) -> int:
    return int(rig.state["flags"], 16)


def test_over_temperature_clears_at_sixty(rig: Rig) -> None:
    rig.energise()
    rig.temperature(70001)
    assert rig.state["faults"] == "over_temperature"
    assert rig.state["error"] == "HighTemperature"
    assert flags(rig) == 0x02
    rig.temperature(60001)
    assert rig.state["gate"] == "fault"
    rig.temperature(60000)
    assert (rig.state["faults"], rig.state["gate"]) == ("-", "open")
    assert rig.events("fault") == [
        "name=over_temperature state=set",
        "name=over_temperature state=cleared",
    ]


def test_over_temperature_does_not_clear_by_silence(rig: Rig) -> None:
    rig.energise()
    rig.temperature(70001)
    rig.run(4000, rig.request, rig.word, lambda: rig.terminal(72, 0))
    assert rig.state["temperature_mdegc"] == "-"
    assert rig.state["faults"] == "over_temperature"


@pytest.mark.parametrize(
    ("volts", "after_ms", "fault"),
    [(74.0, 10000, "-"), (74.001, 199, "-"), (74.001, 200, "over_voltage")],
)
def test_over_voltage_is_two_volts_for_200_ms(
    rig: Rig, volts: float, after_ms: int, fault: str
) -> None:
    rig.energise()
    rig.run(1000, rig.all_well, lambda: rig.terminal(72, 30))
    rig.terminal(volts, 30)
    while after_ms > 0:
        rig.do("tick", min(after_ms, 100))
        after_ms -= 100
        if after_ms > 0 and volts == 74.0:
            rig.all_well()
            rig.terminal(volts, 30)
    assert rig.state["faults"] == fault


@pytest.mark.parametrize(
    ("amperes", "after_ms", "fault"),
    [(34.0, 10000, "-"), (34.001, 499, "-"), (34.001, 500, "over_current")],
)
def test_over_current_is_a_tenth_and_one_ampere_for_500_ms(
    rig: Rig, amperes: float, after_ms: int, fault: str
) -> None:
    rig.energise()
    rig.terminal(72, amperes)
    for _ in range(after_ms // 100):
        rig.do("tick", 100)
        rig.all_well()
        rig.terminal(72, amperes)
    rig.do("tick", after_ms % 100)
    assert rig.state["faults"] == fault


def test_a_good_sample_ends_an_excess(rig: Rig) -> None:
    rig.energise()
    for _ in range(20):
        rig.terminal(80, 60)
        rig.do("tick", 150)
        rig.all_well()
        rig.terminal(72, 30)
        rig.do("tick", 20)
    assert rig.state["faults"] == "-"


def test_a_stale_measurement_sets_no_fault(rig: Rig) -> None:
    rig.energise()
    rig.terminal(80, 60)
    rig.do("tick", 3001)
    assert rig.state["faults"] == "-"


def test_a_lowered_setpoint_does_not_condemn_older_samples(rig: Rig) -> None:
    rig.energise()
    rig.run(1000, rig.all_well, lambda: rig.terminal(72, 30))
    lowered = (lambda: rig.request(volts=60), lambda: rig.word(limit=6000), rig.temperature)
    rig.run(1000, *lowered)
    assert (rig.state["setpoint_mv"], rig.state["measured_mv"]) == ("60000", "72000")
    assert rig.state["faults"] == "-"
    rig.terminal(72, 6)
    rig.run(180, *lowered)
    assert rig.state["faults"] == "-"
    rig.run(20, *lowered)
    assert rig.state["faults"] == "over_voltage"


def unplug(rig: Rig, *keep: object) -> None:
    happenings = [happens for happens in keep if callable(happens)]
    rig.run(3200, rig.temperature, lambda: rig.word(transaction=0), *happenings)
    assert rig.state["plugged"] == "0"


def test_over_voltage_stays_until_unplugged_and_gone(rig: Rig) -> None:
    rig.energise()
    rig.terminal(80, 1)
    rig.run(200)
    assert rig.state["error"] == "OverVoltage"
    assert flags(rig) == 0x01
    rig.run(2000, rig.all_well, lambda: rig.terminal(72, 0))
    assert rig.state["gate"] == "fault"
    unplug(rig, lambda: rig.terminal(80, 0))
    assert rig.state["faults"] == "over_voltage"
    rig.do("tick", 3001)
    assert rig.state["measured_mv"] == "-"
    assert rig.state["faults"] == "over_voltage"
    rig.terminal(74, 0)
    assert rig.state["faults"] == "-"


def test_over_current_stays_until_unplugged_and_gone(rig: Rig) -> None:
    rig.energise()
    rig.terminal(72, 40)
    rig.run(500)
    assert rig.state["error"] == "OverCurrentFailure"
    rig.run(500, rig.all_well, lambda: rig.terminal(72, 0))
    assert rig.state["faults"] == "over_current"
    unplug(rig, lambda: rig.terminal(72, 34))
    assert "over_current" not in rig.state["faults"]


@pytest.mark.parametrize(
    ("after_ms", "amperes", "fault"),
    [
        (1999, 30, "-"),
        (2000, 1, "-"),
        (2000, 1.001, "module_disobeys"),
        (2000, -1.001, "module_disobeys"),
    ],
)
def test_current_after_off(rig: Rig, after_ms: int, amperes: float, fault: str) -> None:
    rig.energise()
    rig.word(transaction=0)
    rig.do("tick", after_ms)
    rig.terminal(72, amperes)
    assert rig.state["faults"] == fault


@pytest.mark.parametrize(
    ("after_ms", "state", "fault"), [(1999, 0, "-"), (2000, 0, "module_disobeys"), (2000, 1, "-")]
)
def test_reports_on_after_off(rig: Rig, after_ms: int, state: int, fault: str) -> None:
    rig.energise()
    rig.word(transaction=0)
    rig.do("tick", after_ms)
    rig.reply(0x32, state=state)
    assert rig.state["faults"] == fault
    assert rig.state["module"] == ("off" if state else "on")


def test_a_sample_from_before_off_condemns_nobody(rig: Rig) -> None:
    rig.energise()
    rig.terminal(72, 30)
    rig.reply(0x32, state=0)
    rig.word(transaction=0)
    rig.run(2500)
    rig.reply(0x00, value=0)
    assert rig.state["faults"] == "-"


def test_disobedience_ends_unplugged_and_off(rig: Rig) -> None:
    rig.energise()
    rig.word(transaction=0)
    rig.do("tick", 2000)
    rig.reply(0x32, state=0)
    assert rig.state["error"] == "PowerSwitchFailure"
    rig.run(1000, rig.all_well, lambda: rig.reply(0x32, 1), lambda: rig.terminal(72, 0))
    assert rig.state["gate"] == "fault"
    unplug(rig)
    assert rig.state["faults"] == "module_disobeys"
    rig.terminal(72, -1)
    assert rig.state["faults"] == "module_disobeys"
    rig.reply(0x32, state=1)
    assert rig.state["faults"] == "-"


def test_time_to_obey_counts_from_the_return_of_the_bus(rig: Rig) -> None:
    rig.energise()
    rig.do("bus 0 bus_off")
    rig.do("tick", 10000)
    rig.do("bus 0 running")
    rig.reply(0x32, state=0)
    assert rig.state["faults"] == "-"


def test_bus_off(rig: Rig) -> None:
    rig.energise()
    rig.do("bus 0 bus_off")
    assert (rig.state["faults"], rig.state["error"]) == ("bus_off", "InternalError")
    assert flags(rig) == 0x01
    assert rig.state["transaction"] == "1"
    assert rig.state["evse_ready"] == "0"
    rig.do("bus 0 recovering")
    rig.do("bus 0 stopped")
    rig.do("bus 0 error_passive")
    assert rig.state["faults"] == "bus_off"
    rig.do("bus 0 running")
    assert rig.state["faults"] == "-"


def test_error_codes_without_a_fault(rig: Rig) -> None:
    rig.boot()
    rig.do("tick", 3000)
    assert rig.state["error"] == "NoError"
    rig.do("tick", 1)
    assert rig.state["error"] == "PowerSwitchFailure"
    rig.all_well()
    assert rig.state["error"] == "NoError"
    rig.run(3200, rig.temperature)
    assert rig.state["error"] == "EVCommunicationError"
    rig.word(transaction=0)
    assert rig.state["error"] == "NoError"


@pytest.mark.parametrize(
    "frame",
    [
        *("1806E5F4 x d 5 02D0012C00", "1806E5F4 x d 0 -", "160B8001 x d 3 000040"),
        *("0681817E x d 7 01320000000000", "0681827E x d 7 01800000000000"),
        *("00433F01 x d 7 42900000420000", "00473F01 x d 7 00000000000003"),
        *("18FF50E5 x d 7 00000000080000", "0681817E x d 8 0104000000000000"),
        *("0681817E x d 8 0132000200000000", "0681827E x d 8 0181000000000000"),
        *("0681827E x d 8 0180000080000000", "0681827E x d 8 018300007FC00000"),
        *("00433F01 x d 8 7FC0000041F00000", "00433F01 x d 8 42900000FF800000"),
        *("00433F01 x d 8 4F00000041F00000", "00433F01 x d 8 429000004F000000"),
    ],
)
def test_malformed_frames_count_as_not_received(rig: Rig, frame: str) -> None:
    rig.boot()
    rig.do(f"can 0 {frame}")
    assert rig.state["malformed"] == "1"
    for name in ("plugged", "module_alive"):
        assert rig.state[name] == "0"
    for name in ("temperature_mdegc", "measured_mv", "soc_permille", "module"):
        assert rig.state[name] == "-"


@pytest.mark.parametrize(
    "frame",
    [
        *("1806E5F4 x r 8 -", "1806E5F4 x r 0 -", "000005F4 s d 8 02D0012C00000000"),
        *("0006E5F4 x d 8 02D0012C00000000", "1806E5F5 x d 8 02D0012C00000000"),
        *("0806E5F4 x d 8 02D0012C00000000", "160D8001 x d 1 00", "0681827E x r 8 -"),
        *("068182FE x d 8 0180000000000100", "068181FE x d 8 0132000000000000"),
    ],
)
def test_foreign_frames_are_ignored(rig: Rig, frame: str) -> None:
    rig.boot()
    before = {**rig.state}
    rig.do(f"can 0 {frame}")
    assert rig.state == before


def test_what_lies_behind_the_dlc_does_not_count(rig: Rig) -> None:
    rig.boot()
    rig.frame(0x1806E5F4, "02D0012C0000")
    assert (rig.state["ev_ready"], rig.state["requested_mv"]) == ("1", "72000")
    rig.frame(0x160B8001, "00004096")
    assert rig.state["soc_permille"] == "551"


def test_state_of_charge_of_newer_packs(rig: Rig) -> None:
    rig.boot("capacity_source=charged_minus_discharged battery_capacity_mah=60000")
    rig.request()
    rig.frame(0x160B8001, f"{5_000_000:08x}00000000")
    assert rig.state["soc_permille"] == "-"
    rig.frame(0x160D8001, f"{4_970_000:08x}00000000")
    assert rig.state["soc_permille"] == "500"
    rig.run(10000, rig.request, lambda: rig.frame(0x160B8001, f"{5_000_000:08x}"))
    assert rig.state["soc_permille"] == "500"
    rig.do("tick", 1)
    assert rig.state["soc_permille"] == "-"
    rig.frame(0x160D8001, f"{4_970_000:08x}")
    assert rig.state["soc_permille"] == "500"


def test_state_of_charge_leaves_with_the_vehicle(rig: Rig) -> None:
    rig.boot()
    rig.request()
    rig.frame(0x160B8001, "00004096")
    rig.do("tick", 3001)
    rig.request()
    assert rig.state["soc_permille"] == "-"


@pytest.mark.parametrize(
    ("scale", "raw", "milliamperes"),
    [("1/1024", 30515, "29800"), ("1/10", 298, "29800"), ("1/1024", 0xFFFF0400, "1000")],
)
def test_scale_of_the_output_current(rig: Rig, scale: str, raw: int, milliamperes: str) -> None:
    rig.boot(f"module_current_scale={scale}")
    rig.telemetry(0x82, raw)
    assert rig.state["measured_ma"] == milliamperes


@pytest.mark.parametrize(
    ("scale", "raw", "milli"),
    [
        ("milli", 41200, "41200"),
        ("milli", 70001, "70001"),
        ("deci", 412, "41200"),
        ("deci", 0xFFFF019C, "41200"),
    ],
)
def test_scale_of_the_temperature(rig: Rig, scale: str, raw: int, milli: str) -> None:
    rig.boot(f"module_temperature_scale={scale}")
    rig.temperature(raw)
    assert rig.state["temperature_mdegc"] == milli


def test_measured_falls_back_to_the_output_and_then_to_nothing(rig: Rig) -> None:
    rig.boot()
    rig.telemetry(0x84, 71 * 1024)
    rig.telemetry(0x82, 20 * 1024)
    rig.terminal(72, 30)
    assert (rig.state["measured_mv"], rig.state["measured_ma"]) == ("72000", "30000")
    assert rig.state["power_mw"] == "2160000"
    rig.do("tick", 3000)
    rig.telemetry(0x84, 71 * 1024)
    rig.do("tick", 1)
    assert (rig.state["measured_mv"], rig.state["measured_ma"]) == ("71000", "-")
    assert rig.state["power_mw"] == "-"


def test_feedback_tells_what_is_measured(rig: Rig) -> None:
    rig.energise()
    rig.terminal(71.95, 29.8)
    start_ms = rig.now_ms
    rig.run(120)
    assert rig.since(start_ms, FEEDBACK)[-1].data == "02D0012A00000000"  # 72.0 V, 29.8 A
    rig.terminal(-3, 9000)
    start_ms = rig.now_ms
    rig.run(120)
    assert rig.since(start_ms, FEEDBACK)[-1].data.startswith("0000FFFF")
    start_ms = rig.now_ms
    rig.run(3100, rig.request)
    assert rig.since(start_ms, FEEDBACK)[-1].data.startswith("00000000")


def test_feedback_flags_of_plug_and_silence(rig: Rig) -> None:
    rig.boot()
    assert flags(rig) == 0x18
    rig.request()
    assert flags(rig) == 0
    rig.do("tick", 3001)
    assert flags(rig) == 0x08
    rig.do("tick", 1998)
    assert flags(rig) == 0x08
    rig.do("tick", 1)
    assert flags(rig) == 0x18


def test_floats_are_big_endian(rig: Rig) -> None:
    rig.boot()
    rig.frame(0x00433F01, struct.pack(">ff", 72.5, 1.25).hex())
    assert (rig.state["measured_mv"], rig.state["measured_ma"]) == ("72500", "1250")
