# SPDX-License-Identifier: GPL-3.0-or-later
"""What a virtual board costs: a rack of them in one process, each flashed once.

A full cycle is the stub's start, boot loader, partition table, identity and an application of
1.2 MB (compressed, digests compared), and the restart at the end. Processor time and memory are
those of the boards' process alone; memory is what each board adds to it.
"""

from __future__ import annotations

import os
import random
import sys
import tempfile
from pathlib import Path

from benchmarks.flash_client import FlashClient

from evtool.pytest_plugin import VirtualBoard

CPU_S, MEMORY_MB = 0.15, 10.0
COUNT = 16


def files() -> dict[int, bytes]:
    """Four files; the application hardly compresses, as a real one."""
    chance = random.Random(1)  # noqa: S311 - a file to flash
    sizes = {0x1000: 26_000, 0x8000: 96, 0xF000: 24_576, 0x10000: 1_200_000}
    return {offset: chance.randbytes(size) for offset, size in sizes.items()}


def cpu_s(pid: int) -> float:
    """Processor time that a process has taken."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mb(pid: int) -> float:
    """A process's share of memory: what it has for itself, and of a mapped file its pages."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.partition("VmRSS:")[2].split()[0]) / 1024


def measure(count: int) -> tuple[float, float]:
    """Seconds of processor time for a cycle, and MB of memory after it, of `count` boards."""
    images = files()
    with tempfile.TemporaryDirectory() as folder:
        rack = VirtualBoard(Path(folder), "--count", str(count))
        try:
            ports = [rack.serial_port]
            while len(ports) < count:
                ports.append(str(rack.wait_for("ready")["serial_port"]))
            for _ in range(count):
                rack.wait_for("mode", mode="halted")
            pid = rack.process.pid
            before = cpu_s(pid)
            for port in ports:
                client = FlashClient(port)
                client.flash(images)
                client.close()
            return cpu_s(pid) - before, memory_mb(pid)
        finally:
            rack.end()


def main() -> int:
    """Print the figures; 1 where one is beyond its limit."""
    _, alone = measure(1)
    spent, together = measure(COUNT)
    each_s, each_mb = spent / COUNT, (together - alone) / (COUNT - 1)
    sys.stdout.write(
        f"virtual board   {each_s:.3f} s of CPU a flash cycle (limit {CPU_S})\n"
        f"virtual board   {each_mb:.1f} MB of memory (limit {MEMORY_MB:.0f})\n"
    )
    return int(each_s > CPU_S or each_mb > MEMORY_MB)


if __name__ == "__main__":
    sys.exit(main())
