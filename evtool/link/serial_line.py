# SPDX-License-Identifier: GPL-3.0-or-later
"""A board's serial port, opened without resetting the board.

The usual ESP32 board resets when RTS is asserted while DTR is not, and starts its download
mode when DTR is asserted while RTS is not. Linux asserts both when a port is opened, which
does nothing; both are then released in one call, so that neither combination ever occurs.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import select
import struct
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import serial
from serial.tools import list_ports

from evtool.errors import ConfigError, DeviceError, EvtoolError, LinkTimeout

DEFAULT_BAUDRATE = 115200
_READ_SIZE = 4096
_MOST = 65_536  # at a time, whatever is sent
# The kernel gives out at most 4095 bytes of a terminal at a time: where it gave less, there was no
# more, or so little that the next reading is early enough.
_FULL = 4000
_WRITE_TIMEOUT_S = 2.0
_QUIET_S = 0.02
_DISCARD_LIMIT_S = 0.3
_RTS = struct.pack("I", termios.TIOCM_RTS)
_RESET_S = 0.1  # the capacitor at EN needs a part of it
_DTR_AND_RTS = struct.pack("I", termios.TIOCM_DTR | termios.TIOCM_RTS)


@contextlib.contextmanager
def terminal_errors() -> Iterator[None]:
    """A terminal's own errors, which are no OSError, as one: pyserial lets some of them pass."""
    try:
        yield
    except termios.error as error:
        raise OSError(*error.args) from error


class _QuietSerial(serial.Serial):
    """pyserial's port, keeping what the board sent before the port was opened.

    The boot line of a board that was just reset may already wait there.
    """

    def _reset_input_buffer(self) -> None:
        pass


class SerialLine:
    """An open port. Use `open_serial_line`; close it, or use it in a `with`.

    Attributes:
        port: the name it was opened by.
    """

    def __init__(self, port: str, line: serial.Serial) -> None:
        self.port = port
        self._line = line
        self._poll = select.poll()
        self._poll.register(line.fileno(), select.POLLIN)

    def read(self, timeout_s: float) -> bytes:
        """What has arrived, or b"" when nothing does within `timeout_s`.

        Raises:
            DeviceError: the port has gone.
        """
        try:
            if not self._poll.poll(max(0.0, timeout_s) * 1000):
                return b""
            data: bytes = self._line.read(_READ_SIZE)
        except (serial.SerialException, OSError) as error:
            raise self._gone(error) from error
        return data

    def fileno(self) -> int:
        """The descriptor to wait on."""
        descriptor: int = self._line.fileno()
        return descriptor

    def read_waiting(self) -> bytes:
        """What has arrived, at most 64 KiB; b"" for nothing. Waits for nothing.

        Raises:
            DeviceError: the port has gone.
        """
        return read_all(self._line.fileno(), self._gone)

    def write_some(self, data: bytes) -> int:
        """Send as much of `data` as there is room for; how much. Waits for nothing.

        Raises:
            DeviceError: the port has gone.
        """
        try:
            return os.write(self._line.fileno(), data)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise self._gone(error) from error

    def discard_waiting(self) -> None:
        """Drop what was sent before now; a board that never pauses is cut in on.

        A pty keeps what nobody read, and hands it out piece by piece, for which
        `tcflush` is not enough.

        Raises:
            DeviceError: the port has gone.
        """
        deadline = time.monotonic() + _DISCARD_LIMIT_S
        while time.monotonic() < deadline:
            if not self.read(_QUIET_S):
                return
        # Where it was this process that was slow, what was sent before now still waits.
        dropped = 0
        while dropped < _MOST and (data := self.read(0)):
            dropped += len(data)

    def write(self, data: bytes) -> None:
        """Send all of `data`.

        Raises:
            LinkTimeout: the port takes no more bytes.
            DeviceError: the port has gone.
        """
        try:
            self._line.write(data)
        except serial.SerialTimeoutException as error:
            raise LinkTimeout(
                f"{self.port}: the port took no bytes for {_WRITE_TIMEOUT_S:g} s",
                fix="check the cable, or unplug the board and plug it in again",
            ) from error
        except (serial.SerialException, OSError) as error:
            raise self._gone(error) from error

    def reset(self) -> bool:
        """Press the board's reset button by RTS; False where the port has no such line."""
        try:
            fcntl.ioctl(self._line.fileno(), termios.TIOCMBIS, _RTS)
            time.sleep(_RESET_S)
            fcntl.ioctl(self._line.fileno(), termios.TIOCMBIC, _RTS)
        except OSError as error:
            if error.errno in (errno.ENOTTY, errno.EINVAL):
                return False
            raise self._gone(error) from error
        return True

    def close(self) -> None:
        """Give the port back; harmless when it is closed or gone."""
        with contextlib.suppress(serial.SerialException, OSError):
            self._line.close()

    def __enter__(self) -> SerialLine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _gone(self, error: Exception) -> DeviceError:
        return DeviceError(
            f"{self.port}: the port disappeared ({_reason(error)})",
            fix="check the cable and the board's power",
        )


def open_serial_line(port: str, baudrate: int = DEFAULT_BAUDRATE) -> SerialLine:
    """Open `port` for this process alone, 8N1, without resetting the board behind it.

    Bytes that already wait there are kept. Works on a pty, which has no DTR and RTS.

    Raises:
        DeviceError: missing (naming the ports that exist), busy (naming who has it), not
            allowed, or not a serial port.
        ConfigError: a baudrate that the port does not have.
    """
    if baudrate <= 0:  # 0 means "hang up" to a terminal
        raise _no_such_baudrate(port, baudrate)
    try:
        with terminal_errors():
            line = _QuietSerial(
                port,
                baudrate,
                timeout=0,
                write_timeout=_WRITE_TIMEOUT_S,
                exclusive=True,
                # On POSIX this only says that DTR is not pyserial's to set while it opens: it
                # would release DTR first and RTS after it, and reset the board in between.
                dsrdtr=True,
            )
    except (serial.SerialException, OSError, ValueError, OverflowError) as error:
        raise port_error(port, baudrate, error) from error
    _tell_empty_from_gone(line.fileno())
    try:
        fcntl.ioctl(line.fileno(), termios.TIOCMBIC, _DTR_AND_RTS)
    except OSError as error:
        # a pty has no such lines: ENOTTY, or EINVAL from some drivers
        if error.errno not in (errno.ENOTTY, errno.EINVAL):
            line.close()
            raise port_error(port, baudrate, error) from error
    return SerialLine(port, line)


def read_all(descriptor: int, gone: Callable[[Exception], DeviceError]) -> bytes:
    """What waits at a descriptor that does not block, at most 64 KiB; b"" for nothing.

    Raises:
        DeviceError: made by `gone`; what was read before that is returned first.
    """
    parts: list[bytes] = []
    size = 0
    while size < _MOST:
        try:
            data = os.read(descriptor, _MOST - size)
            if not data:
                raise OSError(errno.EIO, os.strerror(errno.EIO))  # noqa: TRY301
        except BlockingIOError:
            break
        except OSError as error:
            if parts:
                break
            raise gone(error) from error
        if len(data) < _FULL and not parts:
            return data
        parts.append(data)
        size += len(data)
        if len(data) < _FULL:
            break
    return b"".join(parts)


def _tell_empty_from_gone(descriptor: int) -> None:
    """pyserial asks for reads that return nothing where there is nothing, as they do when the port
    is gone; it waits with `select`, so that it does not need them."""
    with contextlib.suppress(termios.error):
        attributes = termios.tcgetattr(descriptor)
        attributes[6][termios.VMIN] = 1
        termios.tcsetattr(descriptor, termios.TCSANOW, attributes)


def is_url(port: str) -> bool:
    """Whether `port` is a URL of pyserial (rfc2217://, socket://), not a device."""
    return "://" in port


def check_url(url: str) -> None:
    """Refuse a URL of a kind that pyserial does not know; connects to nothing.

    Raises:
        ConfigError: naming it.
    """
    try:
        serial.serial_for_url(url, do_not_open=True)
    except (ValueError, serial.SerialException) as error:
        raise ConfigError(
            f"serial port {url!r}: {error}",
            fix="name a device such as /dev/ttyUSB0, or rfc2217://HOST:PORT",
        ) from error


class SerialPort(NamedTuple):
    """A serial port of this machine; what is behind `description` where it is USB.

    `location` is its place at the hubs: bus, then port by port, as `1-2.3`.
    """

    device: str
    description: str
    vendor_id: int | None
    product_id: int | None
    serial_number: str | None
    location: str | None = None

    def __str__(self) -> str:
        text = self.device
        if self.description not in ("n/a", ""):
            text += f" ({self.description})"
        if self.vendor_id is not None and self.product_id is not None:
            text += f", USB {self.vendor_id:04x}:{self.product_id:04x}"
            text += f", serial number {self.serial_number}" if self.serial_number else ""
        return text


def find_serial_ports() -> list[SerialPort]:
    """The serial ports of this machine, by device."""
    return [
        SerialPort(
            port.device,
            port.description,
            port.vid,
            port.pid,
            port.serial_number,
            port.location,
        )
        for port in sorted(list_ports.comports(), key=lambda port: port.device)
    ]


def list_serial_ports() -> list[str]:
    """The serial ports of this machine, one line of text each: device, description, USB."""
    return [str(port) for port in find_serial_ports()]


def port_error(port: str, baudrate: int, error: Exception) -> EvtoolError:
    """What pyserial's refusal to open `port` means.

    Returns:
        DeviceError or ConfigError, as `open_serial_line` raises them.
    """
    if is_url(port):
        return DeviceError(
            f"cannot open {port}: {_reason(error)}", fix="check host, port and the server there"
        )
    number = error.errno if isinstance(error, OSError) else None
    if number in (errno.ENOENT, errno.ENODEV, errno.ENXIO) or not port:
        ports = list_serial_ports()
        known = "this machine has " + ", ".join(ports) if ports else "this machine has none"
        return DeviceError(
            f"no serial port {port!r}; {known}",
            fix="connect the board, or name another port with --serial-port",
        )
    if number in (errno.EAGAIN, errno.EBUSY):
        holders = _holders(port)
        by = ", held by " + ", ".join(holders) if holders else ""
        return DeviceError(f"{port} is in use{by}", fix="close the other program, then try again")
    if number in (errno.EACCES, errno.EPERM):
        return DeviceError(
            f"{port}: not allowed to open it",
            fix="add yourself to the port's group (`ls -l` names it; often dialout)",
        )
    if isinstance(error, ValueError | OverflowError):
        return _no_such_baudrate(port, baudrate)
    return DeviceError(
        f"{port}: not a serial port that can be used ({_reason(error)})",
        fix="name the board's port, such as /dev/ttyUSB0",
    )


def _no_such_baudrate(port: str, baudrate: int) -> ConfigError:
    return ConfigError(
        f"{port}: no such baudrate: {baudrate}", fix="the firmware's console runs at 115200"
    )


def _reason(error: Exception) -> str:
    """The system's own words; pyserial keeps the error number only in the cause."""
    cause: BaseException | None = error
    while cause is not None:
        number = cause.args[0] if cause.args else None
        if isinstance(cause, OSError | termios.error) and isinstance(number, int):
            return os.strerror(number)
        cause = cause.__cause__ or cause.__context__
    return "it stopped answering"


def _holders(port: str) -> list[str]:
    """The processes that have `port` open, as far as this user may see."""
    device = os.path.realpath(port)
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        if int(folder.name) == os.getpid():
            continue
        try:
            if any(os.path.realpath(link) == device for link in (folder / "fd").iterdir()):
                found.append(f"process {folder.name} ({(folder / 'comm').read_text().strip()})")
        except OSError:
            continue
    return found
