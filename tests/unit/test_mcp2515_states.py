# SPDX-License-Identifier: GPL-3.0-or-later
"""The MCP2515's driver against a model of the chip's registers: the bus's states, and recovery."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp2515_chip import CANCTRL, CANINTF, EFLG, REC, RXB, TEC, TXB, Mcp2515Chip
from mcp2515_rig import AGAIN, CAPACITY, DISCHARGE, REQUEST, Rig, request

from evtool.protocol import can_tables

FEEDBACK = can_tables.ChargeFeedback.ID


def test_error_passive(rig: Rig) -> None:
    rig.run()
    for _ in range(20):  # alone on the bus: nobody acknowledges
        rig.send(request())
        rig.chip.transmit("no_ack")
        state = rig.turn()
    assert rig.chip.registers[TEC] == 128
    assert state == "error_passive"
    rig.send(request())
    rig.chip.transmit()
    assert rig.turn() == "running"
    rig.chip.receive_errors(128)
    assert rig.turn() == "error_passive"
    rig.chip.hear(request())
    assert rig.turn() == "running"
    assert rig.chip.registers[REC] == 127


def drive_off(rig: Rig) -> None:
    """An urgent frame is tried again and again, and fails every time."""
    rig.send(request(), urgent=True)
    while not rig.chip.bus_off:
        rig.chip.transmit("error")


def test_a_bus_that_is_off_stays_off_until_recover(rig: Rig) -> None:
    rig.run()
    drive_off(rig)
    assert rig.turn() == "bus_off"
    rig.chip.recover()
    assert [rig.turn() for _ in range(5)] == ["bus_off"] * 5
    assert rig.chip.mode == 0x80, "the chip takes no part in the bus"
    rig.send(request())
    assert rig.receive() is None
    rig.tell("recover")
    # 128 times 11 bits of 4 us are 5.6 ms, so two turns of 5 ms lie between.
    assert [rig.turn() for _ in range(4)] == ["recovering"] * 3 + ["running"]
    assert rig.chip.transmit() is None
    rig.send(request(5))
    assert rig.chip.transmit() == request(5)


def test_a_bus_off_between_two_polls_is_told(rig: Rig) -> None:
    rig.run()
    drive_off(rig)
    rig.chip.recover()
    assert rig.chip.registers[EFLG] == 0
    assert [rig.turn(), rig.turn()] == ["bus_off", "bus_off"]


def test_a_bus_off_between_two_polls_is_told_though_a_frame_was_lost_as_well(rig: Rig) -> None:
    rig.run()
    rig.send(request(), urgent=True)
    for _ in range(20):
        rig.chip.transmit("error")
    assert rig.turn() == "error_passive"
    drive_off(rig)
    rig.chip.recover()
    for number in range(3):
        rig.chip.hear(request(number))
    assert rig.turn() == "bus_off"


def test_an_overflow_while_the_registers_are_read_is_no_bus_off(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.run()
    value = Mcp2515Chip._value

    def overflow_first(chip: Mcp2515Chip, address: int) -> int:
        if address == EFLG:  # behind CANINTF in the same transfer
            chip._note_errors(0x40)
        return value(chip, address)

    with monkeypatch.context() as patch:
        patch.setattr(Mcp2515Chip, "_value", overflow_first)
        assert rig.turn() == "running"
    assert rig.counts == (1, 0)
    assert rig.turn() == "running"


def test_a_warning_that_goes_away_is_no_bus_off(rig: Rig) -> None:
    rig.run()
    rig.chip.receive_errors(96)
    assert [rig.turn(), rig.turn()] == ["running", "running"]
    rig.chip.hear(request())
    rig.receive_all()
    assert [rig.turn(), rig.turn()] == ["running", "running"]
    assert rig.chip.registers[CANINTF] == 0


def test_no_normal_mode_before_the_bus_is_seen(rig: Rig) -> None:
    rig.new()
    rig.chip.bus_free = False
    rig.tell("open")
    assert [rig.turn() for _ in range(50)] == ["recovering"] * 50
    rig.chip.bus_free = True
    assert rig.turn() == "running"


@pytest.mark.parametrize("line", [0x00, 0xFF])
def test_a_chip_that_is_not_there(rig: Rig, line: int) -> None:
    rig.new()
    rig.chip.dead = line
    rig.tell("open")
    assert {rig.turn() for _ in range(50)} == {"stopped"}
    assert rig.trouble == "no_answer"
    rig.send(request())
    rig.send(request(), urgent=True)
    assert rig.receive() is None
    rig.chip.dead = None  # somebody plugs the shield in
    assert [rig.turn() for _ in range(4)][-1] == "running"
    assert rig.trouble == "none"


def test_a_chip_that_does_not_leave_its_reset(rig: Rig) -> None:
    rig.new()
    rig.tell("open")
    assert {rig.tell("poll") for _ in range(50)} == {"stopped"}  # no time passes for it
    assert rig.trouble == "no_answer"


def test_a_reset_that_got_lost_is_asked_for_again(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.run()
    drive_off(rig)
    assert rig.turn() == "bus_off"
    with monkeypatch.context() as patch:
        patch.setattr(Mcp2515Chip, "_reset", lambda _: None)
        rig.tell("recover")
        assert {rig.turn() for _ in range(30)} == {"stopped"}
    rig.tell("recover")
    assert [rig.turn() for _ in range(4)][-1] == "running"


@pytest.mark.parametrize("line", [0x00, 0xFF])
def test_a_chip_that_falls_silent(rig: Rig, line: int) -> None:
    rig.run()
    rig.chip.dead = line
    heard = [rig.receive() for _ in range(3)]
    assert all(frame is None or frame.remote for frame in heard), "nothing that the core believes"
    assert [rig.turn(), rig.turn()] == ["stopped", "stopped"]
    assert rig.trouble == "no_answer"
    rig.chip.dead = None
    assert rig.turn() == "stopped"
    rig.tell("recover")
    assert [rig.turn() for _ in range(4)][-1] == "running"


def test_a_chip_that_has_lost_its_settings(rig: Rig) -> None:
    rig.run()
    rig.chip.power_on()
    assert [rig.turn(), rig.turn()] == ["stopped", "stopped"]
    assert rig.trouble == "lost_configuration"
    rig.tell("recover")
    assert [rig.turn() for _ in range(4)][-1] == "running"
    rig.chip.hear(request(3))
    assert rig.receive_all() == [request(3)]


@pytest.mark.parametrize("register", [CANCTRL, 0x28, 0x29, 0x2A, 0x2B])
@pytest.mark.parametrize("bit", [0, 3, 7])
def test_a_setting_that_has_changed_is_seen(rig: Rig, register: int, bit: int) -> None:
    rig.run()
    rig.chip.registers[register] ^= 1 << bit
    assert rig.turn() == "stopped"


@pytest.mark.parametrize("register", [0x00, 0x13, 0x1B, 0x21, 0x27, 0x28, 0x2A, *RXB, *TXB])
def test_a_setting_that_does_not_hold_is_seen(
    rig: Rig, register: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.new()
    write = Mcp2515Chip._write

    def stuck(chip: Mcp2515Chip, address: int, value: int) -> None:
        write(chip, address, value ^ 0x20 if address == register and address in RXB else value)
        if address == register and address not in RXB:
            chip.registers[address] ^= 1

    monkeypatch.setattr(Mcp2515Chip, "_write", stuck)
    rig.tell("open")
    assert {rig.turn() for _ in range(30)} == {"stopped"}
    assert rig.trouble == "no_answer"


def test_recover_leaves_a_running_bus_alone(rig: Rig) -> None:
    rig.run()
    rig.tell("recover")
    assert rig.chip.transfers == []
    assert rig.turn() == "running"


def test_a_turn_is_short(rig: Rig) -> None:
    """Bytes on SPI in the busiest turn: the figure in docs/firmware.md."""
    rig.run()
    for number in range(3):
        rig.send(request(number))
    for _ in range(3):
        rig.chip.transmit()
    rig.chip.hear(request(1))
    rig.chip.hear(request(2))
    rig.chip.transfers.clear()
    rig.turn()
    rig.receive_all()
    for number in range(3):
        rig.send(request(number))
    assert len(rig.chip.transfers) <= 16
    assert sum(map(len, rig.chip.transfers)) <= 120


# What the console is told


def told(rig: Rig, now: int) -> list[str]:
    rig.chip.time_passes()
    return [line for line in rig.tell(f"report {now}").split("; ") if line]


def test_trouble_is_told_once(rig: Rig) -> None:
    rig.run()
    rig.chip.power_on()
    assert told(rig, 10) == ["[event] can bus=1 state=lost_configuration"]
    assert told(rig, 5000) == []
    rig.chip.dead = 0xFF
    rig.tell("recover")
    lines = [line for now in range(5010, 5200, 5) for line in told(rig, now)]
    assert lines == ["[event] can bus=1 state=no_answer"]


def test_losses_are_told_at_most_once_in_a_second(rig: Rig) -> None:
    rig.run()
    lines = []
    for now in range(0, 3000, 5):  # a frame too many in every turn, for two seconds
        for number in range(3 if now < 2000 else 0):
            rig.chip.hear(request(number))
        lines += [(now, line) for line in told(rig, now)]
        rig.receive_all()
    assert lines == [
        (0, "[event] can bus=1 rx_lost=1 tx_failed=0"),
        (1000, "[event] can bus=1 rx_lost=201 tx_failed=0"),
        (2000, "[event] can bus=1 rx_lost=400 tx_failed=0"),
    ]


def test_failures_on_a_bus_with_nobody_else_on_it_are_told_when_somebody_comes(rig: Rig) -> None:
    rig.run()
    lines = []
    for now in range(0, 5000, 100):
        rig.send(request())
        rig.chip.transmit("no_ack")
        lines += [now for _ in told(rig, now)]
    assert lines == [0, 1000], "until the bus is error_passive"
    rig.send(request())
    rig.chip.transmit()
    assert told(rig, 6000) == ["[event] can bus=1 rx_lost=0 tx_failed=50"]


# Anything at all

STEPS = st.one_of(
    st.tuples(st.just("hear"), st.sampled_from([REQUEST, CAPACITY, DISCHARGE, 5])),
    st.tuples(st.just("send"), st.booleans()),
    st.tuples(st.just("transmit"), st.sampled_from(["sent", "error", "no_ack", "lost"])),
    st.tuples(st.sampled_from(["turn", "recover", "heal", "fail"]), st.none()),
    st.tuples(st.sampled_from(["power_on", "errors", "drain"]), st.none()),
)


@AGAIN
@given(steps=st.lists(STEPS, max_size=60), seed=st.integers(0, 99))
def test_whatever_happens_the_state_is_true_and_the_bus_comes_back(
    rig: Rig, steps: list[tuple[str, object]], seed: int
) -> None:
    rig.run(seed=seed)
    for step, detail in steps:
        if step == "hear":
            assert isinstance(detail, int)
            rig.chip.hear(request(can_id=detail))
        elif step == "send":
            rig.send(request(can_id=FEEDBACK), bool(detail))
        elif step == "transmit":
            assert rig.chip.transmit(str(detail)) in (None, request(can_id=FEEDBACK))
        elif step == "turn":
            if rig.turn() == "running":
                assert rig.chip.mode == 0
                assert not rig.chip.bus_off
                assert rig.chip.dead is None
                assert rig.chip.registers[EFLG] & 0x38 == 0
        elif step == "drain":
            assert all(f.can_id != 5 for f in rig.receive_all()[:8] if not f.remote)
        else:
            trouble(rig, step)
    rig.chip.dead = None
    rig.chip.recover()
    for _ in range(40):  # the core asks for a recovery whenever the bus cannot transmit
        state = rig.turn()
        rig.receive_all()
        if state in ("stopped", "bus_off"):
            rig.tell("recover")
        rig.chip.transmit()
        rig.chip.hear(request())
    assert state == "running"
    rig.receive_all()
    rig.send(request(7))
    assert rig.chip.transmit() == request(7)
    # Between a power cut and the next poll() nobody can know of it.
    assert set(rig.chip.violations) <= {"a frame outside normal mode"}
    rig.chip.violations.clear()


def trouble(rig: Rig, step: str) -> None:
    if step == "recover":
        rig.tell("recover")
    elif step == "heal":
        rig.chip.recover()
    elif step == "errors":
        rig.chip.receive_errors(50)
    elif step == "power_on":
        rig.chip.power_on()
    elif step == "fail":
        rig.chip.dead = None if rig.chip.dead is not None else 0xFF
