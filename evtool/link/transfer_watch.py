# SPDX-License-Identifier: GPL-3.0-or-later
"""A watch on the sockets of one file transfer: it cuts them off when the time is over.

A server that sends a byte now and then keeps every read of the standard library waiting, in a
status line, in headers, in a TLS handshake, in an FTP answer: a time-out counts from byte to byte.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from types import TracebackType

from evtool.link.clock import monotonic_ms

_LOOK_S = 0.1


class TransferWatch:
    """Cuts off from another thread, between `__enter__` and `__exit__`.

    Args:
        total_s: the longest time altogether.
        cancelled: set from another thread, it ends the transfer too.

    Attributes:
        is_over: the time was over.
    """

    def __init__(self, total_s: float, cancelled: threading.Event) -> None:
        self.is_over = False
        self._end_ms = monotonic_ms() + round(total_s * 1000)
        self._cancelled = cancelled
        self._done = threading.Event()
        self._lock = threading.Lock()
        self._sockets: list[Callable[[], socket.socket | None]] = []
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> TransferWatch:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._done.set()
        self._thread.join()

    def add(self, find: Callable[[], socket.socket | None]) -> None:
        """Watch the socket that `find` gives at the time; None where there is none yet."""
        with self._lock:
            self._sockets.append(find)

    def _look(self) -> None:
        while not self._done.wait(_LOOK_S):
            self.is_over = self.is_over or monotonic_ms() > self._end_ms
            if self.is_over or self._cancelled.is_set():
                self._cut_off()

    def _cut_off(self) -> None:
        with self._lock:
            sockets = [find() for find in self._sockets]
        for each in sockets:
            if each is not None:
                with contextlib.suppress(OSError):
                    # Of the plain socket: TLS would take its state from under who reads.
                    socket.socket.shutdown(each, socket.SHUT_RDWR)
