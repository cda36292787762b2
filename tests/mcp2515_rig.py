# SPDX-License-Identifier: GPL-3.0-or-later
"""The MCP2515's driver in a process of its own, with the model of the chip at its wires."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hypothesis import HealthCheck, settings
from mcp2515_chip import Mcp2515Chip, Wire

from evtool.protocol import can_tables
from evtool.resources import firmware_dir

LIBRARIES = firmware_dir() / "lib"
REQUEST, CAPACITY, DISCHARGE = (
    can_tables.ChargeRequest.ID,
    can_tables.CapacityReply.ID,
    can_tables.DischargeReply.ID,
)
AGAIN = settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
TROUBLE = {"0": "none", "1": "not_installed", "2": "no_answer", "3": "lost_configuration"}


def build(gxx: str, binary: Path) -> Path:
    """Compiles the driver, with sanitizers."""
    flags = ["-std=c++17", "-Wall", "-Wextra", "-Werror", "-fsanitize=address,undefined"]
    flags += [f"-I{LIBRARIES / name / 'include'}" for name in ("evcan", "evcore")]
    sources = [Path(__file__).with_name("mcp2515_main.cpp")]
    sources += sorted((LIBRARIES / "evcan" / "src").glob("*.cpp"))
    sources += [LIBRARIES / "evcore" / "src" / "names.cpp"]
    command = [gxx, *flags, *map(str, sources), "-o", str(binary)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, f"{done.returncode}: {done.stderr}"
    return binary


class Rig:
    """The driver's process, and the chip at its wires."""

    def __init__(self, program: Path) -> None:
        self.chip = Mcp2515Chip()
        self.process = subprocess.Popen(
            [program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def tell(self, command: str) -> str:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        line = command
        while True:
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()
            word, _, rest = self.process.stdout.readline().rstrip("\n").partition(" ")
            if word == "=":
                return rest
            if word == "spi":
                line = self.chip.transfer(bytes.fromhex(rest)).hex()
            else:
                assert word == "int", word
                line = str(int(self.chip.interrupt))

    def new(self, ids: tuple[int, ...] = (REQUEST, CAPACITY, DISCHARGE), seed: int = 0) -> None:
        """A chip fresh from power-on, and a driver that knows nothing."""
        self.chip = Mcp2515Chip(seed)
        six = (*ids, *[ids[0]] * 6)[:6]
        self.tell(f"new 250000 {ids[0]} {' '.join(map(str, six))}")

    def turn(self) -> str:
        """Some milliseconds, then poll()."""
        self.chip.time_passes()
        return self.tell("poll")

    def run(self, ids: tuple[int, ...] = (REQUEST, CAPACITY, DISCHARGE), seed: int = 0) -> None:
        """As far as the bus."""
        self.new(ids, seed)
        self.tell("open")
        assert [self.turn() for _ in range(4)] == ["recovering"] * 3 + ["running"]
        self.chip.transfers.clear()

    def send(self, frame: Wire, urgent: bool = False) -> None:
        data = frame.data.ljust(8, b"\0").hex()
        words = (int(urgent), frame.can_id, int(frame.extended), int(frame.remote), frame.dlc, data)
        self.tell("send " + " ".join(map(str, words)))

    def receive(self) -> Wire | None:
        return wire_of(self.tell("receive"))

    def receive_all(self) -> list[Wire]:
        frames = []
        while (frame := self.receive()) is not None:
            frames.append(frame)
        return frames

    @property
    def trouble(self) -> str:
        return TROUBLE[self.tell("trouble")]

    @property
    def counts(self) -> tuple[int, int]:
        """Frames lost in receiving, frames that did not go out."""
        lost, failed = self.tell("counts").split()
        return int(lost), int(failed)


def wire_of(text: str) -> Wire | None:
    if text == "-":
        return None
    can_id, extended, remote, dlc, data = text.split()
    length = 0 if remote == "1" else int(dlc)
    assert not bytes.fromhex(data)[length:].strip(b"\0"), "bytes beyond the length"
    used = bytes.fromhex(data)[:length]
    return Wire(int(can_id), extended == "1", remote == "1", int(dlc), used)


@contextmanager
def driver_running(program: Path) -> Iterator[Rig]:
    """A rig whose driver has ended well, and has done nothing that the data sheet forbids."""
    made = Rig(program)
    with made.process:
        yield made
        assert made.process.stdin is not None
        made.process.stdin.close()
        assert made.process.wait(timeout=60) == 0
    assert made.chip.violations == []


def request(number: int = 0, can_id: int = REQUEST) -> Wire:
    return Wire(can_id, dlc=8, data=bytes([number]) * 8)
