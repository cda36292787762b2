# SPDX-License-Identifier: GPL-3.0-or-later
"""A CAN bus to send to and receive from: any python-can interface, or a socketcand server.

For `socketcand` evtool speaks the protocol itself: python-can's client retries a refused
connection in a busy loop for ten seconds, does not notice that the server has gone, and has
no file descriptor to wait on. The bytes are the same, and the hub (`can_hub`) serves both.
"""

from __future__ import annotations

import contextlib
import re
import select
import socket
import time
from collections import deque
from typing import TYPE_CHECKING, Protocol

from evtool.errors import ConfigError, DeviceError, LinkTimeout
from evtool.protocol import socketcand
from evtool.protocol.can_frame import CanFrame, Malformed

if TYPE_CHECKING:
    import can

DEFAULT_INTERFACE = "socketcand"
DEFAULT_CHANNEL = "127.0.0.1:29536/can0"
DEFAULT_BITRATE = 250_000

_SOCKETCAND_CHANNEL = re.compile(
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\s:/\[\]]+):(?P<port>\d{1,5})/(?P<bus>[A-Za-z0-9_-]{1,16})"
)
_CONNECT_TIMEOUT_S = 5.0
_SEND_TIMEOUT_S = 2.0


class CanBus(Protocol):
    """An open bus. `with contextlib.closing(open_can_bus(...)) as bus:` closes it."""

    def send(self, frame: CanFrame) -> None:
        """Hand `frame` to the bus. Raises DeviceError when the bus refuses or has gone."""

    def receive(self, timeout_s: float) -> CanFrame | None:
        """The next frame, or None after `timeout_s`. Raises DeviceError when the bus has gone.

        With 0 it only looks. After `fileno` turned readable, call it with 0 until it
        returns None: several frames may have come at once.
        """

    def fileno(self) -> int:
        """The file descriptor to wait on, or -1 where the interface has none."""

    def close(self) -> None:
        """Leave the bus; twice does no harm."""


def open_can_bus(
    interface: str = DEFAULT_INTERFACE,
    channel: str | None = None,
    bitrate: int = DEFAULT_BITRATE,
) -> CanBus:
    """Open a CAN bus.

    Args:
        interface: `socketcand`, or any other name that python-can knows (socketcan, slcan,
            pcan, virtual, ...).
        channel: the interface's own name of the bus; for socketcand `HOST:PORT/BUS`, by
            default the one that `evtool sim bus` serves.
        bitrate: bit/s; interfaces whose bit rate is set elsewhere ignore it.

    Raises:
        ConfigError: an interface that does not exist, a channel of the wrong form.
        DeviceError: the interface or the bus behind it cannot be opened.
    """
    if interface == "socketcand":
        host, port, bus = parse_socketcand_channel(channel or DEFAULT_CHANNEL)
        return SocketcandBus(host, port, bus)
    if channel is None:
        raise ConfigError(
            f"the CAN interface {interface} needs the name of its bus",
            fix="add --can-channel, for example --can-channel can0",
        )
    return PythonCanBus(interface, channel, bitrate)


def parse_socketcand_channel(channel: str) -> tuple[str, int, str]:
    """Split `HOST:PORT/BUS` into its parts. Raises ConfigError where it is not of that form."""
    match = _SOCKETCAND_CHANNEL.fullmatch(channel)
    if match is None or not 0 < int(match["port"]) < 65536:
        raise ConfigError(
            f"CAN channel {channel!r}: the interface socketcand wants HOST:PORT/BUS",
            fix=f"write for example --can-channel {DEFAULT_CHANNEL}",
        )
    return match["host"].strip("[]"), int(match["port"]), match["bus"]


class SocketcandBus:
    """A client of a socketcand server, in raw mode."""

    def __init__(self, host: str, port: int, bus: str) -> None:
        self._name = f"{host}:{port}/{bus}"
        self._splitter = socketcand.ElementSplitter()
        self._elements: deque[str] = deque()
        self._socket = self._connect(host, port)
        try:
            self._expect("hi")
            self._write(socketcand.render_open(bus))
            self._expect("ok")
            self._write(socketcand.RAW_MODE)
            self._expect("ok")
            self._write(socketcand.ECHO)  # evtool's hub need not wait to see that we are ready
        except BaseException:
            self.close()
            raise

    def send(self, frame: CanFrame) -> None:
        self._write(socketcand.render_send(frame))

    def receive(self, timeout_s: float) -> CanFrame | None:
        deadline = time.monotonic() + timeout_s
        while True:
            while self._elements:
                frame = socketcand.parse_frame(self._elements.popleft())
                # Anything else (error and statistics elements) is not a frame on the bus.
                if isinstance(frame, CanFrame):
                    return frame
            if not self._fill(max(0.0, deadline - time.monotonic())):
                return None

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()

    def _connect(self, host: str, port: int) -> socket.socket:
        try:
            link = socket.create_connection((host, port), timeout=_CONNECT_TIMEOUT_S)
        except OSError as error:
            raise DeviceError(
                f"no CAN bus at {self._name}: {error.strerror or error}",
                fix="start one with `evtool sim bus`, or name another with --can-interface "
                "and --can-channel",
            ) from error
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        link.settimeout(_SEND_TIMEOUT_S)
        return link

    def _expect(self, word: str) -> None:
        deadline = time.monotonic() + _CONNECT_TIMEOUT_S
        while not self._elements:
            if not self._fill(max(0.0, deadline - time.monotonic())):
                raise LinkTimeout(
                    f"{self._name} accepted the connection but does not speak socketcand",
                    fix="check the port: is another program listening there?",
                )
        answer = self._elements.popleft()
        if answer != word:
            raise DeviceError(
                f"{self._name} answered {answer!r}, not {word!r}",
                fix="check the name of the bus behind the slash, and that the server allows it",
            )

    def _fill(self, timeout_s: float) -> bool:
        """Read once; False when nothing came within `timeout_s`."""
        try:
            if not select.select([self._socket], [], [], timeout_s)[0]:
                return False
            data = self._socket.recv(65536)
        except (OSError, ValueError) as error:
            raise self._gone(error) from error
        if not data:
            raise self._gone(None)
        self._elements.extend(self._splitter.feed(data))
        return True

    def _write(self, text: str) -> None:
        try:
            self._socket.sendall(text.encode("ascii"))
        except TimeoutError as error:
            raise LinkTimeout(
                f"CAN bus {self._name}: the server takes no more data",
                fix="restart the socketcand server",
            ) from error
        except OSError as error:
            raise self._gone(error) from error

    def _gone(self, error: Exception | None) -> DeviceError:
        reason = "the server closed the connection" if error is None else str(error)
        return DeviceError(
            f"CAN bus {self._name}: {reason}",
            fix="start the bus again; a client that reads too slowly is disconnected",
        )


class PythonCanBus:
    """Any other interface of python-can."""

    def __init__(self, interface: str, channel: str, bitrate: int) -> None:
        self._name = f"{interface} {channel}"
        # gs_usb gives back what it has sent; elsewhere is_rx is not about that.
        self._echoes = interface == "gs_usb"
        self._bus = _open_python_can(interface, channel, bitrate)

    def send(self, frame: CanFrame) -> None:
        import can  # noqa: PLC0415 - half a second of plug-in discovery, only where it is used

        message = can.Message(
            arbitration_id=frame.can_id,
            is_extended_id=frame.extended,
            is_remote_frame=frame.remote,
            dlc=frame.dlc,
            data=frame.data,
        )
        try:
            self._bus.send(message, timeout=_SEND_TIMEOUT_S)
        except (can.CanError, OSError) as error:
            raise DeviceError(
                f"CAN bus {self._name}: cannot send: {error}",
                fix="check the cable, the termination and the bit rate: "
                "with no other node on the bus nothing acknowledges a frame",
            ) from error

    def receive(self, timeout_s: float) -> CanFrame | None:
        import can  # noqa: PLC0415 - half a second of plug-in discovery, only where it is used

        deadline = time.monotonic() + timeout_s
        while True:
            try:
                message = self._bus.recv(max(0.0, deadline - time.monotonic()))
            except (can.CanError, OSError) as error:
                raise DeviceError(
                    f"CAN bus {self._name}: cannot receive: {error}",
                    fix="check that the adapter is still plugged in",
                ) from error
            if message is None:
                return None
            if self._echoes and not message.is_rx:
                continue
            frame = frame_of(message)
            if isinstance(frame, CanFrame):
                return frame

    def fileno(self) -> int:
        try:
            return self._bus.fileno()
        except NotImplementedError:
            return -1

    def close(self) -> None:
        with contextlib.suppress(Exception):  # leaving a bus that has gone is no error
            self._bus.shutdown()


def _open_python_can(interface: str, channel: str, bitrate: int) -> can.BusABC:
    import can  # noqa: PLC0415 - half a second of plug-in discovery, only where it is used

    if interface not in can.VALID_INTERFACES:
        known = ", ".join(sorted(can.VALID_INTERFACES))
        raise ConfigError(
            f"CAN interface {interface!r} does not exist",
            fix=f"use one of: {known}",
        )
    try:
        return can.Bus(interface=interface, channel=channel, bitrate=bitrate)
    except (can.CanError, OSError, ValueError, TypeError, ImportError) as error:
        fix = f"check that the adapter is plugged in and that {channel!r} is its name"
        if interface == "socketcan":
            fix = (
                f"bring it up: ip link set {channel} up type can bitrate {bitrate}; "
                "`ip -br link` lists the names"
            )
        raise DeviceError(
            f"cannot open the CAN bus {interface} {channel}: {error}", fix=fix
        ) from error


def frame_of(message: can.Message) -> CanFrame | Malformed:
    """python-can's message as a frame of ours, where it is a classic CAN frame."""
    if message.is_error_frame or message.is_fd:
        return Malformed("an error frame, or CAN FD")
    try:
        return CanFrame(
            message.arbitration_id,
            b"" if message.is_remote_frame else bytes(message.data),
            extended=message.is_extended_id,
            remote=message.is_remote_frame,
            dlc=message.dlc,
        )
    except ValueError as error:
        return Malformed(str(error))
