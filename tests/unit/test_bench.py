# SPDX-License-Identifier: GPL-3.0-or-later
"""The vehicle and the power module: what they say, and how current flows between them."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evtool.protocol.can_frame import CanFrame
from evtool.protocol.can_tables import (
    RECEIVED_IDS,
    CapacityQuery,
    ControlRequest,
    DischargeQuery,
    TelemetryRequest,
)
from evtool.virtual.bench import Bench
from evtool.virtual.power_module import PowerModule, PowerModuleSettings
from evtool.virtual.vehicle import Pack, Vehicle, VehicleSettings

REQUEST, CAPACITY, DISCHARGE = 0x1806E5F4, 0x160B8001, 0x160D8001
CONTROL_REPLY, TELEMETRY_REPLY = 0x0681817E, 0x0681827E
TERMINAL_POWER, TERMINAL_STATUS, HEARTBEAT = 0x00433F01, 0x00473F01, 0x18FF50E5


def bench(soc_permille: int = 550, *, pack: Pack = Pack.REMAINING) -> Bench:
    vehicle = Vehicle(VehicleSettings(pack=pack), soc_permille)
    return Bench(vehicle, PowerModule(), bms_bus=0, now_ms=0)


def control(function: int, value: int = 0, state: int = 0) -> CanFrame:
    return CanFrame(ControlRequest.ID, struct.pack(">BBBBI", 1, function, 0, state, value))


def telemetry(function: int) -> CanFrame:
    return CanFrame(TelemetryRequest.ID, bytes([1, function, 0, 0, 0, 0, 0, 0]))


def answer(the_bench: Bench, frame: CanFrame, now_ms: int) -> bytes:
    [(bus, reply)] = the_bench.on_frame(0, frame, now_ms)
    assert bus == 0
    assert reply.extended
    return reply.data


def switch_on(the_bench: Bench, now_ms: int, volts: int = 84, amperes: int = 30) -> None:
    the_bench.on_frame(0, control(0x00, volts * 1024), now_ms)
    the_bench.on_frame(0, control(0x03, round(amperes * 30.5)), now_ms)
    assert answer(the_bench, control(0x32, state=0), now_ms)[3] == 0


def test_the_request_has_the_documented_bytes_and_period() -> None:
    the_bench = bench()
    assert REQUEST not in [frame.can_id for _, frame in the_bench.tick(0)], "unplugged is silent"
    the_bench.command("plug_in")
    sent = [
        (now, frame.data.hex())
        for now in range(0, 3000, 20)
        for _, frame in the_bench.tick(now)
        if frame.can_id == REQUEST
    ]
    assert sent == [(now, "0348012c00000000") for now in (0, 1000, 2000)]


def test_the_switch_and_a_full_battery_forbid_charging() -> None:
    the_bench = bench()
    the_bench.command("plug_in")
    the_bench.command("switch off")
    assert the_bench.tick(0)[-1][1].data[4] != 0
    full = bench(1000)
    full.command("plug_in")
    assert full.tick(0)[-1][1].data[4] != 0


def test_both_packs_tell_the_same_charge() -> None:
    query, discharge = CanFrame(CapacityQuery.ID, bytes(8)), CanFrame(DischargeQuery.ID, bytes(8))
    old, new = bench(500), bench(500, pack=Pack.CHARGED_MINUS_DISCHARGED)
    for the_bench in (old, new):
        assert the_bench.on_frame(0, query, 0) == [], "unplugged, no BMS is on the bus"
        the_bench.command("plug_in")
    assert int.from_bytes(answer(old, query, 0)[2:4]) == 15_000
    assert old.on_frame(0, discharge, 0) == []
    charged = int.from_bytes(answer(new, query, 0)[:4])
    assert charged - int.from_bytes(answer(new, discharge, 0)[:4]) == 15_000


def test_the_module_answers_each_function_as_documented() -> None:
    the_bench = bench()
    the_bench.command("plug_in")
    assert answer(the_bench, control(0x00, 84 * 1024), 0).hex() == "0000000000015000"
    assert answer(the_bench, control(0x03, 915), 0).hex() == "0003000000000393"
    assert answer(the_bench, control(0x32, state=1), 0).hex() == "0032000100000000"
    volts = int.from_bytes(answer(the_bench, telemetry(0x84), 1000)[4:]) / 1024
    assert volts == pytest.approx(72.1, abs=0.01), "off, the terminals show the battery"
    assert answer(the_bench, telemetry(0x80), 1000).hex() == "00800000000061a8"
    assert answer(the_bench, telemetry(0x82), 1000)[6:] == bytes(2)
    assert the_bench.on_frame(0, telemetry(0x55), 1000) == []
    assert the_bench.on_frame(0, control(0x55), 1000) == []


def test_current_ramps_flows_and_charges() -> None:
    the_bench = bench()
    the_bench.command("plug_in")
    switch_on(the_bench, 0)
    currents = []
    for now in range(0, 3000, 100):
        the_bench.tick(now)
        currents.append(the_bench.module.output_ma)
    assert currents == sorted(currents)
    assert 0 < currents[3] < 29_000, "it rises in steps"
    assert currents[-1] == 30_000
    power = next(f for _, f in the_bench.tick(10_000) if f.can_id == TERMINAL_POWER)
    volts, amperes = struct.unpack(">ff", power.data)
    assert amperes == pytest.approx(30)
    assert volts == pytest.approx(72.1 + 30 * 0.05, abs=0.1)
    the_bench.tick(3_600_000)
    # 30 A for an hour into 30 Ah from 55 %: full, and then no current is left to take
    assert the_bench.vehicle.soc_permille == 1000


def test_the_current_falls_at_the_set_voltage() -> None:
    the_bench = bench()
    the_bench.command("plug_in")
    switch_on(the_bench, 0, volts=73)
    the_bench.tick(5_000)
    assert the_bench.module.output_mv <= 73_000
    assert the_bench.module.output_ma == pytest.approx(18_000, abs=500), "(73.0 - 72.1) V / 50 mOhm"


def test_the_request_tapers() -> None:
    requested = [Vehicle(soc_permille=soc).requested_ma for soc in (0, 900, 950, 990, 1000)]
    assert requested == [30_000, 30_000, 15_750, 4_350, 1_500]


def test_capacitors_hold_the_voltage_for_a_minute_after_the_plug_is_out() -> None:
    the_bench = bench()
    the_bench.command("plug_in")
    switch_on(the_bench, 0)
    the_bench.tick(5_000)
    the_bench.on_frame(0, control(0x32, state=1), 5_000)
    the_bench.command("plug_out")
    the_bench.tick(65_000)
    assert the_bench.module.output_ma == 0
    assert 56_000 < the_bench.module.output_mv < 73_000
    the_bench.tick(600_000)
    assert the_bench.module.output_mv < 56_000


def test_off_stops_the_current_at_once_unless_the_module_disobeys() -> None:
    the_bench = bench()
    the_bench.command("plug_in")
    switch_on(the_bench, 0)
    the_bench.tick(5_000)
    the_bench.command("module disobey")
    assert answer(the_bench, control(0x32, state=1), 5_000)[3] == 0, "it reports on"
    the_bench.tick(6_000)
    assert the_bench.module.output_ma == 30_000
    the_bench.command("module normal")
    assert answer(the_bench, control(0x32, state=1), 6_000)[3] == 1
    the_bench.tick(6_100)
    assert the_bench.module.output_ma == 0


def test_a_hot_module_passes_70_degrees_and_cools_below_60() -> None:
    the_bench = bench()
    the_bench.command("module hot")
    the_bench.tick(30_000)
    assert int.from_bytes(answer(the_bench, telemetry(0x80), 30_000)[4:]) > 70_000
    the_bench.command("module normal")
    the_bench.tick(60_000)
    assert int.from_bytes(answer(the_bench, telemetry(0x80), 60_000)[4:]) < 60_000


def test_silence() -> None:
    the_bench = bench()
    the_bench.command("plug_in")
    the_bench.command("bms silent")
    the_bench.command("module silent")
    assert the_bench.tick(0) == the_bench.tick(10_000) == []
    assert the_bench.on_frame(0, telemetry(0x84), 10_000) == []
    the_bench.command("bms normal")
    the_bench.command("module normal")
    spoken = {frame.can_id for _, frame in the_bench.tick(10_000)}
    assert spoken == {REQUEST, TERMINAL_POWER, TERMINAL_STATUS, HEARTBEAT}


def test_two_buses() -> None:
    the_bench = Bench(Vehicle(), PowerModule(), bms_bus=1, now_ms=0)
    the_bench.command("plug_in")
    assert {(bus, frame.can_id == REQUEST) for bus, frame in the_bench.tick(0)} == {
        (0, False),
        (1, True),
    }
    assert the_bench.on_frame(1, telemetry(0x84), 0) == []
    assert the_bench.on_frame(0, CanFrame(CapacityQuery.ID, bytes(8)), 0) == []


@pytest.mark.parametrize("line", ["", "plug", "switch", "switch maybe", "module broken", "quit"])
def test_other_words_are_refused(line: str) -> None:
    assert not bench().command(line)


@pytest.mark.parametrize(
    ("scales", "function", "expected"),
    [
        (PowerModuleSettings(current_scale="1/10"), 0x82, 300),
        (PowerModuleSettings(), 0x82, 30 * 1024),
        (PowerModuleSettings(temperature_scale="deci"), 0x80, 250),
    ],
)
def test_scales(scales: PowerModuleSettings, function: int, expected: int) -> None:
    module = PowerModule(scales)
    module.output_ma = 30_000
    [reply] = module.on_frame(telemetry(function))
    assert int.from_bytes(reply.data[6:]) == expected


extended = st.builds(
    CanFrame,
    st.sampled_from([ControlRequest.ID, TelemetryRequest.ID, CapacityQuery.ID, DischargeQuery.ID])
    | st.integers(0, 0x1FFFFFFF),
    st.binary(max_size=8),
)
standard = st.builds(CanFrame, st.integers(0, 0x7FF), st.binary(max_size=8), st.just(False))
orders = st.sampled_from(
    "plug_in,plug_out,switch on,switch off,bms silent,bms normal,"
    "module hot,module silent,module normal,module disobey".split(",")
)


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 100_000_000), extended | standard | orders), max_size=20),
    st.sampled_from(Pack),
)
def test_nothing_on_the_bus_raises(events: list[tuple[int, CanFrame | str]], pack: Pack) -> None:
    the_bench = bench(pack=pack)
    now = 0
    for elapsed, event in events:
        now += elapsed
        if isinstance(event, str):
            assert the_bench.command(event)
            sent = the_bench.tick(now)
        else:
            sent = the_bench.on_frame(0, event, now)
        assert all(frame.can_id in RECEIVED_IDS for _, frame in sent)
        assert 0 <= the_bench.vehicle.soc_permille <= 1000
        assert 0 <= the_bench.module.output_ma <= 100_000
        if not the_bench.vehicle.plugged:
            assert not {REQUEST, CAPACITY, DISCHARGE} & {frame.can_id for _, frame in sent}
