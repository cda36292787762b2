# SPDX-License-Identifier: GPL-3.0-or-later
"""A board's serial line as a TCP port: plain bytes, or RFC 2217 with rate and control lines.

One program at a time, as at a serial port; a second one is turned away.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable

from evtool.errors import DeviceError
from evtool.link.clock import monotonic_ms
from evtool.link.line_news import Closed, LineEvent, LinesSet, OrderedNews, Received
from evtool.link.outbox import Outbox
from evtool.protocol import rfc2217

_READ_SIZE = 65_536
_DEFAULT_RATE = 115_200
_SIGNATURE = "evtool virtual board"


class SocketLine:
    """The board's end.

    Args:
        host, port: where to listen; port 0 is any free one.
        with_lines: speak RFC 2217, else plain bytes.
        now_ms: the clock, for the age of console text.

    Attributes:
        serial_port: the URL that pyserial opens.

    Raises:
        DeviceError: the port is taken.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        with_lines: bool,
        now_ms: Callable[[], int] = monotonic_ms,
    ) -> None:
        try:
            self._listener = socket.create_server((host, port), backlog=2)
        except OSError as error:
            raise DeviceError(
                f"cannot listen on {host}:{port}: {error.strerror or error}",
                fix="choose another port; 0 takes any free one",
            ) from error
        self._listener.setblocking(False)
        scheme = "rfc2217" if with_lines else "socket"
        self.address = self._listener.getsockname()[:2]
        self.serial_port = f"{scheme}://{self.address[0]}:{self.address[1]}"
        self._with_lines = with_lines
        self._client: socket.socket | None = None
        self._telnet: rfc2217.Server | None = None
        self._session = 0
        self._outbox = Outbox(now_ms, self._write)

    @property
    def descriptor(self) -> int:
        """The connection, while there is one."""
        return self._client.fileno() if self._client is not None else -1

    @property
    def watch_descriptor(self) -> int:
        """Readable when somebody wants to connect."""
        return self._listener.fileno()

    @property
    def session(self) -> int:
        """The number of the connection."""
        return self._session

    @property
    def is_open(self) -> bool:
        """Whether a program is connected."""
        return self._client is not None

    @property
    def wants_to_write(self) -> bool:
        """Whether `flush` has something left to do."""
        return self._outbox.is_waiting

    @property
    def deadline_ms(self) -> int | None:
        """When `receive` is wanted although nothing happened, or None."""
        return self._outbox.deadline_ms

    def baudrate(self) -> int:
        """The rate that the host set; a plain socket has none."""
        return self._telnet.baudrate if self._telnet is not None else _DEFAULT_RATE

    def receive(self) -> OrderedNews:
        """What came, connections and their ends among it."""
        events: list[LineEvent] = []
        # A program that is leaving makes room for one that is waiting.
        while self._client is not None and self._read(self._client, events):
            pass
        self._accept()
        self._outbox.greet(is_open=self.is_open)
        return OrderedNews(tuple(events))

    def send(self, data: bytes, *, discardable: bool) -> None:
        """Queue `data`; console text is discardable, and the oldest of it goes first."""
        if self._with_lines:
            data = rfc2217.encode(data)
        self._outbox.send(data, discardable=discardable, is_open=self.is_open)

    def flush(self) -> None:
        """Write as much of the queue as the connection takes."""
        self._outbox.flush()

    def discard(self) -> None:
        """Drop what was not delivered."""
        self._outbox.discard()

    def close(self) -> None:
        """Hang up and listen no more."""
        self._hang_up()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:  # nobody (any more)
                return
            if self._client is not None:
                client.close()
                continue
            client.setblocking(False)
            with contextlib.suppress(OSError):
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._client = client
            self._session += 1
            self._telnet = rfc2217.Server(_SIGNATURE) if self._with_lines else None

    def _read(self, client: socket.socket, events: list[LineEvent]) -> bool:
        """Read once; whether there may be more."""
        try:
            data = client.recv(_READ_SIZE)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if not data:
            self._hang_up()
            events.append(Closed())
            return False
        if self._telnet is None:
            events.append(Received(data))
            return True
        for event in self._telnet.feed(data):
            match event:
                case rfc2217.PortBytes(plain):
                    events.append(Received(plain))
                case rfc2217.PortLines(dtr, rts):
                    events.append(LinesSet(dtr, rts))
        answers = self._telnet.take_answers()
        if answers:
            self._outbox.send(answers, discardable=False, is_open=True)
        return True

    def _write(self, data: bytes) -> int:
        if self._client is None:
            raise ConnectionError
        return self._client.send(data)

    def _hang_up(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None
        self._telnet = None
        self._outbox.forget()
