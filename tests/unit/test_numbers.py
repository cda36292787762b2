# SPDX-License-Identifier: GPL-3.0-or-later
"""Conversions against exact fractions."""

from __future__ import annotations

import math
import struct
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evtool.reference_impl import numbers

U32 = st.integers(0, 2**32 - 1)


def half_up(value: Fraction) -> int:
    return math.floor(value + Fraction(1, 2))


def half_away(value: Fraction) -> int:
    return half_up(value) if value >= 0 else -half_up(-value)


@given(U32)
def test_scales_of_the_module(raw: int) -> None:
    assert numbers.per_1024_to_milli(raw) == half_up(Fraction(raw * 1000, 1024))
    # (raw * 2000 + 30) div 61 is the specified rounding: a half of 61 is 30.5
    assert numbers.current_setpoint_to_milli(raw) == half_up(Fraction(raw * 2000, 61))


@given(st.integers(0, 2**31 - 1))
def test_setpoints(milli: int) -> None:
    assert numbers.voltage_setpoint_to_raw(milli) == half_up(Fraction(milli * 1024, 1000))
    assert numbers.current_setpoint_to_raw(milli) == half_up(Fraction(milli * 61, 2000))


@given(U32)
def test_float32_to_milli(bits: int) -> None:
    value = struct.unpack(">f", struct.pack(">I", bits))[0]
    milli = None if not math.isfinite(value) else half_away(Fraction(value) * 1000)
    if milli is not None and abs(milli) > 2**31:
        milli = None
    assert numbers.float32_to_milli(bits) == milli


@pytest.mark.parametrize(
    ("value", "milli"),
    [
        (72.0, 72000),
        (0.0005, 1),  # the nearest float32 is a little more than the half
        (0.5 / 1024, 0),
        (-1.5, -1500),
        (0.0625, 63),  # 62.5 exactly
        (-0.0625, -63),
        (1e-45, 0),
        (-0.0, 0),
        (2147483.5, 2147483500),
        (2147483.75, None),  # 2147483750 milli-units, beyond 2**31
        (3.4e38, None),
        (math.inf, None),
        (-math.inf, None),
        (math.nan, None),
    ],
)
def test_float32_by_hand(value: float, milli: int | None) -> None:
    bits = struct.unpack(">I", struct.pack(">f", value))[0]
    assert numbers.float32_to_milli(bits) == milli


@given(st.integers(-(2**40), 2**40))
def test_feedback_fields_saturate(milli: int) -> None:
    expected = min(max(half_up(Fraction(milli, 100)), 0), 65535)
    assert numbers.milli_to_deci_field(milli) == expected


@given(st.integers(-(2**31), 2**31), st.integers(-(2**31), 2**31))
def test_power(millivolts: int, milliamperes: int) -> None:
    expected = half_away(Fraction(millivolts * milliamperes, 1000))
    assert numbers.power_mw(millivolts, milliamperes) == expected


@given(st.integers(-(2**32), 2**32), st.integers(1, 2**31 - 1))
def test_state_of_charge(remaining: int, capacity: int) -> None:
    expected = min(max(half_up(Fraction(remaining * 1000, capacity)), 0), 1000)
    assert numbers.soc_permille(remaining, capacity) == expected


def test_state_of_charge_needs_a_capacity() -> None:
    assert numbers.soc_permille(10, 0) is None


@given(st.integers(-(2**50), 2**50), st.sampled_from([1, 2, 3]))
def test_printed_numbers(milli: int, decimals: int) -> None:
    text = numbers.fixed_text(milli, decimals)
    assert Fraction(text) == Fraction(half_away(Fraction(milli * 10**decimals, 1000)), 10**decimals)
    assert len(text.partition(".")[2]) == decimals
    assert text not in ("-0.0", "-0.00", "-0.000")
