# SPDX-License-Identifier: GPL-3.0-or-later
"""What 10,000 charge points in one process need of a processor and of memory: a heartbeat every
10 s each, and of half of them a meter value every 60 s, everything validated. Beside them the
`ocpp` package's client, with fewer.

The central system is a process of its own that does next to nothing (`cheap_csms`).
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any

from benchmarks.processes import cpu_s, memory_kb, server

COUNT = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
BARE_COUNT = COUNT // 10
SETTLE_S = 15
SPAN_S = 60
CONNECT_RATE = 300


@dataclass(frozen=True)
class Need:
    """Of one process: share of a core, resident memory, Calls a second that were answered."""

    count: int
    cpu_share: float
    memory_mb: float
    calls_per_s: float


def measure(pid: int, seconds: float) -> tuple[float, float]:
    """Share of a core over a while, and memory in MB after it."""
    time.sleep(SETTLE_S)
    begin, cpu = time.perf_counter(), cpu_s(pid)
    time.sleep(seconds)
    share = (cpu_s(pid) - cpu) / (time.perf_counter() - begin)
    return share, memory_kb(pid) / 1024


def ours(port: int) -> Need:
    process = subprocess.Popen(
        [sys.executable, "-m", "evtool", "sim", "charge-point", f"ws://127.0.0.1:{port}",
         "CP-{n:05}", "--count", str(COUNT), "--connect-rate", str(CONNECT_RATE),
         "--heartbeat", "10", "--charging", "50", "--meter-interval", "60",
         "--transaction-length", "3600", "--json"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        while (progress(process.stdout.readline()))["connected"] < COUNT:
            pass
        share, memory = measure(process.pid, SPAN_S)
        seen = [progress(process.stdout.readline()) for _ in range((SETTLE_S + SPAN_S) // 5)]
    finally:
        process.kill()
        process.communicate()
    errors = seen[-1]["errors"]
    assert seen[-1]["connected"] == COUNT
    sys.stdout.write(f"errors of ours: {errors or 'none'}\n")
    late = seen[len(seen) // 3 :]
    return Need(COUNT, share, memory, sum(each["calls_per_s"] for each in late) / len(late))


def progress(line: str) -> dict[str, Any]:
    """What a line says; of others nothing."""
    assert line, "the fleet has ended"
    event: dict[str, Any] = json.loads(line)
    return event if event.get("event") == "progress" else {"connected": 0}


def bare(port: int) -> Need:
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.bare_fleet", str(port), str(BARE_COUNT)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "ready\n"
        share, memory = measure(process.pid, SPAN_S)
    finally:
        process.kill()
        process.communicate()
    return Need(BARE_COUNT, share, memory, BARE_COUNT / 10 + BARE_COUNT / 120)


def main() -> None:
    with server("benchmarks.cheap_csms") as csms:
        needs = {"evtool": ours(csms.port), "the ocpp package": bare(csms.port)}
    for name, need in needs.items():
        each_kb = need.memory_mb * 1024 / need.count
        each_us = need.cpu_share / need.calls_per_s * 1e6
        sys.stdout.write(
            f"{name:20}{need.count:7} charge points  {need.cpu_share:5.0%} of a core  "
            f"{need.memory_mb:5.0f} MB  ({each_kb:.1f} KB each, {each_us:.0f} us a Call)\n"
        )


if __name__ == "__main__":
    main()
