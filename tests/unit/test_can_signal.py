# SPDX-License-Identifier: GPL-3.0-or-later
"""Signals in and out of frames, against cantools and against themselves."""

from __future__ import annotations

import cantools.database
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evtool.protocol.can_signal import ByteOrder, Kind, Signal

FRAMES = st.binary(min_size=8, max_size=8)


@st.composite
def signals(draw: st.DrawFn) -> Signal:
    """Any signal that fits 8 bytes."""
    length = draw(st.integers(1, 64))
    place = draw(st.integers(0, 64 - length))  # bits on its low side, in its own byte order
    order = draw(st.sampled_from(ByteOrder))
    kind = draw(st.sampled_from([Kind.UNSIGNED, Kind.SIGNED]))
    start = place if order is ByteOrder.LITTLE_ENDIAN else place & ~7 | 7 - place % 8
    return Signal(start, length, order, kind)


@st.composite
def signals_and_values(draw: st.DrawFn) -> tuple[Signal, int]:
    """A signal and a value that it can hold."""
    signal = draw(signals())
    return signal, draw(st.integers(signal.lowest, signal.highest))


def in_cantools(signal: Signal) -> object:
    order = int(signal.byte_order is ByteOrder.LITTLE_ENDIAN)
    sign = "-" if signal.kind is Kind.SIGNED else "+"
    text = (
        f'VERSION ""\nBU_: A\nBO_ 1 m: 8 A\n'
        f' SG_ s : {signal.start_bit}|{signal.length}@{order}{sign} (1,0) [0|0] "" A\n'
    )
    database = cantools.database.load_string(text, "dbc", strict=True)
    return database.get_message_by_name("m")  # type: ignore[union-attr]  # it is no diagnostics database


@given(signals(), FRAMES)
def test_extracts_what_cantools_decodes(signal: Signal, data: bytes) -> None:
    decoded = in_cantools(signal).decode(data)  # type: ignore[attr-defined]  # cantools' message
    assert signal.extract(data) == decoded["s"]


@given(signals_and_values())
def test_inserts_what_cantools_encodes(case: tuple[Signal, int]) -> None:
    signal, value = case
    data = bytearray(8)
    signal.insert(data, value)
    encoded = in_cantools(signal).encode({"s": value}, strict=False)  # type: ignore[attr-defined]
    assert data == encoded


@given(signals_and_values(), FRAMES)
def test_what_is_inserted_is_extracted_and_nothing_else_changes(
    case: tuple[Signal, int], before: bytes
) -> None:
    signal, value = case
    data = bytearray(before)
    signal.insert(data, value)
    assert signal.extract(data) == value
    own = {(bit >> 3, bit & 7) for bit in signal.bits}
    for byte in range(8):
        for bit in range(8):
            if (byte, bit) not in own:
                assert data[byte] >> bit & 1 == before[byte] >> bit & 1


def test_a_float_is_the_bits_of_its_pattern() -> None:
    signal = Signal(7, 32, ByteOrder.BIG_ENDIAN, Kind.FLOAT)
    assert signal.extract(bytes.fromhex("C2900000")) == 0xC2900000


@pytest.mark.parametrize(
    ("start", "length", "order"),
    [
        (0, 0, ByteOrder.BIG_ENDIAN),
        (0, 65, ByteOrder.LITTLE_ENDIAN),
        (64, 1, ByteOrder.LITTLE_ENDIAN),
        (-1, 1, ByteOrder.BIG_ENDIAN),
        (60, 5, ByteOrder.LITTLE_ENDIAN),
        (56, 2, ByteOrder.BIG_ENDIAN),
        (6, 64, ByteOrder.BIG_ENDIAN),
    ],
)
def test_a_signal_outside_the_frame_is_refused(start: int, length: int, order: ByteOrder) -> None:
    with pytest.raises(ValueError, match=r"signal has|leave the 8 bytes"):
        Signal(start, length, order)


def test_a_value_or_frame_that_does_not_fit_is_refused() -> None:
    signal = Signal(23, 16, kind=Kind.SIGNED)
    assert signal.byte_count == 4
    with pytest.raises(ValueError, match="32768 is not in -32768 to 32767"):
        signal.insert(bytearray(8), 32768)
    with pytest.raises(ValueError, match="needs 4 bytes, not 3"):
        signal.extract(bytes(3))
    with pytest.raises(ValueError, match="needs 4 bytes, not 3"):
        signal.insert(bytearray(3), 0)
