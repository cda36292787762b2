# SPDX-License-Identifier: GPL-3.0-or-later
"""pyserial's port with an end to every wait, for a client that was written without one.

esptool sets a port's timeout for every command, and waits without any for a stub that never says
hello. Here the timeout is this object's own affair: the port below keeps one for its whole life,
which is also what makes RFC 2217 fast, where each change of it negotiates all settings of the
line again (100 ms and more, for every command). And every read and write looks at the deadline
of the whole work, and at whether somebody wants it to stop.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import serial

from evtool.errors import LinkTimeout, Stopped
from evtool.link.serial_line import terminal_errors

TIMEOUT_S = 3.0
"""Of a read for which nobody set another one; esptool's own default."""
# How long a read waits before it looks around.
_SLICE_S = 0.25
_POLL_S = 0.002


class WatchedPort:
    """What esptool asks of a port, of the `serial.Serial` that it wraps.

    Attributes:
        deadline: on `time.monotonic`, when no read or write begins any more; None: never.

    Args:
        port: open, with a timeout of its own that stays as it is.
        stop: whether the work is to end now.
    """

    def __init__(self, port: serial.Serial, stop: Callable[[], bool]) -> None:
        self._port = port
        self._stop = stop
        self.timeout: float | None = TIMEOUT_S
        self.deadline: float | None = None

    def read(self, size: int = 1) -> bytes:
        """Up to `size` bytes, as soon as there are any; b"" when the timeout passes.

        Raises:
            LinkTimeout: the deadline has passed.
            Stopped: the work is to end.
            serial.SerialException: the port has gone.
        """
        self._check()
        if size == 0:
            return b""
        limit = time.monotonic() + (TIMEOUT_S if self.timeout is None else self.timeout)
        while True:
            self._check()
            left = limit - time.monotonic()  # first: what came before the end is there to be read
            waiting = self._port.in_waiting
            if waiting or left >= _SLICE_S:
                data: bytes = self._port.read(min(size, max(1, waiting)))
                if data:
                    return data
            elif left <= 0:
                return b""
            else:
                time.sleep(min(left, _POLL_S))

    def write(self, data: bytes) -> int | None:
        """As pyserial's.

        Raises:
            LinkTimeout, Stopped, serial.SerialException: as `read`.
        """
        self._check()
        count: int | None = self._port.write(data)
        return count

    def _check(self) -> None:
        if self._stop():
            raise Stopped("stopped before it was done", fix="run the command again")
        if self.deadline is not None and time.monotonic() >= self.deadline:
            raise LinkTimeout(
                "the board took longer than any board may",
                fix="check the cable, or give a lower --baudrate",
            )

    def __getattr__(self, name: str) -> Any:
        return getattr(self._port, name)

    @property
    def write_timeout(self) -> float | None:
        """Seconds that a write may take, where the port knows such a thing."""
        seconds: float | None = self._port.write_timeout
        return seconds

    @write_timeout.setter
    def write_timeout(self, seconds: float | None) -> None:
        # RFC 2217 knows none, and negotiates the line anew to say so.
        if seconds != self._port.write_timeout and not is_rfc2217(self._port.name or ""):
            self._port.write_timeout = seconds

    @property
    def baudrate(self) -> int:
        """Bits a second."""
        rate: int = self._port.baudrate
        return rate

    @baudrate.setter
    def baudrate(self, rate: int) -> None:
        if rate != self._port.baudrate:
            self._port.baudrate = rate

    @property
    def dtr(self) -> bool:
        """The line DTR; to set it there is `setDTR`."""
        level: bool = self._port.dtr
        return level

    def close(self) -> None:
        """Give the port back; harmless when it is closed or gone."""
        with contextlib.suppress(serial.SerialException, OSError):
            self._port.close()


def is_rfc2217(name: str) -> bool:
    """Whether the port is reached by RFC 2217."""
    return name.startswith("rfc2217:")


def open_watched_port(name: str, stop: Callable[[], bool]) -> WatchedPort:
    """Open a device or a URL of pyserial for this process alone, at 115200.

    Raises:
        serial.SerialException, OSError, ValueError: as pyserial says it.
    """
    # esptool looks a device up by its whole path, to see what kind of USB it is.
    full = str(Path(name).absolute()) if "://" not in name and Path(name).exists() else name
    port = serial.serial_for_url(full, do_not_open=True)
    port.baudrate, port.timeout, port.exclusive = 115_200, _SLICE_S, True
    with terminal_errors():
        port.open()
    return WatchedPort(port, stop)
