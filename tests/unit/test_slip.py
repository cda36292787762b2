# SPDX-License-Identifier: GPL-3.0-or-later
"""SLIP: encode and decode are inverse, and how the bytes arrive does not matter."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from evtool.protocol import slip
from evtool.protocol.can_frame import Malformed

# Bytes that mean something to SLIP, far more often than chance would bring them.
AWKWARD = st.lists(
    st.one_of(st.sampled_from([0xC0, 0xDB, 0xDC, 0xDD]), st.integers(0, 255)), max_size=60
).map(bytes)


def in_chunks(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[a:b] for a, b in itertools.pairwise(edges)]


@given(st.lists(AWKWARD.filter(bool), max_size=5), st.lists(st.integers(0, 10_000), max_size=20))
def test_decode_gives_back_what_was_encoded_in_any_chunking(
    payloads: list[bytes], cuts: list[int]
) -> None:
    wire = b"".join(slip.encode(payload) for payload in payloads)
    decoder = slip.Decoder()
    seen = [frame for chunk in in_chunks(wire, cuts) for frame in decoder.feed(chunk)]
    assert seen == payloads


@given(AWKWARD, st.lists(st.integers(0, 10_000), max_size=20))
def test_any_bytes_decode_the_same_in_any_chunking_and_never_raise(
    wire: bytes, cuts: list[int]
) -> None:
    decoder = slip.Decoder(max_length=16)
    whole = slip.Decoder(max_length=16).feed(wire)
    assert [frame for chunk in in_chunks(wire, cuts) for frame in decoder.feed(chunk)] == whole


def test_encoding_matches_the_standard() -> None:
    assert slip.encode(b"\xc0a\xdb") == b"\xc0\xdb\xdca\xdb\xdd\xc0"


def test_noise_before_a_frame_and_empty_frames_are_dropped() -> None:
    assert slip.Decoder().feed(b"noise\xc0\xc0\xc0ok\xc0") == [b"ok"]


def test_a_broken_escape_spoils_one_frame_only() -> None:
    frames = slip.Decoder().feed(b"\xc0a\xdbb\xc0good\xc0\xc0x\xdb\xc0last\xc0")
    assert frames[1::2] == [b"good", b"last"]
    assert all(isinstance(frame, Malformed) for frame in frames[0::2])


def test_an_endless_frame_is_reported_once_and_takes_no_memory() -> None:
    decoder = slip.Decoder(max_length=10)
    assert decoder.feed(b"\xc0" + b"x" * 5000) == []
    assert len(decoder._frame) == 0
    frames = decoder.feed(b"y" * 5000 + b"\xc0next\xc0")
    assert frames == [Malformed("frame longer than 10 bytes"), b"next"]
