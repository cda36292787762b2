# SPDX-License-Identifier: GPL-3.0-or-later
"""Time and faults on a virtual board's serial line."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from evtool.virtual.effects import Busy, Transmit
from evtool.virtual.pace import Pace

RATE = 100_000


def pace(seed: int = 7, *, real_time: bool = False) -> Pace:
    made = Pace(random.Random(seed))  # noqa: S311 - test data
    made.rate = RATE
    made.real_time = real_time
    return made


def everything(made: Pace, end_us: int) -> tuple[bytes, bytes]:
    """What arrives at the board and at the host up to `end_us`."""
    arrived, delivered = b"", b""
    while (due := made.deadline_us) is not None and due <= end_us:
        while (data := made.arrived(due)) is not None:
            arrived += data
        while (transmit := made.delivered(due)) is not None:
            delivered += transmit.data
    return arrived, delivered


def test_nothing_is_held_back_unless_it_is_asked_for() -> None:
    assert pace().is_idle
    assert not pace(real_time=True).is_idle


def test_bytes_take_ten_bits_each() -> None:
    made = pace(real_time=True)
    made.receive(b"x" * 100, 0)
    assert made.deadline_us == 100 * 10 * 1_000_000 // RATE
    assert made.arrived(9_999) is None
    assert made.arrived(10_000) == b"x" * 100
    made.send(Transmit(b"y" * 10, discardable=True), 20_000)
    assert made.deadline_us == 21_000


def test_the_answer_waits_for_the_flash_and_so_does_the_next_request() -> None:
    made = pace(real_time=True)
    made.work(Busy(45_000), 0)
    made.send(Transmit(b"done" * 5, discardable=False), 0)
    made.receive(b"next", 0)
    assert made.deadline_us == 45_000
    assert made.delivered(46_999) is None
    assert made.arrived(44_999) is None
    assert everything(made, 47_000) == (b"next", b"done" * 5)


def test_a_slow_bridge_adds_its_own_in_both_directions() -> None:
    made = pace()
    made.latency_us = 16_000
    made.receive(b"a", 0)
    made.send(Transmit(b"b", discardable=False), 5_000)
    assert made.arrived(15_999) is None
    assert made.arrived(16_000) == b"a"
    assert made.delivered(20_999) is None
    assert made.delivered(21_000) == Transmit(b"b", discardable=False)


def test_a_mute_board_says_nothing_and_still_hears() -> None:
    made = pace()
    made.faults.mute = True
    made.send(Transmit(b"b", discardable=False), 0)
    made.receive(b"a", 0)
    assert everything(made, 1_000_000) == (b"a", b"")


def test_a_reset_takes_back_what_was_not_said_yet_and_a_pulled_cable_everything() -> None:
    made = pace(real_time=True)
    made.receive(b"in", 0)
    made.send(Transmit(b"out", discardable=False), 0)
    made.clear()
    assert everything(made, 10_000) == (b"in", b"")
    made.receive(b"in", 10_000)
    made.unplug()
    assert made.deadline_us is None


@settings(deadline=None)
@given(data=st.binary(max_size=2_000), late=st.floats(0, 1))
def test_late_bytes_keep_their_order(data: bytes, late: float) -> None:
    made = pace()
    made.faults.late, made.faults.late_us = late, 30_000
    for start in range(0, len(data), 7):
        made.receive(data[start : start + 7], 1_000 * start)
        made.send(Transmit(data[start : start + 7], discardable=False), 1_000 * start)
    assert everything(made, 10**12) == (data, data)


@settings(deadline=None)
@given(data=st.binary(min_size=500, max_size=4_000), seed=st.integers(0, 99))
def test_lost_and_turned_bytes_are_about_as_many_as_was_asked_for(data: bytes, seed: int) -> None:
    made = pace(seed)
    made.faults.lose = 1.0
    made.receive(data, 0)
    assert everything(made, 10**9) == (b"", b"")
    made.faults.lose, made.faults.flip = 0.0, 1.0
    made.receive(data, 0)
    arrived, _ = everything(made, 10**9)
    assert len(arrived) == len(data)
    assert all((a ^ b).bit_count() == 1 for a, b in zip(arrived, data, strict=True))


def test_the_same_seed_gives_the_same_faults() -> None:
    found = []
    for _ in range(2):
        made = pace(3)
        made.faults.lose = 0.1
        made.receive(bytes(1_000), 0)
        found.append(everything(made, 10**9)[0])
    assert found[0] == found[1]
    assert 800 < len(found[0]) < 980
