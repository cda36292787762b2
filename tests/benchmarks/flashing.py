# SPDX-License-Identifier: GPL-3.0-or-later
"""How fast a rack is flashed, against plain esptool in the same run (`make bench`).

All boards are virtual ones in one other process, which has its share of the processor. Where the
line and the flash take their time, a board takes the time of a real one; elsewhere only
processor time is spent, and the figures say how little of it is the host's.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from evtool.pytest_plugin import VirtualBoard

BOARDS = 16
EVTOOL = [sys.executable, "-m", "evtool"]
ESPTOOL = [sys.executable, "-m", "esptool", "--chip", "esp32", "--baud", "921600"]
# As a firmware's: 1.2 MB that shrink to 1.0 MB, and an identity that does not shrink.
APP_RANDOM, APP_PLAIN, IDENTITY = 1_000_000, 200_000, 0x6000
PLACES = {"bootloader": 0x1000, "partition-table": 0x8000, "app": 0x10000, "identity": 0x390000}


class Run(NamedTuple):
    """One `evtool flash`: seconds by the clock, its processor time for a board, bytes written."""

    wall_s: float
    cpu_s: float
    written: int


class Bench:
    """Images in a folder, and rows as they are measured."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        generator = random.Random(1)  # noqa: S311 - bytes that do not compress
        contents = {
            "bootloader": generator.randbytes(26_000),
            "partition-table": generator.randbytes(96),
            "app": generator.randbytes(APP_RANDOM) + bytes(APP_PLAIN),
            "identity": generator.randbytes(IDENTITY),
        }
        for name, data in contents.items():
            (folder / name).write_bytes(data)
        self._generator = generator

    def new_identity(self) -> None:
        """Another unit's."""
        (self.folder / "identity").write_bytes(self._generator.randbytes(IDENTITY))

    @contextlib.contextmanager
    def boards(self, *options: str, count: int = BOARDS) -> Iterator[list[str]]:
        """Virtual boards that hold nothing; their ports."""
        with tempfile.TemporaryDirectory(dir=self.folder) as state:
            rack = VirtualBoard(Path(state), "--count", str(count), *options)
            try:
                ports = [rack.serial_port]
                while len(ports) < count:
                    ports.append(str(rack.wait_for("ready")["serial_port"]))
                yield ports
            finally:
                rack.end()

    def station(self, ports: list[str], *options: str) -> Run:
        """`evtool flash` at all of them."""
        argv = [*EVTOOL, "flash", "--json", "--chip", "esp32", "--baudrate", "921600", *options]
        for port in ports:
            argv += ["--serial-port", port]
        for name, offset in PLACES.items():
            argv += ["--image", f"{self.folder / name}@{offset:#x}"]
        before, began = _processor_s(), time.perf_counter()
        done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=self.folder)
        wall_s = time.perf_counter() - began
        cpu_s = (_processor_s() - before) / len(ports)
        run = json.loads(done.stdout.splitlines()[-1])
        assert done.returncode == 0, run
        verdicts = {board["verdict"] for board in run["boards"]}
        written = sum(board["bytes_written"] for board in run["boards"])
        assert len(verdicts) == 1, verdicts
        return Run(wall_s, cpu_s, written)

    def esptool(self, ports: list[str], *command: str) -> float:
        """One esptool a port, side by side: seconds until the last has ended."""
        words = list(command)
        if not words:
            words = ["write-flash"]
            for name, offset in PLACES.items():
                words += [f"{offset:#x}", str(self.folder / name)]
        began = time.perf_counter()
        running = [
            subprocess.Popen([*ESPTOOL, "--port", port, *words], stdout=subprocess.DEVNULL)
            for port in ports
        ]
        assert [process.wait() for process in running] == [0] * len(ports)
        return time.perf_counter() - began


def _processor_s() -> float:
    """Of all children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _row(what: str, wanted: str, seen: str) -> None:
    sys.stdout.write(f"{what:58} {wanted:>14} {seen:>12}\n")
    sys.stdout.flush()


def unthrottled(bench: Bench) -> None:
    """Only processor time counts."""
    with bench.boards() as ports:
        ours = bench.station(ports)
    with bench.boards() as ports:
        theirs_s = bench.esptool(ports)
    _row(
        f"{BOARDS} boards, against {BOARDS} esptool side by side ({theirs_s:.1f} s)",
        ">= 8 x",
        f"{theirs_s / ours.wall_s:.1f} x",
    )
    _row("the host's processor time for a board", "<= 0.100 s", f"{ours.cpu_s:.3f} s")


def at_921600(bench: Bench) -> None:
    """Bytes take their time on the line, and the flash to erase and to program."""
    with bench.boards("--real-time", count=1) as ports:
        full = bench.station(ports)
        bench.new_identity()
        identity = bench.station(ports)
        assert identity.written == IDENTITY
        nothing = bench.station(ports)
        assert nothing.written == 0
        theirs_s = bench.esptool(ports)
    with bench.boards("--real-time") as ports:
        rack = bench.station(ports)
    with bench.boards("--real-time", count=1) as ports:
        again = bench.station(ports)
    # Before and after: the machine may have become busier meanwhile.
    one_s = (full.wall_s + again.wall_s) / 2
    ratio = rack.wall_s / one_s
    _row(f"{BOARDS} boards at 921600 against one ({one_s:.1f} s)", "<= 1.05 x", f"{ratio:.2f} x")
    _row("one board, against esptool", "", f"{theirs_s / full.wall_s:.2f} x")
    _row("only the 24 KB identity differs", ">= 6 x", f"{full.wall_s / identity.wall_s:.1f} x")
    _row("nothing differs", "", f"{full.wall_s / nothing.wall_s:.1f} x")


def rfc2217(bench: Bench) -> None:
    """Behind a server that negotiates."""
    with bench.boards("--transport", "rfc2217", count=1) as ports:
        ours_s = bench.station(ports, "--identify").wall_s
        theirs_s = bench.esptool(ports, "flash-id")
    _row(f"RFC 2217: --identify (esptool flash-id: {theirs_s:.1f} s)", "<= 4 s", f"{ours_s:.1f} s")


def main() -> None:
    """Measure all of it."""
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        digest = hashlib.sha256((bench.folder / "app").read_bytes()).hexdigest()[:8]
        sys.stdout.write(f"flashing, application {digest}{'wanted':>49} {'seen':>12}\n")
        unthrottled(bench)
        at_921600(bench)
        rfc2217(bench)


if __name__ == "__main__":
    main()
