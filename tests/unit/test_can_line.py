# SPDX-License-Identifier: GPL-3.0-or-later
"""The text of a CAN frame between the host program and what surrounds it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evtool.protocol.can_frame import CanFrame, Malformed
from evtool.protocol.can_line import parse_can_words, render_can_line

FRAMES = st.builds(
    CanFrame,
    st.integers(0, 0x7FF),
    st.binary(max_size=8),
    extended=st.booleans(),
) | st.builds(
    CanFrame,
    st.integers(0, 0x1FFFFFFF),
    remote=st.just(True),
    dlc=st.integers(0, 8),
)


@given(FRAMES, st.integers(0, 1))
def test_a_frame_survives_its_line(frame: CanFrame, number: int) -> None:
    line = render_can_line(number, frame)
    assert line.startswith(f"can {number} ")
    assert parse_can_words(line.removeprefix("can ")) == (number, frame)
    assert parse_can_words(line.removeprefix("can ").lower()) == (number, frame)


@given(st.text(max_size=60) | st.from_regex(r"[0-9] [0-9A-F]{8} [xs] [dr] [0-9] [0-9A-F]+"))
def test_no_line_raises_and_what_is_read_renders_again(words: str) -> None:
    parsed = parse_can_words(words)
    if not isinstance(parsed, Malformed):
        assert render_can_line(*parsed).upper() == f"can {words}".upper()


@pytest.mark.parametrize(
    "words",
    [
        "0 1806E5F4 x d 2 01",  # dlc and data disagree
        "0 1806E5F4 x r 2 0102",  # a remote frame with data
        "0 20000000 x d 1 01",  # beyond 29 bits
        "0 00000800 s d 1 01",  # beyond 11 bits
        "2 1806E5F4 x d 1 01",
        "0 1806E5F4 x d 9 010203040506070809",
        "0 1806E5F4 x d 1 0_1",
        "0 1806E5F4 x d 1  01",
        "0 1806E5F4 x d 1 01\n",
        "0 \u06611806E5F x d 1 01",
    ],
)
def test_words_that_break_a_rule_are_no_frame(words: str) -> None:
    assert isinstance(parse_can_words(words), Malformed)
