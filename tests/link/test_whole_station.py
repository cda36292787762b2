# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything together in memory: vehicle, power module, controller, charge point, CSMS.

What no part can show alone: a RemoteStart at the CSMS ends as current in the battery, and
what the vehicle does ends as a StopTransaction.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from evtool.errors import DeviceError
from evtool.reference_impl.charge_point import AskRegister, ChargePoint, Inputs, Send, Settings
from evtool.reference_impl.controller import Controller
from evtool.reference_impl.controller_types import (
    BootInfo,
    BusState,
    Config,
    OcppStart,
    OcppStop,
    SendFrame,
)
from evtool.virtual.bench import Bench
from evtool.virtual.csms import Csms
from evtool.virtual.power_module import PowerModule
from evtool.virtual.vehicle import Vehicle

NOON_MS = 1_714_564_800_000
STEP_MS = 20


class Whole:
    """The parts, wired as the board and the simulators wire them, on one clock."""

    def __init__(self) -> None:
        self.now_ms = 0
        self.bench = Bench(Vehicle(), PowerModule(), bms_bus=0, now_ms=0)
        self.controller = Controller(Config(id_tag="LOCAL-1"), BootInfo(charge_point="CP-1"))
        self.controller.boot(0)
        self.controller.on_bus(0, BusState.RUNNING, 0)
        self.charge_point = ChargePoint(Settings("Vendor", "Model"))
        self.csms = Csms(
            {}, open_to_all=True, clock=lambda: NOON_MS + self.now_ms, report=lambda _: None
        )
        self._up: asyncio.Queue[str] = asyncio.Queue()
        self.charge_point.on_open(0)

    async def recv(self) -> str:
        text = await self._up.get()
        if not text:
            raise DeviceError("closed")
        return text

    async def send(self, text: str) -> None:
        self.charge_point.on_text(text, self.now_ms)

    def hang_up(self) -> None:
        self._up.put_nowait("")

    async def until(self, fulfilled: Callable[[], object], seconds: int = 60) -> None:
        """Let the clock run until something is so."""
        end = self.now_ms + seconds * 1000
        while not fulfilled():
            assert self.now_ms < end, "it never came"
            self._step()
            for _ in range(5):  # the CSMS's tasks get their turn
                await asyncio.sleep(0)

    def _step(self) -> None:
        self.now_ms += STEP_MS
        now = self.now_ms
        for bus, frame in self.bench.tick(now):
            self.controller.on_frame(bus, frame, now)
        self.charge_point.on_inputs(Inputs.of(self.controller.snapshot(now)), now)
        self.controller.on_ocpp(self.charge_point.word(), now)
        self.controller.tick(now)
        for output in self.controller.drain():
            match output:
                case SendFrame(bus, frame):
                    for answer_bus, answer in self.bench.on_frame(bus, frame, now):
                        self.controller.on_frame(answer_bus, answer, now)
                case OcppStart(id_tag):
                    self.charge_point.on_start_request(id_tag, now)
                case OcppStop(reason):
                    self.charge_point.on_stop_request(reason, now)
        for message in self.charge_point.drain():
            if isinstance(message, Send):
                self._up.put_nowait(message.text)
            elif isinstance(message, AskRegister):
                self.controller.on_report(message.report, now)

    def press(self, key: str) -> None:
        self.controller.on_key(ord(key), self.now_ms)

    def status(self) -> str | None:
        return self.csms.stations["CP-1"].statuses.get(1)


async def story() -> None:
    whole = Whole()
    serving = asyncio.create_task(whole.csms.serve("/CP-1", whole))
    await asyncio.sleep(0)
    module, vehicle = whole.bench.module, whole.bench.vehicle
    await whole.until(lambda: whole.status() == "Available")
    whole.bench.command("plug_in")
    await whole.until(lambda: whole.status() == "Preparing")
    assert not module.on, "plugged is not permitted"

    asked = asyncio.create_task(whole.csms.remote_start("CP-1", "TAG"))
    await whole.until(asked.done)
    assert asked.result() == {"status": "Accepted"}
    await whole.until(lambda: module.output_ma == 30_000)
    await whole.until(lambda: whole.status() == "Charging")
    record = whole.csms.transactions[1]
    await whole.until(lambda: record.meter_values, seconds=90)
    measured = {v["measurand"]: v["value"] for v in record.meter_values[0]["sampledValue"]}
    assert 29 < float(measured["Current.Import"]) < 31
    assert int(measured["Energy.Active.Import.Register"]) > 20
    assert 50 < float(measured["SoC"]) < 60

    whole.bench.command("switch off")
    await whole.until(lambda: whole.status() == "SuspendedEV")
    await whole.until(lambda: module.output_ma == 0, seconds=1)
    whole.bench.command("switch on")
    await whole.until(lambda: whole.status() == "Charging")

    whole.bench.command("plug_out")
    await whole.until(lambda: record.stopped)
    assert record.reason == "EVDisconnected"
    await whole.until(lambda: not module.on, seconds=1)
    assert module.output_mv > 56_000, "the capacitors still hold, and it is no vehicle"
    await whole.until(lambda: whole.status() == "Available")

    whole.bench.command("plug_in")
    await whole.until(lambda: whole.status() == "Preparing")
    whole.press("s")
    await whole.until(lambda: 2 in whole.csms.transactions and module.on)
    assert whole.csms.transactions[2].id_tag == "LOCAL-1"
    whole.press("t")
    await whole.until(lambda: whole.csms.transactions[2].stopped)
    assert whole.csms.transactions[2].reason == "Local"
    await whole.until(lambda: whole.status() == "Finishing")
    await whole.until(lambda: not module.on, seconds=1)
    assert vehicle.soc_permille > 550
    whole.hang_up()
    await serving


def test_the_whole_story() -> None:
    asyncio.run(story())
