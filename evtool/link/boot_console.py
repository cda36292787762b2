# SPDX-License-Identifier: GPL-3.0-or-later
"""A board's console from the moment of a restart, at a device or behind RFC 2217."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Protocol

import serial

from evtool.errors import ConfigError, DeviceError, Stopped
from evtool.link.serial_line import SerialLine, is_url, open_serial_line, port_error
from evtool.link.watched_port import is_rfc2217

_BAUDRATE = 115_200
_RESET_S = 0.1
_BLINK_S = 0.1


class PortConsole(Protocol):
    """What a restarted board says."""

    def read(self, timeout_s: float) -> bytes:
        """What has arrived, or b"" when nothing does in time."""


class _DeviceConsole:
    """The console at a device, which may go away and come back.

    A chip with USB of its own takes its port with it at every reset.
    """

    def __init__(self, port: str) -> None:
        self._port = port
        self._line: SerialLine | None = open_serial_line(port)

    def reset(self) -> None:
        """Press the reset button, where the port has one."""
        if self._line is not None:
            self._line.reset()

    def read(self, timeout_s: float) -> bytes:
        """What has arrived; b"" as long as the port is away."""
        try:
            if self._line is None:
                self._line = open_serial_line(self._port)
            return self._line.read(timeout_s)
        except DeviceError:
            self.close()
            time.sleep(min(timeout_s, _BLINK_S))
            return b""

    def close(self) -> None:
        """Give the port back."""
        if self._line is not None:
            self._line.close()
            self._line = None


class _Stoppable:
    """A console whose reads end when the work is to end."""

    def __init__(self, console: PortConsole, stop: Callable[[], bool]) -> None:
        self._console = console
        self._stop = stop

    def read(self, timeout_s: float) -> bytes:
        """As the console's; Stopped when the work is to end."""
        if self._stop():
            raise Stopped("stopped while the board was starting", fix="run the command again")
        return self._console.read(timeout_s)


class _UrlConsole:
    """The console behind a URL of pyserial."""

    def __init__(self, url: str, port: serial.Serial) -> None:
        self._url = url
        self._port = port

    def read(self, timeout_s: float) -> bytes:
        """What has arrived within the port's own timeout, which is never changed."""
        limit = time.monotonic() + timeout_s
        try:
            while True:
                data: bytes = self._port.read(max(1, self._port.in_waiting))
                if data or time.monotonic() >= limit:
                    return data
        except (serial.SerialException, OSError) as error:
            raise DeviceError(
                f"{self._url}: the port disappeared", fix="check the server there"
            ) from error


@contextmanager
def restarted_console(port: str, stop: Callable[[], bool]) -> Iterator[PortConsole]:
    """Open the console, press the reset button, and hand on what the board says.

    Raises:
        DeviceError: the port cannot be opened.
        ConfigError: a URL that carries no reset line.
    """
    check_console(port)
    if not is_url(port):
        device = _DeviceConsole(port)
        try:
            device.reset()
            yield _Stoppable(device, stop)
        finally:
            device.close()
        return
    try:
        link = serial.serial_for_url(port, _BAUDRATE, timeout=0.1)
    except (serial.SerialException, OSError) as error:
        raise port_error(port, _BAUDRATE, error) from error
    try:
        link.dtr = False
        link.rts = True
        time.sleep(_RESET_S)
        link.rts = False
        yield _Stoppable(_UrlConsole(port, link), stop)
    finally:
        with suppress(serial.SerialException, OSError):
            link.close()


def check_console(port: str) -> None:
    """Before anything is written: a boot proof must be possible at this port.

    Raises:
        ConfigError: it is a URL that carries no reset line.
    """
    if is_url(port) and not is_rfc2217(port):
        raise ConfigError(
            f"{port}: carries no reset line, so that the board's start cannot be watched",
            fix="use the board's own port or rfc2217://, or leave out --boot-proof",
        )
