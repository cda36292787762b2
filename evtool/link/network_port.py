# SPDX-License-Identifier: GPL-3.0-or-later
"""A serial port behind a TCP connection: plain bytes (`socket://`) or RFC 2217 (`rfc2217://`).

pyserial has both; its RFC 2217 takes every byte by itself through a queue and has no descriptor
to wait on, which one thread for many ports at full speed needs.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import time
from urllib.parse import urlsplit

from evtool.errors import ConfigError, DeviceError, LinkTimeout
from evtool.link.serial_line import read_all
from evtool.protocol import rfc2217

CONNECT_TIMEOUT_S = 5.0
_RESET_S = 0.1
_AGREE_S = 3.0
_SCHEMES = ("socket", "rfc2217")


class NetworkPort:
    """An open connection. Use `open_network_port`; close it, or use it in a `with`.

    Attributes:
        port: the URL it was opened by.
    """

    def __init__(self, port: str, connection: socket.socket, client: rfc2217.Client | None) -> None:
        self.port = port
        self._connection = connection
        self._client = client
        self._unsent = b""  # of telnet's own, before anything else
        self._early = b""  # bytes that came while the lines were agreed on
        self._say()

    def fileno(self) -> int:
        """The descriptor to wait on."""
        return self._connection.fileno()

    def read_waiting(self) -> bytes:
        """As `SerialLine.read_waiting`."""
        early, self._early = self._early, b""
        return early + self._plain(read_all(self.fileno(), self._gone))

    def write_some(self, data: bytes) -> int:
        """As `SerialLine.write_some`."""
        if not self._say():
            return 0
        if self._client is None:
            return self._send(data)
        # Half a doubled byte would be another command: what is taken here is sent wholly.
        part = data[:4096]
        self._unsent = rfc2217.encode(part)
        self._say()
        return len(part)

    def discard_waiting(self) -> None:
        """Nothing: a connection that was just made brings nothing old."""

    def reset(self) -> bool:
        """As `SerialLine.reset`; False where the server sets no lines."""
        if self._client is None or not self._agree(self._client):
            return False
        self._client.set_lines(dtr=False, rts=True)
        self._say()
        time.sleep(_RESET_S)
        self._client.set_lines(dtr=False, rts=False)
        self._say()
        return True

    def close(self) -> None:
        """Hang up."""
        with contextlib.suppress(OSError):
            self._connection.close()

    def __enter__(self) -> NetworkPort:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _plain(self, data: bytes) -> bytes:
        if self._client is None or not data:
            return data
        events = self._client.feed(data)
        self._say()
        return b"".join(each.data for each in events if isinstance(each, rfc2217.PortBytes))

    def _agree(self, client: rfc2217.Client) -> bool:
        """Wait for the server's word about the lines."""
        deadline = time.monotonic() + _AGREE_S
        while not client.has_lines and time.monotonic() < deadline:
            self._early += self._plain(read_all(self.fileno(), self._gone))
            time.sleep(0.005)
        return client.has_lines

    def _say(self) -> bool:
        """Send what telnet itself has to say; whether all of it is sent."""
        if self._client is not None:
            self._unsent += self._client.take_answers()
        if self._unsent:
            self._unsent = self._unsent[self._send(self._unsent) :]
        return not self._unsent

    def _send(self, data: bytes) -> int:
        try:
            return self._connection.send(data)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise self._gone(error) from error

    def _gone(self, error: Exception) -> DeviceError:
        ended = isinstance(error, OSError) and error.errno == errno.EIO
        reason = "the server hung up" if ended else _reason(error)
        return DeviceError(
            f"{self.port}: the connection ended ({reason})",
            fix="check the server, its power and the network",
        )


def open_network_port(url: str, baudrate: int) -> NetworkPort:
    """Connect to `socket://HOST:PORT` or `rfc2217://HOST:PORT`; resets nothing.

    Args:
        baudrate: what an RFC 2217 server sets its line to.

    Raises:
        ConfigError: not such a URL.
        LinkTimeout: nobody answers within `CONNECT_TIMEOUT_S`.
        DeviceError: the connection is refused, or there is no such host.
    """
    scheme, host, number = split_url(url)
    try:
        connection = socket.create_connection((host, number), CONNECT_TIMEOUT_S)
    except TimeoutError as error:
        raise LinkTimeout(
            f"{url}: nobody answers within {CONNECT_TIMEOUT_S:g} s",
            fix="check host, port, network and firewall",
        ) from error
    except OSError as error:
        raise DeviceError(
            f"cannot open {url}: {_reason(error)}", fix="check host, port and the server there"
        ) from error
    connection.setblocking(False)
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # A server that lost its power says nothing: ask after it.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, seconds in (
            (socket.TCP_KEEPIDLE, 10),
            (socket.TCP_KEEPINTVL, 5),
            (socket.TCP_KEEPCNT, 3),
        ):
            connection.setsockopt(socket.IPPROTO_TCP, option, seconds)
    return NetworkPort(url, connection, rfc2217.Client(baudrate) if scheme == "rfc2217" else None)


def split_url(url: str) -> tuple[str, str, int]:
    """Scheme, host and port of a network port's URL.

    Raises:
        ConfigError: it is none.
    """
    try:
        parts = urlsplit(url)
        if parts.scheme in _SCHEMES and parts.hostname and parts.port:
            return parts.scheme, parts.hostname, parts.port
    except ValueError:
        pass
    raise ConfigError(
        f"serial port {url!r}: not a URL of a port",
        fix="write socket://HOST:PORT or rfc2217://HOST:PORT",
    )


def _reason(error: Exception) -> str:
    if isinstance(error, socket.gaierror):
        return "no such host"
    if isinstance(error, OSError) and error.errno is not None:
        return os.strerror(error.errno)
    return str(error)
