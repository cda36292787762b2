# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool sim csms` killed with -9 in the middle of a transaction, and started again."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from held_port import held_port

from evtool.errors import DeviceError
from evtool.link.clock import monotonic_ms
from evtool.link.database import Database
from evtool.link.websocket import WebSocket, open_websocket
from evtool.reference_impl.charge_point import ChargePoint, Inputs, Send, Settings
from evtool.virtual.csms.sql_store import SCHEMA, VERSION, SqlStore

WAIT_S = 60


class Killed:
    """A central system that is killed when it has reported a message, and started again."""

    def __init__(self, port: int, path: Path, direction: str, action: str) -> None:
        self._options = ("--open", "--listen", f"127.0.0.1:{port}", "--database", str(path))
        self._fatal: tuple[str, str] | None = (direction, action)
        self.seen: list[tuple[str, str, str]] = []

    async def run(self) -> None:
        while True:
            # Not asyncio's own: where the loop ends before it has seen the pipe's end, some later
            # test is told of it.
            process = subprocess.Popen(
                [sys.executable, "-m", "evtool", "sim", "csms", "--json", *self._options],
                stdout=subprocess.PIPE,
                stdin=subprocess.DEVNULL,
            )
            assert process.stdout is not None
            try:
                while line := await asyncio.to_thread(process.stdout.readline):
                    event = json.loads(line)
                    if event["event"] != "message":
                        continue
                    self.seen.append((event["direction"], event["action"], event["type"]))
                    if self.seen[-1][:2] == self._fatal:
                        self._fatal = None
                        os.kill(process.pid, signal.SIGKILL)
            finally:
                process.kill()
                process.wait()
                process.stdout.close()  # waits for who reads

    @property
    def has_died(self) -> bool:
        return self._fatal is None


class Station:
    """The charge point in Python, over a real WebSocket, in real time."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.charge_point = ChargePoint(
            Settings("Vendor", "Model", presets={"MeterValueSampleInterval": "1"})
        )
        self._socket: WebSocket | None = None

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._tick())
            while True:
                try:
                    self._socket = await open_websocket(self._url, "ocpp1.6")
                    self.charge_point.on_open(monotonic_ms())
                    await self.pump()
                    while True:
                        text = await self._socket.recv()
                        self.charge_point.on_text(text, monotonic_ms())
                        await self.pump()
                except DeviceError:
                    if self._socket is not None:
                        self._socket = None
                        self.charge_point.on_closed(monotonic_ms())
                await asyncio.sleep(0.05)

    async def _tick(self) -> None:
        while True:
            self.charge_point.tick(monotonic_ms())
            await self.pump()
            await asyncio.sleep(0.05)

    async def pump(self) -> None:
        for output in self.charge_point.drain():
            if isinstance(output, Send) and self._socket is not None:
                with suppress(DeviceError):
                    await self._socket.send(output.text)

    def see(self, energy_mwh: int, plugged: bool) -> None:
        inputs = Inputs(plugged, plugged, True, energy_mwh, measured_ma=10_000 if plugged else 0)
        self.charge_point.on_inputs(inputs, monotonic_ms())


@pytest.mark.parametrize("direction", ["received", "sent"])
@pytest.mark.parametrize("action", ["StartTransaction", "MeterValues", "StopTransaction"])
def test_each_transaction_ends_once(tmp_path: Path, direction: str, action: str) -> None:
    path = tmp_path / "csms.sqlite"

    async def main(port: int) -> None:
        central = Killed(port, path, direction, action)
        station = Station(f"ws://127.0.0.1:{port}/CP-1")
        tasks = [asyncio.create_task(each.run()) for each in (central, station)]

        async def until(*wanted: tuple[str, str, str]) -> None:
            async with asyncio.timeout(WAIT_S):
                while not all(each in central.seen for each in wanted):
                    assert not any(task.done() for task in tasks)
                    await asyncio.sleep(0.01)

        await until(("sent", "StatusNotification", "result"))
        station.see(5_000_000, plugged=True)
        station.charge_point.on_start_request("TAG", monotonic_ms())
        await until(("sent", "StartTransaction", "result"), ("sent", "MeterValues", "result"))
        station.see(5_700_000, plugged=True)
        station.see(5_700_000, plugged=False)
        await until(("sent", "StopTransaction", "result"))
        assert central.has_died
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    with held_port() as port:
        asyncio.run(main(port))
    database = Database(path, SCHEMA, VERSION)
    [record] = SqlStore(database).transactions()
    database.close()
    assert (record.id_tag, record.energy_wh(), record.is_running) == ("TAG", 700, False)
