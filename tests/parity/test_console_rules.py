# SPDX-License-Identifier: GPL-3.0-or-later
"""Console, transactions, energy and the register: docs/serial-console.md and controller.md."""

from __future__ import annotations

import pytest
from controller_rig import Rig


def key(rig: Rig, character: str) -> None:
    rig.do(f"key {ord(character):02x}")


def records(rig: Rig) -> list[str]:
    return [line for line in rig.console if line.startswith("[") and "[event]" not in line]


def test_boot_event(rig: Rig) -> None:
    rig.do("boot reset=power_on version=0.1.0 build=1a2b3c4d charge_point=CP-0001")
    assert rig.events("boot") == [
        "version=0.1.0 build=1a2b3c4d charge_point=CP-0001 reset=power_on"
    ]


def test_boot_event_without_names(rig: Rig) -> None:
    rig.do("boot")
    assert rig.events("boot") == ["version=- build=- charge_point=- reset=-"]


def test_what_was_never_heard_prints_as_unknown(rig: Rig) -> None:
    rig.boot()
    key(rig, "5")
    assert records(rig) == [
        "[bms] v=- i=- switch=- mode=- soc=- age=- raw=-",
        "[power_module] state=- set_v=- set_i=- heartbeat=- age=- raw=-",
        "[output] v=- i=- temp=- m79=- m83=- age=-",
        "[terminal] v=- i=- p=- status=- energy=0.000kWh session=- age=-",
    ]


def fill(rig: Rig) -> None:
    rig.request(mode=1)
    rig.frame(0x160B8001, "00004096")
    rig.reply(0x00, value=73728)
    rig.reply(0x03, value=915)
    rig.reply(0x32, state=0)
    rig.frame(0x18FF50E5, "0000000008000000")
    rig.telemetry(0x84, 73677)
    rig.telemetry(0x82, 30515)
    rig.telemetry(0x80, 41249)
    rig.telemetry(0x79, 0xABCD000C)
    rig.telemetry(0x83, 0x3FC00000)
    rig.terminal(71.9, 29.75)
    rig.frame(0x00473F01, "0000000000000302")


def test_every_field_of_every_view(rig: Rig) -> None:
    rig.boot(energy_mwh=12_345_999)
    fill(rig)
    rig.now_ms += 120
    key(rig, "5")
    assert records(rig) == [
        "[bms] v=72.00V i=30.00A switch=on mode=heating soc=55.1% age=120ms"
        " raw=02 D0 01 2C 00 01 00 00",
        "[power_module] state=on set_v=72.00V set_i=30.00A heartbeat=alive age=120ms"
        " raw=01 32 00 00 00 00 00 00",
        "[output] v=71.95V i=29.80A temp=41.2C m79=12 m83=1.500 age=120ms",
        "[terminal] v=71.90V i=29.75A p=2139.0W status=charging energy=12.345kWh session=-"
        " age=120ms",
    ]


def test_stale_values_print_as_unknown(rig: Rig) -> None:
    rig.boot()
    fill(rig)
    rig.now_ms += 3001
    key(rig, "5")
    assert records(rig) == [
        "[bms] v=- i=- switch=- mode=- soc=- age=3001ms raw=-",
        "[power_module] state=- set_v=- set_i=- heartbeat=- age=3001ms raw=-",
        "[output] v=- i=- temp=- m79=- m83=- age=3001ms",
        "[terminal] v=- i=- p=- status=- energy=0.000kWh session=- age=3001ms",
    ]


@pytest.mark.parametrize(
    ("code", "word"), [("0301", "not_charging"), ("0302", "charging"), ("0300", "unknown")]
)
def test_terminal_status(rig: Rig, code: str, word: str) -> None:
    rig.boot()
    rig.frame(0x00473F01, f"000000000000{code}")
    key(rig, "4")
    assert f" status={word} " in records(rig)[0]


def test_short_requests_show_their_own_length(rig: Rig) -> None:
    rig.boot()
    rig.frame(0x1806E5F4, "02D0012C0102")
    key(rig, "1")
    assert records(rig)[0].endswith("switch=off mode=- soc=- age=0ms raw=02 D0 01 2C 01 02")


@pytest.mark.parametrize(
    ("character", "names"),
    [
        ("1", ["[bms]"]),
        ("2", ["[power_module]"]),
        ("3", ["[output]"]),
        ("4", ["[terminal]"]),
        ("5", ["[bms]", "[power_module]", "[output]", "[terminal]"]),
        ("0", []),
    ],
)
def test_a_view_prints_at_once_and_then_once_a_second(
    rig: Rig, character: str, names: list[str]
) -> None:
    rig.boot()
    key(rig, character)
    assert [line.split()[0] for line in records(rig)] == names
    rig.run(3900)
    assert [line.split()[0] for line in records(rig)] == names * 4
    key(rig, "0")
    rig.run(3000)
    assert [line.split()[0] for line in records(rig)] == names * 4


@pytest.mark.parametrize("byte", [*range(0x30), *range(0x36, 0x3F), 0x40, 0x78, 0x80, 0xB5, 0xFF])
def test_other_bytes_are_ignored(rig: Rig, byte: int) -> None:
    rig.boot()
    before = len(rig.console)
    rig.do(f"key {byte:02x}")
    assert rig.console[before:] == []
    assert rig.others == []


@pytest.mark.parametrize("character", "mM?")
def test_menu(rig: Rig, character: str) -> None:
    rig.boot()
    key(rig, character)
    assert rig.console[-1].startswith("keys: 1 bms ")


def refusal(rig: Rig) -> str:
    key(rig, "S")
    return rig.events("start")[-1]


def test_start_is_refused_with_the_first_reason(rig: Rig) -> None:
    rig.boot()
    assert refusal(rig) == "state=refused reason=no_vehicle"
    rig.request(control=1)
    assert refusal(rig) == "state=refused reason=vehicle_switch_off"
    rig.request()
    assert refusal(rig) == "state=refused reason=not_connected"
    rig.word(transaction=0, permitted=0, connected=0)
    assert refusal(rig) == "state=refused reason=not_connected"
    rig.word(transaction=1)
    rig.temperature(70001)
    assert refusal(rig) == "state=refused reason=fault"
    rig.temperature()
    assert refusal(rig) == "state=refused reason=already_charging"
    assert [line for line in rig.others if line.startswith("ocpp")] == []
    rig.word(transaction=0)
    assert refusal(rig) == "state=requested"
    assert rig.others[-1] == "ocpp start LOCAL"
    assert rig.state["energised"] == "0"


def test_start_needs_an_id_tag_and_does_not_print_it(rig: Rig) -> None:
    rig.boot("id_tag=-")
    rig.request()
    rig.word(transaction=0)
    assert refusal(rig) == "state=refused reason=no_id_tag"
    rig.boot("id_tag=TAG-77")
    rig.request()
    rig.word(transaction=0)
    assert refusal(rig) == "state=requested"
    assert not any("TAG-77" in line for line in rig.console)


def test_stop(rig: Rig) -> None:
    rig.energise()
    key(rig, "T")
    assert rig.others == ["ocpp stop Local"]
    assert rig.events("stop") == ["state=requested reason=Local"]
    rig.word(transaction=0)
    key(rig, "t")
    assert rig.events("stop")[-1] == "state=refused reason=no_transaction"


def test_events_of_a_charge(rig: Rig) -> None:
    rig.energise()
    rig.word(transaction=0, permitted=0)
    rig.do("tick", 5000)
    assert rig.events("transaction") == ["state=started", "state=ended"]
    assert rig.events("permit") == ["state=granted", "state=withdrawn"]
    assert rig.events("ocpp") == ["state=connected", "state=disconnected"]
    assert rig.events("gate") == ["state=open", "state=closed reason=not_permitted"]
    assert rig.events("bus") == ["bus=0 state=running"]


def test_energy_is_the_previous_sample_times_the_time(rig: Rig) -> None:
    rig.boot(energy_mwh=100)
    rig.terminal(72, 50)  # 3600 W are 1 mWh in a millisecond
    rig.now_ms += 1000
    rig.terminal(72, 25)
    assert rig.state["energy_mwh"] == "1100"
    rig.now_ms += 2000
    rig.terminal(72, 50)
    assert rig.state["energy_mwh"] == "2100"
    rig.now_ms += 2001
    rig.terminal(72, 50)
    assert rig.state["energy_mwh"] == "2100"
    rig.now_ms += 100
    rig.terminal(72, -50)
    assert rig.state["energy_mwh"] == "2200"
    rig.now_ms += 1000
    rig.terminal(72, 50)
    assert rig.state["energy_mwh"] == "2200"


def test_energy_from_the_output_only_where_the_terminal_is_silent(rig: Rig) -> None:
    rig.boot()
    rig.terminal(72, 0)
    rig.telemetry(0x84, 72 * 1024)
    rig.telemetry(0x82, 50 * 1024)
    rig.do("tick", 3001)
    assert rig.state["energy_mwh"] == "0"
    rig.telemetry(0x84, 72 * 1024)
    rig.telemetry(0x82, 50 * 1024)
    rig.now_ms += 1000
    rig.telemetry(0x82, 50 * 1024)
    assert rig.state["energy_mwh"] == "1000"
    rig.now_ms += 500
    rig.terminal(72, 50)
    assert rig.state["energy_mwh"] == "1500"


def test_time_alone_adds_no_energy(rig: Rig) -> None:
    rig.energise()
    rig.terminal(72, 50)
    rig.run(1900, rig.all_well)
    assert rig.state["energy_mwh"] == "0"


def test_session_energy_and_the_register_over_two_transactions(rig: Rig) -> None:
    rig.boot(energy_mwh=5000)
    assert rig.state["session_mwh"] == "-"
    for _ in range(2):
        rig.word(transaction=1)
        assert rig.state["session_mwh"] == "0"
        rig.terminal(72, 50)
        rig.now_ms += 1000
        rig.terminal(72, 50)
        assert rig.state["session_mwh"] == "1000"
        rig.word(transaction=0)
        rig.now_ms += 1000
        rig.terminal(72, 0)
        assert rig.state["session_mwh"] == "1000"
        rig.now_ms += 3000
    assert rig.state["energy_mwh"] == "9000"
    assert rig.others == ["store energy_mwh 6000", "store energy_mwh 8000"]


def test_register_is_stored_at_most_once_a_minute(rig: Rig) -> None:
    rig.boot()
    rig.run(59000, lambda: rig.terminal(72, 50))
    assert rig.others == []
    rig.run(2000, lambda: rig.terminal(72, 50))
    assert len(rig.others) == 1
    rig.run(59000, lambda: rig.terminal(72, 50))
    assert len(rig.others) == 2
    stored = int(rig.others[-1].split()[-1])
    assert 119_000 <= stored <= 121_000


def test_an_unchanged_register_is_not_stored(rig: Rig) -> None:
    rig.boot(energy_mwh=77)
    rig.run(130_000)
    assert rig.others == []


def test_restart_keeps_the_register_and_starts_off(rig: Rig) -> None:
    rig.energise()
    rig.do("boot reset=panic energy_mwh=424242")
    assert rig.state["energy_mwh"] == "424242"
    assert rig.state["energised"] == "0"
    assert rig.state["plugged"] == "0"
    assert rig.events("boot")[-1].endswith("reset=panic")
