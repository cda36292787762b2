# SPDX-License-Identifier: GPL-3.0-or-later
"""The program that a virtual board runs: console on its stdin and stdout, hardware on fd 3.

The program itself is an anonymous file in memory. It gets no descriptor of evtool but these
four, and of the environment only what the caller says. When the board goes away, however it
goes, the program finds the end of file on all of them.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import tempfile
from collections.abc import Mapping
from pathlib import Path

from evtool.errors import DeviceError

HARDWARE_FD = 3
# A program that reads its lines more slowly than a CAN bus brings frames loses frames.
_UNSENT_LIMIT = 1 << 20
_LINE_LIMIT = 1 << 20
_READ_SIZE = 65_536


class AppProcess:
    """A running program. Wait on the three descriptors; `stop` it in the end.

    Args:
        payload: the executable file.
        environment: its whole environment.

    Raises:
        DeviceError: the computer cannot run it.
    """

    def __init__(self, payload: bytes, environment: Mapping[str, str]) -> None:
        console_in, self._typing = os.pipe2(os.O_CLOEXEC)
        self._console, console_out = os.pipe2(os.O_CLOEXEC)
        self._hardware, hardware = socket.socketpair()
        program = _program_file(payload)
        try:
            self._pid = _spawn(program, environment, (console_in, console_out, hardware.fileno()))
        except OSError as error:
            for descriptor in (self._typing, self._console):
                os.close(descriptor)
            self._hardware.close()
            raise DeviceError(
                f"cannot run the firmware: {error.strerror or error}",
                fix="build it for this computer: evtool build --env host",
            ) from error
        finally:
            for descriptor in (console_in, console_out, program):
                os.close(descriptor)
            hardware.close()
        self._exit = os.pidfd_open(self._pid)
        for descriptor in (self._typing, self._console):
            os.set_blocking(descriptor, False)
        self._hardware.setblocking(False)
        self._unsent = bytearray()
        self._unread = b""

    @property
    def console_descriptor(self) -> int:
        """Readable when the program printed something."""
        return self._console

    @property
    def hardware_descriptor(self) -> int:
        """Readable when the program sent a hardware line."""
        return self._hardware.fileno()

    @property
    def exit_descriptor(self) -> int:
        """Readable when the program has ended."""
        return self._exit

    @property
    def wants_to_send(self) -> bool:
        """Whether `flush` has hardware lines left to send."""
        return bool(self._unsent)

    def type(self, data: bytes) -> None:
        """Give bytes to the console; what does not fit is lost, as in a UART's buffer."""
        with contextlib.suppress(OSError):
            os.write(self._typing, data)

    def send(self, line: str) -> bool:
        """Send one hardware line; False: the program does not read and the line is lost."""
        if len(self._unsent) > _UNSENT_LIMIT:
            return False
        self._unsent += line.encode() + b"\n"
        self.flush()
        return True

    def flush(self) -> None:
        """Send as much as the program takes."""
        with contextlib.suppress(OSError):
            while self._unsent:
                del self._unsent[: self._hardware.send(self._unsent)]

    def read_console(self) -> bytes | None:
        """What was printed; b"" for nothing now, None at its end."""
        try:
            return os.read(self._console, _READ_SIZE) or None
        except BlockingIOError:
            return b""

    def read_lines(self) -> list[str] | None:
        """Hardware lines; an empty list for none now, None at their end."""
        try:
            data = self._hardware.recv(_READ_SIZE)
        except BlockingIOError:
            return []
        except OSError:
            return None
        if not data:
            return None
        *lines, self._unread = (self._unread + data).split(b"\n")
        self._unread = self._unread[-_LINE_LIMIT:]
        return [line.decode("utf-8", "replace") for line in lines]

    def stop(self) -> int:
        """Kill what still runs, reap it, close everything; the exit code (negative: a signal)."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._pid, signal.SIGKILL)
        _, status = os.waitpid(self._pid, 0)
        for descriptor in (self._exit, self._typing, self._console):
            os.close(descriptor)
        self._hardware.close()
        return os.waitstatus_to_exitcode(status)


def describe_exit(return_code: int) -> str:
    """The end of a program in words."""
    if return_code >= 0:
        return f"exit code {return_code}"
    try:
        return signal.Signals(-return_code).name
    except ValueError:
        return f"signal {-return_code}"


def _program_file(payload: bytes) -> int:
    """A descriptor, for reading only, of a file that has no name."""
    try:
        writable = os.memfd_create("firmware", 0)
        path = f"/proc/self/fd/{writable}"
    except OSError:  # forbidden here (vm.memfd_noexec): a private file that is unlinked at once
        writable, path = tempfile.mkstemp(prefix="evtool-firmware-")
    try:
        with open(writable, "wb", closefd=False) as stream:
            stream.write(payload)
        os.fchmod(writable, 0o700)
        # The kernel runs no file that is open for writing.
        return os.open(path, os.O_RDONLY)
    finally:
        os.close(writable)
        if not path.startswith("/proc/"):
            Path(path).unlink()


def _spawn(program: int, environment: Mapping[str, str], descriptors: tuple[int, int, int]) -> int:
    console_in, console_out, hardware = descriptors
    moves = [
        (os.POSIX_SPAWN_DUP2, console_in, 0),
        (os.POSIX_SPAWN_DUP2, console_out, 1),
        (os.POSIX_SPAWN_DUP2, console_out, 2),
        (os.POSIX_SPAWN_DUP2, hardware, HARDWARE_FD),
    ]
    # Dispositions that Python set for itself would otherwise be inherited.
    defaults = [signal.SIGPIPE, signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
    os.set_inheritable(program, True)  # an interpreter (#!) opens it again by this name
    return os.posix_spawn(
        f"/proc/self/fd/{program}",
        ["firmware", "--board"],
        environment,
        file_actions=moves,
        setpgroup=0,
        setsigdef=defaults,
        setsigmask=[],
    )
