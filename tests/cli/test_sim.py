# SPDX-License-Identifier: GPL-3.0-or-later
"""The simulators as processes: ready lines, commands on stdin, and how they end."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import can
import pytest

from evtool.link.can_bus import open_can_bus
from evtool.link.can_hub import hub_in_thread

WAIT_S = 30


class Simulator:
    """A running `evtool sim NAME --json`."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "evtool", "sim", *arguments, "--json"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def tell(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def event(self, name: str) -> dict[str, Any]:
        """The next event of that name; the test's time limit ends a wait without end."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            event: dict[str, Any] = json.loads(line)
            if event.get("event") == name:
                return event
        assert self.process.stderr is not None
        pytest.fail(f"it ended: {self.process.stderr.read()}")

    def close(self) -> int:
        """The exit code after `quit`."""
        self.tell("quit")
        return self.process.wait(WAIT_S)


@contextmanager
def simulator(*arguments: str) -> Iterator[Simulator]:
    running = Simulator(*arguments)
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.process.kill()
        running.process.communicate(timeout=WAIT_S)


def test_bus_joins_python_can_clients_and_quits() -> None:
    with simulator("bus", "--listen", "127.0.0.1:0") as bus:
        ready = bus.event("ready")
        with (
            can.Bus("can0", "socketcand", host="127.0.0.1", port=ready["port"]) as first,
            closing(open_can_bus(ready["can_interface"], ready["can_channel"])) as second,
        ):
            first.send(can.Message(arbitration_id=0x1806E5F4, data=b"\x01"))
            heard = second.receive(WAIT_S)
            assert heard is not None
            assert (heard.can_id, heard.data) == (0x1806E5F4, b"\x01")
        bus.tell("nonsense")
        assert bus.event("refused")["command"] == "nonsense"
        bus.tell("status")
        assert bus.event("status")["frames"] == 1
        assert bus.close() == 0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
@pytest.mark.parametrize("name", ["bus", "csms"])
def test_signals_end_them_and_the_end_of_stdin_does_not(
    name: str, number: signal.Signals, code: int
) -> None:
    options = ["--open"] if name == "csms" else []
    with simulator(name, "--listen", "127.0.0.1:0", *options) as running:
        running.event("ready")
        running.tell("nonsense")
        running.event("refused")
        assert running.process.stdin is not None
        running.process.stdin.close()
        with pytest.raises(subprocess.TimeoutExpired):
            running.process.wait(0.2)
        running.process.send_signal(number)
        assert running.process.wait(WAIT_S) == code
        assert running.process.stderr is not None
        assert "Traceback" not in running.process.stderr.read()
        running.process.stdin = None


def test_vehicle_and_module_answer_on_the_bus() -> None:
    with hub_in_thread() as port:
        channel = f"127.0.0.1:{port}/can0"
        with (
            closing(open_can_bus(channel=channel)) as controller,
            simulator("vehicle", "--can-channel", channel) as vehicle,
        ):
            vehicle.event("ready")
            vehicle.tell("plug_in")
            vehicle.event("done")
            while (frame := controller.receive(WAIT_S)) is not None:
                if frame.can_id == 0x1806E5F4:
                    break
            assert frame is not None
            assert frame.data.hex() == "0348012c00000000"
            vehicle.tell("status")
            assert vehicle.event("status")["plugged"] is True
            assert vehicle.close() == 0


def test_vehicle_without_a_bus_says_how_to_start_one() -> None:
    with hub_in_thread() as port:
        channel = f"127.0.0.1:{port}/can0"
    with simulator("vehicle", "--can-channel", channel) as vehicle:
        assert vehicle.process.wait(WAIT_S) == 3
        assert vehicle.process.stderr is not None
        assert "evtool sim bus" in vehicle.process.stderr.read()
