# SPDX-License-Identifier: GPL-3.0-or-later
"""The socketcand protocol: what is rendered is read back, and nothing on the wire raises."""

from __future__ import annotations

import pytest
from can.interfaces.socketcand.socketcand import (
    convert_ascii_message_to_can_message,
    convert_can_message_to_ascii_message,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from evtool.protocol import socketcand
from evtool.protocol.can_frame import CanFrame, Malformed

frames = st.one_of(
    st.builds(CanFrame, st.integers(0, 0x1FFFFFFF), st.binary(max_size=8), st.just(True)),
    st.builds(CanFrame, st.integers(0, 0x7FF), st.binary(max_size=8), st.just(False)),
)


@settings(deadline=None)
@given(frames)
def test_a_frame_is_read_back_by_us_and_by_python_can(frame: CanFrame) -> None:
    sent = socketcand.render_send(frame)
    seen = socketcand.render_frame(frame, 1.5)
    assert socketcand.parse_send(sent[2:-2]) == frame
    assert socketcand.parse_frame(seen[2:-2]) == frame

    message = convert_ascii_message_to_can_message(seen)
    assert (message.arbitration_id, message.is_extended_id) == (frame.can_id, frame.extended)
    assert (bytes(message.data), message.timestamp) == (frame.data, 1.5)
    again = convert_can_message_to_ascii_message(message)
    assert socketcand.parse_send(again[2:-2].strip()) == frame


@settings(deadline=None)
@given(st.lists(frames, max_size=5), st.data())
def test_chunking_does_not_matter(sent: list[CanFrame], data: st.DataObject) -> None:
    stream = "".join(socketcand.render_send(frame) for frame in sent).encode("ascii")
    splitter = socketcand.ElementSplitter()
    elements = []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        elements += splitter.feed(stream[:size])
        stream = stream[size:]
    assert [socketcand.parse_send(element) for element in elements] == sent


@settings(deadline=None)
@given(st.binary(max_size=600))
def test_nothing_on_the_wire_raises(stream: bytes) -> None:
    for element in socketcand.ElementSplitter().feed(stream):
        assert isinstance(socketcand.parse_send(element), CanFrame | Malformed | None)
        assert isinstance(socketcand.parse_frame(element), CanFrame | Malformed | None)


@settings(deadline=None)
@given(st.text(alphabet="0123456789abcdefxg +-_.", max_size=40))
def test_nothing_behind_send_or_frame_raises(text: str) -> None:
    assert isinstance(socketcand.parse_send(f"send {text}"), CanFrame | Malformed)
    assert isinstance(socketcand.parse_frame(f"frame {text}"), CanFrame | Malformed)


def test_a_remote_frame_cannot_be_said() -> None:
    with pytest.raises(ValueError, match="remote"):
        socketcand.render_send(CanFrame(1, remote=True))
    with pytest.raises(ValueError, match="remote"):
        socketcand.render_frame(CanFrame(1, remote=True), 0.0)
