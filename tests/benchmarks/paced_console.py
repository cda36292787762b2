# SPDX-License-Identifier: GPL-3.0-or-later
"""A board's console that is as fast as its line: lines on pseudo-terminals at a rate.

As a program: `paced_console.py BYTES_A_SECOND COUNT SECONDS` prints the ports, and writes to all of
them from one line on stdin on. A line that nobody reads in time is lost, as at a real port: the
kernel keeps 64 KB, here as there. At the end it prints what it wrote and lost.
"""

from __future__ import annotations

import os
import sys
import termios
import time
import tty

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


def line_of(number: int, now_ns: int) -> bytes:
    """Line `number`, which says when it was written; one of twenty is a record."""
    mark = b" #%d@%d;\r\n" % (number, now_ns)
    if number % RECORD_EVERY == 0:
        return _RECORDS[number // RECORD_EVERY % 2] + b"\r\n" + mark[1:]
    return _TEXTS[number % 4] % (number * 7) + mark


class PacedPort:
    """One port and what is written to it."""

    def __init__(self) -> None:
        self._master, slave = os.openpty()
        tty.setraw(slave, termios.TCSANOW)
        self.name = os.ttyname(slave)
        self._slave = slave  # kept open: a port does not hang up while nobody has it open
        os.set_blocking(self._master, False)
        self._waiting = b""
        self.lines = 0
        self.lost = 0

    def advance(self, size: int) -> int:
        """Write lines of `size` bytes in all, or a little more; how many."""
        made = 0
        while made < size:
            line = line_of(self.lines, time.monotonic_ns())
            self.lines += 1
            made += len(line)
            if len(self._waiting) + len(line) > KEPT:
                self.lost += 1
            else:
                self._waiting += line
        self.flush()
        return made

    def flush(self) -> None:
        """Write what there is room for."""
        try:
            if self._waiting:
                self._waiting = self._waiting[os.write(self._master, self._waiting) :]
        except BlockingIOError:
            pass


def main() -> None:
    """Serve until the time is over."""
    rate, count, seconds = float(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    ports = [PacedPort() for _ in range(count)]
    sys.stdout.write(" ".join(port.name for port in ports) + "\n")
    sys.stdout.flush()
    sys.stdin.readline()
    start = time.monotonic()
    written = [0.0] * count
    while (now := time.monotonic() - start) < seconds:
        for index, port in enumerate(ports):
            due = int(rate * now - written[index])
            if due > 0:
                written[index] += port.advance(due)
            else:
                port.flush()
        time.sleep(TICK_S)
    deadline = time.monotonic() + 0.5
    while time.monotonic() < deadline:
        for port in ports:
            port.flush()
        time.sleep(TICK_S)
    sys.stdout.write(" ".join(f"{port.lines}:{port.lost}" for port in ports) + "\n")
    sys.stdout.flush()
    sys.stdin.readline()


if __name__ == "__main__":
    main()
