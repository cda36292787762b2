# SPDX-License-Identifier: GPL-3.0-or-later
"""The socket beside a pseudo-terminal over which a helped program sets DTR and RTS.

One datagram is a wish (`g` get, `s` set, `+` raise, `-` drop, then the lines as the kernel's
TIOCM bits), its answer the lines as they then are. Whoever sets them waits for the answer, so
the board has acted by then: the order of lines and bytes is kept.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import tempfile
import termios
from collections.abc import Mapping
from pathlib import Path

from evtool.errors import EvtoolError
from evtool.link.files import make_private_folder

FOLDER_VARIABLE = "EVTOOL_LINES"
SHIM_FOLDER = Path(__file__).parent / "line_shim"
_WISH = struct.Struct("=cI")
_STATE = struct.Struct("=I")
_BOTH = termios.TIOCM_DTR | termios.TIOCM_RTS


def lines_folder(environment: Mapping[str, str]) -> Path:
    """Where the sockets of this user's boards are; made if it is missing.

    Raises:
        EvtoolError: the folder belongs to somebody else, or cannot be made.
    """
    named = environment.get(FOLDER_VARIABLE)
    folder = Path(named) if named else Path(tempfile.gettempdir()) / f"evtool-lines-{os.getuid()}"
    make_private_folder(folder)
    if folder.stat().st_uid != os.getuid():
        raise EvtoolError(
            f"{folder} belongs to another user",
            fix=f"name a folder of your own with the environment variable {FOLDER_VARIABLE}",
        )
    return folder


def helped_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment in which a Python program sets the lines of this user's boards."""
    python_path = [str(SHIM_FOLDER), *filter(None, [environment.get("PYTHONPATH")])]
    return {
        **environment,
        FOLDER_VARIABLE: str(lines_folder(environment)),
        "PYTHONPATH": os.pathsep.join(python_path),
    }


class PtyLines:
    """The board's end.

    Args:
        folder: see `lines_folder`.
        serial_port: the pseudo-terminal that it stands beside.

    Raises:
        EvtoolError: the socket cannot be made.
    """

    def __init__(self, folder: Path, serial_port: str) -> None:
        self._path = folder / serial_port.strip("/").replace("/", "-")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._state = 0
        # A board that was killed has left its socket behind; the terminal's number is ours now.
        self._path.unlink(missing_ok=True)
        try:
            self._socket.bind(str(self._path))
        except OSError as error:
            self._socket.close()
            raise EvtoolError(
                f"cannot make the socket {self._path}: {error.strerror or error}",
                fix=f"name a folder with a shorter path with {FOLDER_VARIABLE}",
            ) from error
        self._socket.setblocking(False)
        self._waiting: str | bytes | None = None

    def fileno(self) -> int:
        """The file descriptor to wait on."""
        return self._socket.fileno()

    def receive(self) -> tuple[bool, bool] | None:
        """The next change of the lines (DTR, RTS), to be followed by `answer`; None: no more."""
        while True:
            try:
                data, self._waiting = self._socket.recvfrom(64)
            except OSError:
                return None
            if len(data) != _WISH.size:
                continue
            word, lines = _WISH.unpack(data)
            match word:
                case b"s":
                    self._state = lines & _BOTH
                case b"+":
                    self._state |= lines & _BOTH
                case b"-":
                    self._state &= ~lines
            if word == b"g":
                self.answer()
                continue
            return bool(self._state & termios.TIOCM_DTR), bool(self._state & termios.TIOCM_RTS)

    def answer(self) -> None:
        """Tell whoever asked that it is done."""
        if self._waiting:
            # Nobody waits any more: its program was killed.
            with contextlib.suppress(OSError):
                self._socket.sendto(_STATE.pack(self._state), self._waiting)
        self._waiting = None

    def drop(self) -> None:
        """The last program closed the port: both lines fall."""
        self._state = 0

    def close(self) -> None:
        """Remove the socket."""
        self._socket.close()
        self._path.unlink(missing_ok=True)
