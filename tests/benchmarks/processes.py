# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers of benchmarks in processes of their own, and what they and we need of a processor."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Server:
    """A process that serves at a port."""

    pid: int
    port: int


@contextmanager
def server(module: str, *arguments: str) -> Iterator[Server]:
    """Run a module that prints its port, until the end of the block."""
    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield Server(process.pid, int(process.stdout.readline()))
    finally:
        process.kill()
        process.communicate()


def cpu_s(pid: int) -> float:
    """Processor time of a process so far, user and system (Linux; elsewhere 0)."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0.0
    fields = text.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * _TICK_S


def memory_kb(pid: int) -> int:
    """Resident memory of a process (Linux)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    [line] = [each for each in lines if each.startswith("VmRSS:")]
    return int(line.split()[1])


class Meter:
    """Time by the clock, and processor time of this process and another."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._begin = (0.0, 0.0)
        self.elapsed_s = 0.0
        self.cpu_s = 0.0

    def begin(self) -> None:
        """From here on."""
        self._begin = (time.perf_counter(), time.process_time() + cpu_s(self._pid))

    def end(self) -> None:
        """Up to here."""
        elapsed, cpu = time.perf_counter(), time.process_time() + cpu_s(self._pid)
        self.elapsed_s, self.cpu_s = elapsed - self._begin[0], cpu - self._begin[1]
