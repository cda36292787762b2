# SPDX-License-Identifier: GPL-3.0-or-later
"""Standard output that makes nobody wait: what is not taken at once is kept, up to a limit.

A terminal that is stopped (Ctrl-S), or a pipe whose reader is slow, must not keep a serial port
from being read: its buffer in the kernel holds a few milliseconds.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import stat

from evtool.link.own_descriptor import own_descriptor

_MOST_KEPT = 16 << 20
_END_S = 2.0


class Outlet:
    """Bytes to a descriptor. Close it, or use it in a `with`: the rest is waited for, briefly.

    It is opened a second time where that is possible, so that writing without waiting does not
    change how anybody else writes there.

    Attributes:
        dropped: bytes that were not taken, and for which there was no room here.
        is_gone: the reader is no more.
    """

    def __init__(self, descriptor: int, most_kept: int = _MOST_KEPT) -> None:
        self.dropped = 0
        self.is_gone = False
        self._most_kept = most_kept
        self._kept: list[bytes] = []
        self._size = 0
        self._descriptor = own_descriptor(descriptor, os.O_WRONLY)
        # To a file there is always room, and a descriptor of somebody else's may not be changed.
        self._waits = os.get_blocking(self._descriptor) and not stat.S_ISREG(
            os.fstat(self._descriptor).st_mode
        )
        self._room = select.poll()
        self._room.register(self._descriptor, select.POLLOUT)

    @property
    def kept(self) -> int:
        """How many bytes were not taken yet."""
        return self._size

    def write(self, data: bytes) -> None:
        """Write now what there is room for, and the rest later."""
        if self._kept:
            self._keep(data)
            self.flush()
        elif data:
            self._keep_rest(data, self._write(data))

    def flush(self) -> bool:
        """Write more of what was kept; whether there is nothing left."""
        while self._kept:
            data = self._kept[0] if len(self._kept) == 1 else b"".join(self._kept)
            self._kept, self._size = [], 0
            written = self._write(data)
            self._keep_rest(data, written)
            if written < len(data):
                break
        return not self._kept

    def close(self) -> None:
        """Write the rest, as long as it is taken."""
        with contextlib.suppress(OSError):
            while not self.flush() and not self.is_gone and self._room.poll(_END_S * 1000):
                pass
        os.close(self._descriptor)

    def __enter__(self) -> Outlet:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _keep_rest(self, data: bytes, written: int) -> None:
        if written < len(data) and not self.is_gone:
            self._keep(data[written:] if written else data)

    def _keep(self, data: bytes) -> None:
        if self._size + len(data) > self._most_kept:
            self.dropped += len(data)
            return
        self._kept.append(data)
        self._size += len(data)

    def _write(self, data: bytes) -> int:
        """Write once, or as long as it is taken; how much."""
        written = 0
        try:
            while written < len(data):
                if self._waits and not self._room.poll(0):
                    break
                # Where a write may wait, only what there is room for for certain.
                part = data[written : written + 512] if self._waits else data[written:]
                written += os.write(self._descriptor, part)
        except BlockingIOError:
            pass
        except BrokenPipeError:
            self.is_gone = True
        except OSError as error:
            is_file = stat.S_ISREG(os.fstat(self._descriptor).st_mode)
            if is_file or error.errno == errno.ENOSPC:
                raise
            self.is_gone = True  # a terminal that was closed
        return written
