# SPDX-License-Identifier: GPL-3.0-or-later
"""The hub with the clients it is made for: unmodified python-can, and evtool's own."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import closing

import can
import pytest

from evtool.errors import ConfigError, DeviceError
from evtool.link import can_hub
from evtool.link.can_bus import open_can_bus, parse_socketcand_channel
from evtool.link.can_hub import hub_in_thread
from evtool.protocol.can_frame import CanFrame

WAIT_S = 60.0
FRAME = CanFrame(0x1806E5F4, bytes.fromhex("02D0012C00000000"))


@pytest.fixture
def port() -> Iterator[int]:
    with hub_in_thread() as chosen:
        yield chosen


def python_can(port: int, bus: str = "can0") -> can.BusABC:
    return can.Bus(interface="socketcand", host="127.0.0.1", port=port, channel=bus)


@pytest.mark.parametrize(
    "frame",
    [
        FRAME,
        CanFrame(0x7FF, b"\x01\x02", extended=False),
        CanFrame(0x123, b"", extended=False),
        CanFrame(0x123, b"\xff", extended=True),
    ],
)
def test_a_frame_crosses_between_python_can_and_our_client(port: int, frame: CanFrame) -> None:
    with (
        python_can(port) as theirs,
        closing(open_can_bus(channel=f"127.0.0.1:{port}/can0")) as ours,
    ):
        ours.send(frame)
        message = theirs.recv(WAIT_S)
        assert message is not None
        assert (message.arbitration_id, message.is_extended_id) == (frame.can_id, frame.extended)
        assert bytes(message.data) == frame.data

        theirs.send(
            can.Message(arbitration_id=frame.can_id, is_extended_id=frame.extended, data=frame.data)
        )
        assert ours.receive(WAIT_S) == frame


def test_the_sender_does_not_hear_itself_and_order_is_kept(port: int) -> None:
    channel = f"127.0.0.1:{port}/can0"
    with closing(open_can_bus(channel=channel)) as a, closing(open_can_bus(channel=channel)) as b:
        for number in range(300):
            a.send(CanFrame(0x100 + number, bytes([number & 0xFF])))
        got = [b.receive(WAIT_S) for _ in range(300)]
        assert [frame.can_id for frame in got if frame] == list(range(0x100, 0x100 + 300))
        b.send(FRAME)
        assert a.receive(WAIT_S) == FRAME, "the first frame that the sender hears is another's"


def test_each_name_is_a_bus_of_its_own(port: int) -> None:
    with (
        closing(open_can_bus(channel=f"127.0.0.1:{port}/can0")) as first,
        closing(open_can_bus(channel=f"127.0.0.1:{port}/can1")) as second,
        closing(open_can_bus(channel=f"127.0.0.1:{port}/can1")) as third,
    ):
        first.send(CanFrame(1))
        second.send(CanFrame(2))
        assert third.receive(WAIT_S) == CanFrame(2)


def test_python_can_joins_a_busy_bus(port: int) -> None:
    """Its handshake takes one read for one answer: a frame behind the answer would break it."""
    with closing(open_can_bus(channel=f"127.0.0.1:{port}/can0")) as ours:
        for _ in range(3):
            for _ in range(50):
                ours.send(FRAME)
            with python_can(port) as theirs:
                ours.send(FRAME)
                assert theirs.recv(WAIT_S) is not None


def test_frames_wait_for_a_client_that_is_slow_to_join(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(can_hub, "_SETTLE_S", 3600)
    with (
        hub_in_thread() as port,
        closing(open_can_bus(channel=f"127.0.0.1:{port}/can0")) as a,
        closing(open_can_bus(channel=f"127.0.0.1:{port}/can0")) as b,
        socket.create_connection(("127.0.0.1", port), timeout=60) as slow,
    ):
        assert slow.recv(256) == b"< hi >"
        slow.sendall(b"< open can0 >")
        assert slow.recv(256) == b"< ok >"
        slow.sendall(b"< rawmode >")
        a.send(FRAME)
        assert b.receive(WAIT_S) == FRAME, "one of ours says that it is ready"
        assert slow.recv(256) == b"< ok >"
        slow.sendall(b"< echo >")
        assert slow.recv(256).startswith(b"< frame 1806E5F4 ")


def test_garbage_is_dropped_and_the_bus_goes_on(port: int) -> None:
    channel = f"127.0.0.1:{port}/can0"
    with socket.create_connection(("127.0.0.1", port)) as rude:
        rude.sendall(b"\xff\x00>>< open ../etc >< open can0 >< rawmode ><send zz 1><" + b"x" * 5000)
        rude.sendall(b"< send 123 8 >< send 12345 0 >< send 1FFFFFFFF 0 >< send 7FF 1 2 >")
        with (
            closing(open_can_bus(channel=channel)) as a,
            closing(open_can_bus(channel=channel)) as b,
        ):
            b.send(FRAME)
            assert a.receive(WAIT_S) == FRAME


def test_a_client_that_does_not_read_is_dropped(port: int) -> None:
    channel = f"127.0.0.1:{port}/can0"
    with socket.socket() as slow, closing(open_can_bus(channel=channel)) as sender:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect(("127.0.0.1", port))
        slow.sendall(b"< open can0 >< rawmode >")
        slow.settimeout(0.01)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            for _ in range(2000):
                sender.send(FRAME)
            try:
                # An error on the connection shows without reading from it.
                slow.sendall(b"< echo >")
            except ConnectionError:
                break
            except TimeoutError:
                continue
        else:
            pytest.fail("the client that does not read is still connected")


def test_closing_the_hub_is_an_error_for_its_clients() -> None:
    with hub_in_thread() as port:
        bus = open_can_bus(channel=f"127.0.0.1:{port}/can0")
    with closing(bus), pytest.raises(DeviceError, match=r"closed the connection|reset"):
        bus.receive(WAIT_S)


def test_no_server_says_how_to_start_one(closed_port: int) -> None:
    with pytest.raises(DeviceError, match="evtool sim bus"):
        open_can_bus(channel=f"127.0.0.1:{closed_port}/can0")


def test_a_port_in_use_is_a_device_error(port: int) -> None:
    with pytest.raises(DeviceError, match="--listen"), hub_in_thread(port=port):
        pass


@pytest.mark.parametrize("channel", ["can0", "127.0.0.1/can0", "127.0.0.1:0/can0", "a:1/b/c", ""])
def test_a_wrong_channel_is_a_config_error(channel: str) -> None:
    with pytest.raises(ConfigError, match="HOST:PORT/BUS"):
        parse_socketcand_channel(channel)


def test_an_unknown_interface_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="socketcan"):
        open_can_bus("no-such", "can0")
    with pytest.raises(ConfigError, match="--can-channel"):
        open_can_bus("virtual")


def test_any_python_can_interface_serves() -> None:
    with (
        closing(open_can_bus("virtual", "evtool-test")) as a,
        closing(open_can_bus("virtual", "evtool-test")) as b,
    ):
        a.send(FRAME)
        assert b.receive(WAIT_S) == FRAME
        assert b.receive(0) is None
        a.send(CanFrame(0x123, remote=True, dlc=8))
        assert b.receive(WAIT_S) == CanFrame(0x123, remote=True, dlc=8)
