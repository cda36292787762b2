# SPDX-License-Identifier: GPL-3.0-or-later
"""The bench of a board, its links played by lists: what it refuses, and how it leaves."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from itertools import count
from typing import Any, cast

import pytest
from board_rig import CONFIG, scenario_of

from evtool.cli import board_bench
from evtool.cli.bench_csms import BenchCsms
from evtool.cli.board_bench import BoardBench
from evtool.errors import DeviceError
from evtool.link.serial_line import SerialLine
from evtool.protocol.can_frame import CanFrame
from evtool.reference_impl import module_commands
from evtool.verify.board.live import Order, Setup
from evtool.verify.board.tolerances import Tolerances

REQUEST = CanFrame(0x1806E5F4, bytes(8))
REPLY = CanFrame(0x0681827E, bytes(8))


class Bus:
    """What was sent, and what comes next; `always` comes once in every look."""

    def __init__(self) -> None:
        self.sent: list[CanFrame] = []
        self.coming: deque[CanFrame] = deque()
        self.always: CanFrame | None = None
        self._gave = False

    def send(self, frame: CanFrame) -> None:
        self.sent.append(frame)

    def receive(self, _timeout_s: float) -> CanFrame | None:
        if self.coming:
            return self.coming.popleft()
        self._gave = self.always is not None and not self._gave
        return self.always if self._gave else None

    def fileno(self) -> int:
        return -1

    def close(self) -> None:
        pass


class Line:
    """A console that says nothing; `typed` is what it heard."""

    def __init__(self) -> None:
        self.typed = b""

    def write(self, data: bytes) -> None:
        self.typed += data

    def read(self, _timeout_s: float) -> bytes:
        return b""


class Csms:
    """One that is connected, and whose board obeys."""

    is_connected = True

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.orders: list[Order] = []

    async def obey(self, order: Order) -> str:
        self.orders.append(order)
        return "Accepted"


class Rig:
    """A bench on them, with a CSMS or without."""

    def __init__(self, told: Callable[[str], None] = lambda _: None, *, csms: bool = False) -> None:
        self.bus, self.line, self.csms = Bus(), Line(), Csms()
        self.setup = Setup(CONFIG, csms, Tolerances())
        self.bench = BoardBench(
            [self.bus],
            cast(SerialLine, self.line),
            cast(BenchCsms, self.csms) if csms else None,
            lambda what, _seconds, _of: told(what),
        )

    async def play_until_cancelled(self) -> None:
        """A scenario, on a board that never comes to rest."""
        scenario = scenario_of('[[event]]\nat = "1s"\ndo = "plug_in"\n')
        await self.bench.play(scenario, self.setup, with_timeline=False)


@pytest.mark.parametrize("frame", [REQUEST, REPLY])
def test_a_real_vehicle_or_module_that_comes_in_a_run_ends_it(frame: CanFrame) -> None:
    async def run() -> str:
        rig = Rig(told=lambda _: rig.bus.coming.append(frame), csms=True)
        await rig.play_until_cancelled()
        assert rig.bench.lost is not None
        assert "other than evtool's is on the bus" in rig.bench.lost.message
        sent = len(rig.bus.sent)
        left = await rig.bench.leave()
        assert len(rig.bus.sent) == sent, "nothing more is said for a vehicle"
        assert rig.line.typed.endswith(b"t0"), "the console ends a transaction"
        assert rig.csms.orders[-2:] == [Order("remote_stop"), Order("limit", -1)]
        return left

    assert asyncio.run(run()) == "the board could not be watched to the end"


def test_who_is_there_already_is_refused_before_anything_is_sent() -> None:
    rig = Rig()
    rig.bus.coming.append(REPLY)
    with pytest.raises(DeviceError, match="a power module other than evtool's"):
        asyncio.run(rig.bench.look_around())
    assert rig.bus.sent == []


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every look at the clock takes a millisecond, and leaving 200 of them."""
    monkeypatch.setattr(board_bench, "monotonic_ms", count().__next__)
    monkeypatch.setattr(board_bench, "_LEAVE_MS", 200)


def leave_in_the_middle(rig: Rig) -> str:
    """Stop while a scenario waits, as Ctrl-C does, and leave."""

    async def run() -> str:
        task = asyncio.create_task(rig.play_until_cancelled())
        while not rig.line.typed:
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        return await rig.bench.leave()

    return asyncio.run(run())


def test_leaving_takes_evtools_charging_profile_away() -> None:
    rig = Rig(csms=True)
    rig.csms.events.append({"event": "connected"})
    rig.bus.always = module_commands.switch(False)
    assert leave_in_the_middle(rig) == ""
    assert Order("limit", -1) in rig.csms.orders
    assert rig.line.typed.endswith(b"t0")


@pytest.mark.usefixtures("soon")
def test_a_start_that_waits_for_a_vehicle_is_told_of() -> None:
    rig = Rig(csms=True)
    status = {"connectorId": 1, "errorCode": "NoError", "status": "Preparing"}
    rig.csms.events += [
        {"event": "connected"},
        {"event": "message", "direction": "received", "type": "call",
         "action": "StatusNotification", "payload": status},
    ]  # fmt: skip
    rig.bus.always = module_commands.switch(False)
    assert leave_in_the_middle(rig) == "the board's connector is Preparing"


@pytest.mark.usefixtures("soon")
def test_a_board_that_is_left_on_is_told_of() -> None:
    rig = Rig()
    rig.bus.always = module_commands.switch(True)
    assert leave_in_the_middle(rig) == "the board does not tell the module off"
