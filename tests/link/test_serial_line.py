# SPDX-License-Identifier: GPL-3.0-or-later
"""A serial port: what it keeps, what it refuses, and what it says when it goes."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import termios
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest

from evtool.errors import ConfigError, DeviceError, LinkTimeout
from evtool.link import serial_line
from evtool.link.serial_line import open_serial_line


class Pty:
    def __init__(self) -> None:
        self.master, self.slave = os.openpty()
        tty.setraw(self.slave, termios.TCSANOW)
        self.port = os.ttyname(self.slave)
        self._open = True

    def close(self) -> None:
        if self._open:
            os.close(self.slave)
            os.close(self.master)
        self._open = False


@pytest.fixture
def pty() -> Iterator[Pty]:
    made = Pty()
    yield made
    made.close()


def test_reads_what_came_before_it_was_opened_and_after(pty: Pty) -> None:
    os.write(pty.master, b"boot\r\n")
    with open_serial_line(pty.port) as line:
        assert line.read(5) == b"boot\r\n"
        assert line.read(0) == b""
        os.write(pty.master, bytes(range(256)))
        got = b""
        while len(got) < 256:
            piece = line.read(5)
            assert piece
            got += piece
        assert got == bytes(range(256))


def test_what_waits_can_be_dropped(pty: Pty) -> None:
    os.write(pty.master, b"old line\r\n" * 390)
    with open_serial_line(pty.port) as line:
        line.discard_waiting()
        os.write(pty.master, b"new")
        assert line.read(5) == b"new"


def test_what_waits_is_dropped_by_a_process_that_was_stopped_too(
    pty: Pty, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serial_line, "_DISCARD_LIMIT_S", 0.0)
    os.write(pty.master, b"old line\r\n" * 390)
    with open_serial_line(pty.port) as line:
        line.discard_waiting()
        os.write(pty.master, b"new")
        assert line.read(5) == b"new"


def test_writes_bytes_unchanged(pty: Pty) -> None:
    with open_serial_line(pty.port, 9600) as line:
        line.write(b"1s\r\n\x03\x00\xff")
        assert os.read(pty.master, 100) == b"1s\r\n\x03\x00\xff"


def test_releases_dtr_and_rts_in_one_call(pty: Pty, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[int, object]] = []
    real = fcntl.ioctl

    def watch(descriptor: int, request: int, *arguments: object) -> object:
        if request in (termios.TIOCMBIS, termios.TIOCMBIC, termios.TIOCMSET):
            calls.append((request, arguments[0]))
            raise OSError(errno.ENOTTY, "a pty has none")
        return real(descriptor, request, *arguments)  # type: ignore[call-overload]

    monkeypatch.setattr(fcntl, "ioctl", watch)
    open_serial_line(pty.port).close()
    both = struct.pack("I", termios.TIOCM_DTR | termios.TIOCM_RTS)
    released = [call for call in calls if call[0] != termios.TIOCMBIS]
    assert released == [(termios.TIOCMBIC, both)]


def test_a_missing_port_names_the_ones_there_are(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(serial_line, "list_serial_ports", lambda: ["/dev/ttyX (CP2102)"])
    with pytest.raises(DeviceError, match=r"this machine has /dev/ttyX \(CP2102\)") as caught:
        open_serial_line(str(tmp_path / "ttyUSB7"))
    assert caught.value.exit_code == 3
    monkeypatch.setattr(serial_line, "list_serial_ports", list)
    with pytest.raises(DeviceError, match="this machine has none"):
        open_serial_line("")


def test_a_port_in_use_is_refused(pty: Pty) -> None:
    with open_serial_line(pty.port), pytest.raises(DeviceError, match="is in use"):
        open_serial_line(pty.port)
    open_serial_line(pty.port).close()


def test_what_is_no_serial_port_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    for path in (file, tmp_path, Path("/dev/null")):
        with pytest.raises(DeviceError, match="not a serial port"):
            open_serial_line(str(path))


@pytest.mark.parametrize("baudrate", [0, -1, 10**12])
def test_a_baudrate_that_does_not_exist(pty: Pty, baudrate: int) -> None:
    with pytest.raises(ConfigError, match="no such baudrate"):
        open_serial_line(pty.port, baudrate)


def test_a_port_that_goes_away(pty: Pty) -> None:
    line = open_serial_line(pty.port)
    pty.close()
    with pytest.raises(DeviceError, match="disappeared"):
        line.read(5)
    with pytest.raises(DeviceError, match="disappeared"):
        line.write(b"1")
    line.close()
    line.close()


def test_a_port_that_takes_nothing(pty: Pty, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serial_line, "_WRITE_TIMEOUT_S", 0.05)
    with open_serial_line(pty.port) as line, pytest.raises(LinkTimeout, match="took no bytes"):
        line.write(b"x" * 1_000_000)
