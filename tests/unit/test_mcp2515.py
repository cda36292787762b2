# SPDX-License-Identifier: GPL-3.0-or-later
"""The MCP2515's driver against a model of the chip's registers: frames, filters, bit rates."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mcp2515_chip import CANCTRL, CANINTF, EFLG, TXB, Mcp2515Chip, Wire
from mcp2515_rig import (
    AGAIN,
    CAPACITY,
    DISCHARGE,
    REQUEST,
    Rig,
    request,
    wire_of,
)


@st.composite
def wires(draw: st.DrawFn, extended: bool | None = None, longest: int = 8) -> Wire:
    wide = draw(st.booleans()) if extended is None else extended
    can_id = draw(st.integers(0, 2**29 - 1 if wide else 2**11 - 1))
    remote = draw(st.booleans())
    dlc = draw(st.integers(0, longest))
    length = 0 if remote else min(dlc, 8)
    return Wire(can_id, wide, remote, dlc, draw(st.binary(min_size=length, max_size=length)))


@AGAIN
@given(frame=wires())
def test_a_frame_goes_out_as_it_is(rig: Rig, frame: Wire) -> None:
    rig.run()
    rig.send(frame)
    assert rig.chip.transmit() == frame
    assert rig.chip.violations == []


@AGAIN
@given(frame=wires(extended=True, longest=15), seed=st.integers(0, 999))
def test_an_extended_frame_comes_in_as_it_was(rig: Rig, frame: Wire, seed: int) -> None:
    rig.run((frame.can_id,), seed)
    rig.chip.hear(frame)
    heard = rig.receive()
    assert heard == Wire(frame.can_id, True, frame.remote, min(frame.dlc, 8), frame.data)
    assert rig.receive() is None


@AGAIN
@given(frame=wires(longest=15), data=st.binary(min_size=8, max_size=8), seed=st.integers(0, 999))
def test_a_receive_buffer_is_read_for_what_it_means(
    rig: Rig, frame: Wire, data: bytes, seed: int
) -> None:
    """Standard frames too; SRR, RTR and the extended bits count only where they have a meaning."""
    head = Mcp2515Chip(seed).buffer_head(frame)
    old = frame.data + data[len(frame.data) :]  # what earlier frames left in the buffer
    heard = wire_of(rig.tell(f"unpack {(head + old).hex()}"))
    dlc = min(frame.dlc, 8)
    assert heard == Wire(frame.can_id, frame.extended, frame.remote, dlc, frame.data)


@settings(parent=AGAIN, max_examples=25)
@given(ids=st.lists(st.integers(0, 2**29 - 1), min_size=1, max_size=6, unique=True))
def test_the_filters_let_through_exactly_what_they_name(rig: Rig, ids: list[int]) -> None:
    rig.run(tuple(ids))
    for can_id in ids:
        for bit in (None, *range(29)):
            near = can_id if bit is None else can_id ^ 1 << bit
            rig.chip.hear(request(can_id=near))
            assert rig.receive() == (request(can_id=near) if near in ids else None)
        rig.chip.hear(Wire(can_id >> 18, extended=False))
        assert rig.receive() is None
    assert rig.counts == (0, 0)


@pytest.mark.parametrize(
    ("bitrate", "quanta", "sample"),
    [
        *[(10_000, 16, 14), (20_000, 20, 17), (25_000, 16, 14), (50_000, 16, 14)],
        *[(100_000, 20, 17), (125_000, 16, 14), (250_000, 16, 14), (500_000, 8, 6)],
    ],
)
def test_bit_rates(rig: Rig, bitrate: int, quanta: int, sample: int) -> None:
    """By the data sheet's formula (5.0): TQ = 2 (BRP + 1) / 8 MHz."""
    cnf1, cnf2, cnf3 = bytes.fromhex(rig.tell(f"timing {bitrate}"))
    assert cnf1 >> 6 == 0, "SJW is one quantum"
    assert cnf2 & 0xC0 == 0x80, "PS2 is programmed, the bus is sampled once"
    propagation, phase1, phase2 = (cnf2 & 7) + 1, (cnf2 >> 3 & 7) + 1, cnf3 + 1
    assert 8_000_000 == bitrate * 2 * ((cnf1 & 0x3F) + 1) * (1 + propagation + phase1 + phase2)
    assert 1 + propagation + phase1 + phase2 == quanta
    assert 1 + propagation + phase1 == sample
    assert propagation + phase1 >= phase2 >= 2


@pytest.mark.parametrize("bitrate", [0, 800_000, 1_000_000, 33_333])
def test_a_bit_rate_that_eight_megahertz_cannot_make(rig: Rig, bitrate: int) -> None:
    assert rig.tell(f"timing {bitrate}") == "-"


# Receiving


def test_both_buffers_are_drained_in_order(rig: Rig) -> None:
    rig.run()
    rig.chip.hear(request(1))
    rig.chip.hear(request(2))  # rolls over
    assert rig.receive() == request(1)
    rig.chip.hear(request(3))  # into the first buffer, before the second has been read
    assert rig.receive_all() == [request(2), request(3)]
    assert rig.counts == (0, 0)


def test_what_is_lost_is_counted_and_no_more_than_once(rig: Rig) -> None:
    rig.run()
    for number in range(3):
        rig.chip.hear(request(number))
    assert rig.turn() == "running"
    assert rig.counts == (1, 0)
    assert rig.receive_all() == [request(0), request(1)]
    assert [rig.turn(), rig.turn()] == ["running", "running"]
    assert rig.counts == (1, 0)
    assert rig.chip.registers[EFLG] == rig.chip.registers[CANINTF] == 0
    rig.chip.hear(request(7))
    assert rig.receive_all() == [request(7)]


def test_three_different_frames_at_once_are_one_too_many(rig: Rig) -> None:
    """Why the control task is woken by INT (docs/firmware.md)."""
    rig.run()
    for can_id in (REQUEST, CAPACITY, DISCHARGE):
        rig.chip.hear(request(can_id=can_id))
    assert rig.turn() == "running"
    assert rig.counts == (1, 0)
    for can_id in (REQUEST, CAPACITY, DISCHARGE):
        rig.chip.hear(request(can_id=can_id))
        rig.receive_all()
    assert rig.counts == (1, 0)


def test_without_a_frame_nothing_is_asked(rig: Rig) -> None:
    rig.run()
    assert rig.receive() is None
    assert rig.chip.transfers == []


def test_a_broken_int_line_costs_no_frame(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.run()
    for level in (False, True):

        def seen(_chip: Mcp2515Chip, level: bool = level) -> bool:
            return level

        monkeypatch.setattr(Mcp2515Chip, "interrupt", property(seen))
        rig.chip.hear(request(1))
        rig.chip.hear(request(2))
        assert rig.turn() == "running"
        assert rig.receive_all() == [request(1), request(2)]


# Sending


def test_three_frames_go_out_in_order(rig: Rig) -> None:
    rig.run()
    for number in range(3):
        rig.send(request(number))
    assert [rig.chip.transmit() for _ in range(4)] == [*map(request, range(3)), None]
    assert rig.turn() == "running"
    assert rig.counts == (0, 0)
    assert rig.chip.registers[CANINTF] == 0


@pytest.mark.parametrize("outcome", ["error", "no_ack", "lost"])
def test_a_frame_is_tried_once(rig: Rig, outcome: str) -> None:
    rig.run()
    rig.send(request())
    assert rig.chip.transmit(outcome) == request()
    assert rig.chip.transmit() is None
    assert rig.turn() == "running"
    assert rig.counts == (0, 1)


def test_frames_that_waited_too_long_do_not_go_out_later(rig: Rig) -> None:
    """Nothing moves on the bus; when it does again, three old frames must not come."""
    rig.run()
    for number in range(4):
        rig.send(request(number))
    assert rig.chip.transmit() is None
    assert rig.turn() == "running"
    assert rig.counts == (0, 4)
    rig.send(request(9))
    assert rig.chip.transmit() == request(9)


def test_an_urgent_frame_takes_the_place_of_what_waits_and_is_tried_again(rig: Rig) -> None:
    rig.run()
    rig.send(request(1))
    rig.send(request(2))
    rig.send(request(3), urgent=True)
    assert rig.chip.registers[TXB[0]] & 3 == 3
    assert rig.chip.transmit("no_ack") == request(3)
    assert rig.chip.transmit("lost") == request(3)
    rig.send(request(4))  # would be tried again as well: it does not go
    assert rig.turn() == "running"
    assert rig.chip.transmit() == request(3)
    rig.send(request(5))
    assert rig.chip.transmit("error") == request(5)
    assert rig.chip.transmit() is None
    assert rig.turn() == "running"
    assert rig.chip.registers[CANCTRL] == 0x08


def test_an_urgent_frame_waits_for_the_one_on_its_way(rig: Rig) -> None:
    rig.run()
    rig.send(request(1))
    rig.send(request(2))
    assert rig.chip.start() == request(1)
    rig.send(request(3), urgent=True)
    assert rig.turn() == "running"
    rig.chip.finish("error")
    assert rig.turn() == "running"
    assert rig.chip.transmit() == request(3)
    assert rig.chip.transmit() is None


def test_a_later_urgent_frame_takes_the_place_of_an_earlier_one(rig: Rig) -> None:
    rig.run()
    rig.send(request(1), urgent=True)
    rig.send(request(2), urgent=True)
    assert rig.chip.transmit() == request(2)
    assert rig.turn() == "running"
    assert rig.chip.transmit() is None
