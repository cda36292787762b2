# SPDX-License-Identifier: GPL-3.0-or-later
"""The energy register against exact fractions."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from evtool.reference_impl.meter import Meter

SAMPLES = st.lists(
    st.tuples(
        st.integers(-(2**31), 2**31),
        st.integers(-(2**31), 2**31),
        st.one_of(st.integers(0, 2500), st.integers(0, 2**40)),
    ),
    max_size=40,
)


@given(st.integers(0, 2**40), SAMPLES)
def test_register_is_the_sum_of_power_times_time(
    stored: int, samples: list[tuple[int, int, int]]
) -> None:
    meter = Meter(stored)
    exact, now_ms, power_uw, first = Fraction(stored), 0, 0, True
    for millivolts, milliamperes, gap_ms in samples:
        now_ms += gap_ms
        if gap_ms <= 2000 and not first:
            exact += Fraction(power_uw * gap_ms, 3_600_000_000)
        power_uw, first = max(millivolts * milliamperes, 0), False
        before = meter.register_mwh
        meter.sample(millivolts, milliamperes, now_ms)
        assert meter.register_mwh >= before
    assert meter.register_mwh == int(exact)


def test_not_a_nanojoule_is_lost_or_invented() -> None:
    meter = Meter(0)
    meter.sample(3_599_999_999, 1, 0)  # in 1 ms, one nanojoule short of a milliwatt-hour
    meter.sample(0, 0, 1)
    meter.sample(1, 1, 2001)
    assert meter.register_mwh == 0
    meter.sample(0, 0, 2002)
    assert meter.register_mwh == 1


def test_session_is_a_difference_of_two_registers() -> None:
    meter = Meter(1000)
    assert meter.session_mwh() is None
    meter.sample(72000, 50000, 0)
    meter.sample(72000, 50000, 1000)  # 3600 W for a second is 1 Wh
    meter.start_session()
    assert meter.session_mwh() == 0
    meter.sample(72000, 50000, 3000)
    assert meter.session_mwh() == 2000
    meter.end_session()
    meter.sample(72000, 50000, 4000)
    assert meter.session_mwh() == 2000
    assert meter.register_mwh == 1000 + 4000
    meter.start_session()
    assert meter.session_mwh() == 0


def test_register_ends_at_its_limit_and_stays() -> None:
    meter = Meter(2**64 - 1)
    assert meter.register_mwh == 2**62
    meter.sample(2**31, 2**31, 0)
    meter.sample(0, 0, 2000)
    assert meter.register_mwh == 2**62
