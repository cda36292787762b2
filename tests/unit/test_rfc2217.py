# SPDX-License-Identifier: GPL-3.0-or-later
"""Both halves of RFC 2217, byte by byte."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evtool.protocol import rfc2217
from evtool.protocol.rfc2217 import Client, PortBytes, PortEvent, PortLines, Server

WILL_COM_PORT, DO_COM_PORT = bytes([255, 251, 44]), bytes([255, 253, 44])


def sub(code: int, data: bytes = b"") -> bytes:
    """A subnegotiation from the client or, with 100 added, from the server."""
    return bytes([255, 250, 44, code]) + rfc2217.encode(data) + bytes([255, 240])


def plain(events: list[PortEvent]) -> bytes:
    return b"".join(event.data for event in events if isinstance(event, PortBytes))


@settings(deadline=None)
@given(data=st.binary(max_size=200), cuts=st.lists(st.integers(0, 400), max_size=6))
def test_bytes_pass_in_any_pieces(data: bytes, cuts: list[int]) -> None:
    wire = rfc2217.encode(data)
    server = Server("test")
    found: list[PortEvent] = []
    position = 0
    for cut in [*sorted(min(cut, len(wire)) for cut in cuts), len(wire)]:
        found += server.feed(wire[position:cut])
        position = cut
    assert plain(found) == data
    assert server.take_answers() == b""


@settings(deadline=None)
@given(st.lists(st.binary(max_size=40), max_size=8))
def test_no_bytes_of_a_client_raise(pieces: list[bytes]) -> None:
    server = Server("test")
    for piece in pieces:
        server.feed(piece)
        server.take_answers()


def test_an_option_is_agreed_on_once_and_an_unknown_one_refused() -> None:
    server = Server("test")
    server.feed(WILL_COM_PORT + WILL_COM_PORT)
    assert server.take_answers() == DO_COM_PORT
    server.feed(DO_COM_PORT)
    assert server.take_answers() == WILL_COM_PORT
    server.feed(bytes([255, 251, 24, 255, 253, 1]))
    assert server.take_answers() == bytes([255, 254, 24, 255, 252, 1])
    server.feed(bytes([255, 252, 44]))
    assert server.take_answers() == bytes([255, 254, 44])


@pytest.mark.parametrize("rate", [300, 115_200, 921_600, 0xFFFF00FF])
def test_any_rate_is_taken_and_told(rate: int) -> None:
    server = Server("test")
    data = rate.to_bytes(4, "big")
    server.feed(sub(1, data))
    assert server.baudrate == rate
    assert server.take_answers() == sub(101, data)
    server.feed(sub(1, bytes(4)))
    assert server.take_answers() == sub(101, data)


def test_control_lines_are_events_in_their_order_among_the_bytes() -> None:
    server = Server("test")
    wire = b"a" + sub(5, b"\x08") + b"b" + sub(5, b"\x0b") + sub(5, b"\x09") + b"c"
    assert server.feed(wire) == [
        PortBytes(b"a"),
        PortLines(True, False),
        PortBytes(b"b"),
        PortLines(True, True),
        PortLines(False, True),
        PortBytes(b"c"),
    ]
    server.take_answers()
    server.feed(sub(5, b"\x07") + sub(5, b"\x0a"))
    assert server.take_answers() == sub(105, b"\x09") + sub(105, b"\x0b")


@pytest.mark.parametrize(("code", "value"), [(2, 8), (3, 1), (4, 1), (5, 1), (12, 3), (10, 0)])
def test_what_a_client_sets_is_answered_as_done(code: int, value: int) -> None:
    server = Server("test")
    server.feed(sub(code, bytes([value])))
    assert server.take_answers() == sub(code + 100, bytes([value]))


def test_the_modem_is_ready_for_whoever_wants_to_hear_of_it() -> None:
    server = Server("test")
    server.feed(sub(11, b"\xff"))
    assert server.take_answers() == sub(111, b"\xff") + sub(107, b"\xb0")
    server.feed(sub(0))
    assert server.take_answers() == sub(100, b"test")


def test_a_client_and_a_server_agree_and_the_line_is_set() -> None:
    client, server = Client(921_600), Server("test")
    for _ in range(6):
        server.feed(client.take_answers())
        assert client.feed(server.take_answers()) == []
    assert client.has_lines
    assert server.baudrate == 921_600
    assert client.take_answers() == server.take_answers() == b""


def test_attaching_moves_no_control_line_and_a_reset_moves_both() -> None:
    client, server = Client(115_200), Server("test")
    events: list[PortEvent] = []
    for _ in range(6):
        events += server.feed(client.take_answers())
        client.feed(server.take_answers())
    assert events == []
    client.set_lines(dtr=False, rts=True)
    assert server.feed(client.take_answers()) == [PortLines(False, False), PortLines(False, True)]


def test_a_server_that_knows_only_telnet_carries_the_bytes() -> None:
    client = Client(115_200)
    client.take_answers()
    refusals = bytes([255, 254, 44, 255, 252, 0, 255, 254, 0, 255, 252, 3, 255, 254, 3])
    assert plain(client.feed(refusals + b"boot\xff\xff\r\n")) == b"boot\xff\r\n"
    assert not client.has_lines


@settings(deadline=None)
@given(data=st.binary(max_size=200), cuts=st.lists(st.integers(0, 400), max_size=6))
def test_bytes_pass_a_client_in_any_pieces(data: bytes, cuts: list[int]) -> None:
    wire = rfc2217.encode(data)
    client = Client(115_200)
    found: list[PortEvent] = []
    position = 0
    for cut in [*sorted(min(cut, len(wire)) for cut in cuts), len(wire)]:
        found += client.feed(wire[position:cut])
        position = cut
    assert plain(found) == data
