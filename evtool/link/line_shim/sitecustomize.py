# SPDX-License-Identifier: GPL-3.0-or-later
"""DTR and RTS of a virtual board's pseudo-terminal, for any program in Python.

`evtool sim lines` puts this folder at the head of PYTHONPATH, so the interpreter imports this
file before the program. It stands alone: the program's Python need not have evtool. A
pseudo-terminal refuses to set control lines; where a virtual board listens beside it, the
board is told instead, and everything else is left as it is.
"""

from __future__ import annotations

import fcntl
import importlib.machinery
import importlib.util
import os
import socket
import struct
import sys
import termios
from pathlib import Path
from typing import Any

_FOLDER = os.environ.get("EVTOOL_LINES", "")
_HERE = Path(__file__).resolve().parent
_WORDS = {
    termios.TIOCMGET: b"g",
    termios.TIOCMSET: b"s",
    termios.TIOCMBIS: b"+",
    termios.TIOCMBIC: b"-",
}
_TIMEOUT_S = 10.0
_kernel_ioctl = fcntl.ioctl


def _board_of(descriptor: Any) -> str | None:
    """The board's socket beside this terminal, or None."""
    number = descriptor if isinstance(descriptor, int) else descriptor.fileno()
    try:
        name = os.ttyname(number)
    except OSError:
        return None
    path = Path(_FOLDER) / name.strip("/").replace("/", "-")
    return str(path) if path.exists() else None


def _tell(path: str, word: bytes, lines: int) -> int:
    """Tell the board, wait until it has acted, and give the lines as they are now."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind("")
        channel.settimeout(_TIMEOUT_S)
        channel.sendto(word + struct.pack("=I", lines), path)
        state: int = struct.unpack("=I", channel.recv(16))[0]
        return state


def _ioctl(descriptor: Any, request: int, argument: Any = 0, mutate_flag: bool = True) -> Any:
    word = _WORDS.get(request)
    path = _board_of(descriptor) if word is not None else None
    if path is None or word is None:
        return _kernel_ioctl(descriptor, request, argument, mutate_flag)
    lines = 0
    if word != b"g":
        lines = argument if isinstance(argument, int) else struct.unpack("=I", bytes(argument))[0]
    try:
        lines = _tell(path, word, lines)
    except ConnectionError:
        # Nobody is there: a board that was killed has left its socket behind.
        return _kernel_ioctl(descriptor, request, argument, mutate_flag)
    if word != b"g":
        return 0
    packed = struct.pack("=I", lines | termios.TIOCM_CTS | termios.TIOCM_DSR | termios.TIOCM_CAR)
    if isinstance(argument, bytearray) and mutate_flag:
        argument[:] = packed
        return 0
    return packed


def _chain() -> None:
    """Run the sitecustomize that this one has pushed aside."""
    others = [entry for entry in sys.path if Path(entry or ".").resolve() != _HERE]
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", others)
    if spec is not None and spec.loader is not None:
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)


if _FOLDER:
    fcntl.ioctl = _ioctl
_chain()
