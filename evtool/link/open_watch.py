# SPDX-License-Identifier: GPL-3.0-or-later
"""Who opens and closes a file, in order, by Linux's inotify.

A pseudo-terminal's hang-up flag says whether somebody has it open now; that somebody closed
it and opened it again a moment later it does not say. inotify queues each event.
"""

from __future__ import annotations

import ctypes
import os
import struct
from enum import Enum
from pathlib import Path

from evtool.errors import EvtoolError

_EVENT = struct.Struct("iIII")
_IN_CLOSE = 0x08 | 0x10
_IN_OPEN = 0x20
_BUFFER = 4096


class Opened(Enum):
    """What somebody did with the file."""

    OPEN = "open"
    CLOSE = "close"


class OpenWatch:
    """Watches one file; wait on `fileno`, then call `read`."""

    def __init__(self, path: Path) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor: int = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._descriptor < 0:
            raise _refused(path)
        if libc.inotify_add_watch(self._descriptor, os.fsencode(path), _IN_CLOSE | _IN_OPEN) < 0:
            error = _refused(path)
            os.close(self._descriptor)
            raise error

    def fileno(self) -> int:
        """The file descriptor to wait on."""
        return self._descriptor

    def read(self) -> list[Opened]:
        """What happened since the last call.

        The kernel merges an event with the one before it where both are the same and nobody
        has read that yet, so two opens in one moment may show as one.
        """
        try:
            data = os.read(self._descriptor, _BUFFER)
        except BlockingIOError:
            return []
        events: list[Opened] = []
        position = 0
        while position < len(data):
            _, mask, _, length = _EVENT.unpack_from(data, position)
            position += _EVENT.size + length
            if mask & _IN_OPEN:
                events.append(Opened.OPEN)
            elif mask & _IN_CLOSE:
                events.append(Opened.CLOSE)
        return events

    def close(self) -> None:
        """Stop watching."""
        os.close(self._descriptor)


def _refused(path: Path) -> EvtoolError:
    number = ctypes.get_errno()
    return EvtoolError(
        f"cannot watch {path}: {os.strerror(number)}",
        fix="close programs that watch many files, or raise fs.inotify.max_user_instances",
    )
