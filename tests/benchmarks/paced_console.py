# SPDX-License-Identifier: GPL-3.0-or-later
"""A board's console that is as fast as its line: bytes on pseudo-terminals at a rate.

As a program: `paced_console.py BYTES_A_SECOND COUNT SECONDS FILE [TEXTS]` prints the ports, and
writes to all of them from one line on stdin on, byte after byte, as a UART does. A line that nobody
reads in time is lost, as at a real port: the kernel keeps 64 KB, here as there. At the end it
prints how many lines it had for each port, and how many were lost; FILE then says when the last
byte of each line of the first port was written, in nanoseconds of the monotonic clock, as 64-bit
integers.
"""

from __future__ import annotations

import array
import os
import sys
import termios
import time
import tty
from collections import deque
from pathlib import Path

TICK_S = 0.001
KEPT = 65_536

_TEXTS = (
    b"\x1b[0;32mI (%d) wifi:connected with aid = 3, channel 6, BW20, bssid = 24:6f:28\x1b[0m",
    b"\x1b[0;33mW (%d) evnet: reconnecting to the central system in 12 s, attempt 3\x1b[0m",
    b"I (%d) evcan: 120 frames a second, none lost, none failed, bus running",
    b"D (%d) heap: 81234 free, 61440 in one block, lowest 55012",
)
_RECORDS = (
    b"[terminal] v=71.90V i=29.75A p=2139.0W status=charging energy=12.345kWh session=0.456kWh"
    b" age=80ms",
    b"[bms] v=72.00V i=30.00A switch=on mode=charging soc=55.1% age=120ms"
    b" raw=02 D0 01 2C 00 00 00 00",
)
RECORD_EVERY = 20
_BACKTRACES = (
    b"Guru Meditation Error: Core  1 panic'ed (LoadProhibited). Exception was unhandled.",
    b"Backtrace: 0x400d%04x:0x3ffb1f90 0x400d3a1c:0x3ffb1fb0 0x400d4f22:0x3ffb1fd0",
)
LOG, BACKTRACES = "log", "backtraces"


def line_of(number: int, texts: str = LOG) -> bytes:
    """Line `number`, which says so: of a log, where one of twenty comes with a record, or of a
    board that breaks down without a pause, each time elsewhere."""
    mark = b" #%d;\r\n" % number
    if texts == BACKTRACES:
        head, backtrace = _BACKTRACES
        return (backtrace % (number & 0xFFFF) if number % 2 else head) + mark
    if number % RECORD_EVERY == 0:
        return _RECORDS[number // RECORD_EVERY % 2] + b"\r\n" + mark[1:]
    return _TEXTS[number % 4] % (number * 7) + mark


class PacedPort:
    """One port and what is written to it."""

    def __init__(self, texts: str = LOG) -> None:
        self._texts = texts
        self._master, slave = os.openpty()
        tty.setraw(slave, termios.TCSANOW)
        self.name = os.ttyname(slave)
        self._slave = slave  # kept open: a port does not hang up while nobody has it open
        os.set_blocking(self._master, False)
        self._coming = b""  # of the line that is on its way
        self._waiting = b""  # sent, and not taken yet
        self._sent = self._taken = 0
        self._ends: deque[tuple[int, int]] = deque()
        self.lines = 0
        self.lost = 0
        self._is_lost = False
        self.times: dict[int, int] = {}

    def advance(self, size: int) -> None:
        """Send `size` bytes more."""
        while size > 0:
            if not self._coming:
                self._next_line()
            piece, self._coming = self._coming[:size], self._coming[size:]
            size -= len(piece)
            if not self._is_lost:
                self._waiting += piece
        self.flush()

    def _next_line(self) -> None:
        line = self._coming = line_of(self.lines, self._texts)
        self.lines += 1
        self._is_lost = len(self._waiting) + len(line) > KEPT
        if self._is_lost:
            self.lost += 1
            return
        self._sent += len(line)
        self._ends.append((self._sent, self.lines - 1))

    def flush(self) -> None:
        """Write what there is room for."""
        try:
            if self._waiting:
                size = os.write(self._master, self._waiting)
                self._waiting = self._waiting[size:]
                self._taken += size
        except BlockingIOError:
            return
        now_ns = time.monotonic_ns()
        while self._ends and self._ends[0][0] <= self._taken:
            self.times[self._ends.popleft()[1]] = now_ns


def main() -> None:
    """Serve until the time is over."""
    rate, count, seconds = float(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    texts = sys.argv[5] if len(sys.argv) > 5 else LOG
    ports = [PacedPort(texts) for _ in range(count)]
    sys.stdout.write(" ".join(port.name for port in ports) + "\n")
    sys.stdout.flush()
    sys.stdin.readline()
    start = time.monotonic()
    sent = 0
    while (now := time.monotonic() - start) < seconds:
        due = int(rate * now) - sent
        sent += due
        for port in ports:
            port.advance(due)
        time.sleep(TICK_S)
    deadline = time.monotonic() + 0.5
    while time.monotonic() < deadline:
        for port in ports:
            port.flush()
        time.sleep(TICK_S)
    times = array.array("q", (ports[0].times.get(line, 0) for line in range(ports[0].lines)))
    Path(sys.argv[4]).write_bytes(times.tobytes())
    sys.stdout.write(" ".join(f"{port.lines}:{port.lost}" for port in ports) + "\n")
    sys.stdout.flush()
    sys.stdin.readline()


if __name__ == "__main__":
    main()
