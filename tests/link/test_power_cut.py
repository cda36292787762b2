# SPDX-License-Identifier: GPL-3.0-or-later
"""A power cut at the virtual board when it hurts most: the CSMS has just heard the register.

The real program on the virtual board, with a CSMS at the other end of a WebSocket. Where
EVTOOL_MICROOCPP_PROGRAM names a program that was built with MicroOcpp (`evtool build --env host
--microocpp DIR`), that one charges as well; else the reference charge point speaks for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from board_images import BOOTLOADER, bootloader, flash_image
from proof.power_cuts import FailingChip, PowerCut

from evtool.cli.board_host import BoardHost
from evtool.cli.board_ocpp import BoardOcpp
from evtool.errors import DeviceError
from evtool.link.pty_line import PtyLine
from evtool.link.websocket import WebSocket, start_server
from evtool.protocol import app_image, host_image, partition_table
from evtool.protocol.nvs import NvsEntry, parse_image, render_image
from evtool.resources import firmware_dir
from evtool.virtual.board import Board
from evtool.virtual.effects import StartApp

pytestmark = pytest.mark.skipif(
    not Path("/dev/ptmx").exists() or sys.platform != "linux",
    reason="needs Linux's pseudo-terminals and inotify",
)

DEADLINE_S = 150.0
"""Beyond the 60 s for which MicroOcpp puts off a StopTransaction whose answer the cut has lost."""
_LARGEST_SEGMENT = 16 << 20  # of an ESP32's application image
PARTITIONS = partition_table.parse((firmware_dir() / "partitions.csv").read_text("utf-8"))
PLACES = {each.name: each for each in PARTITIONS}
ALL_WELL = (
    "bus 0 running",
    "can 0 1806E5F4 x d 8 02D003E800000000",  # the vehicle asks for 72 V and 100 A
    "can 0 0681827E x d 8 0180000000000100",
)
FLOWS = "can 0 00433F01 x d 8 4290000042C60000"  # 72 V, 99 A: 2 Wh a second
FLOWS_NOT = "can 0 00433F01 x d 8 4290000000000000"
SWITCH = "0 068181FE x d 8 013200"


class Bench:
    """A vehicle and a module at the board that say the same again and again."""

    def __init__(self) -> None:
        self.verbs = frozenset({"can"})
        self._on = False
        self._send: Callable[[str], object] | None = None

    async def run(self) -> None:
        while True:
            if self._send is not None:
                for line in (*ALL_WELL, FLOWS if self._on else FLOWS_NOT):
                    self._send(line)
            await asyncio.sleep(0.1)

    def app_started(self, _: StartApp, send: Callable[[str], object]) -> None:
        self._send = send

    def app_stopped(self) -> None:
        self._send = None

    def on_line(self, verb: str, rest: str) -> None:
        if rest.startswith(SWITCH):
            self._on = rest == f"{SWITCH}0000000000"


class Csms:
    """Accepts everything, and calls `on_told` with each register that it hears, in Wh."""

    def __init__(self, on_told: Callable[[str, int], None]) -> None:
        self.socket: WebSocket | None = None
        self.registered = False
        self._on_told = on_told
        self._transactions = 0

    def admit(self, _path: str, _authorization: str | None) -> int | None:
        return None

    async def handle(self, _: str, socket: WebSocket) -> None:
        self.socket, self.registered = socket, False
        with contextlib.suppress(DeviceError):
            while True:
                kind, unique_id, *rest = json.loads(await socket.recv())
                if kind == 2:
                    # The answer first: what is told is told, whatever happens then.
                    await socket.send(json.dumps([3, unique_id, self._result(rest[0])]))
                    self._hear(*rest)
                    # A last word from before a power cut is not the new start's.
                    if rest[0] == "StatusNotification" and socket is self.socket:
                        self.registered = True

    async def ask(self, action: str, **payload: object) -> None:
        assert self.socket is not None
        await self.socket.send(json.dumps([2, f"ask-{action}", action, payload]))

    def _result(self, action: str) -> dict[str, object]:
        accepted: dict[str, object] = {"idTagInfo": {"status": "Accepted"}}
        match action:
            case "BootNotification":
                now = "2024-05-01T12:00:00Z"
                return {"status": "Accepted", "currentTime": now, "interval": 300}
            case "StartTransaction":
                self._transactions += 1
                return accepted | {"transactionId": self._transactions}
            case "StopTransaction" | "Authorize":
                return accepted
        return {"currentTime": "2024-05-01T12:00:00Z"} if action == "Heartbeat" else {}

    def _hear(self, action: str, payload: Any) -> None:
        for name in ("meterStart", "meterStop"):
            if name in payload:
                self._on_told(action, payload[name])
        for sample in payload.get("meterValue", []):
            for value in sample["sampledValue"]:
                if value.get("unit") == "Wh":
                    self._on_told(action, int(value["value"]))


class Life:
    """A board, its flash, its CSMS, and what that was told."""

    def __init__(self, program: Path, folder: Path) -> None:
        self.told: list[tuple[str, int]] = []
        self.cuts = 0
        self.cut_at: str | None = None  # the power fails when a larger register comes in this
        self.events: list[tuple[str, dict[str, object]]] = []
        self.csms = Csms(self._on_told)
        self._program = program
        self._folder = folder
        self._folder.mkdir(exist_ok=True)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Life]:
        server = await start_server("127.0.0.1", 0, "ocpp1.6", self.csms.admit, self.csms.handle)
        self.chip = FailingChip(self._image(server.port))
        loop, line = asyncio.get_running_loop(), PtyLine()
        self.host = BoardHost(
            Board(self.chip, bytes(6), os.urandom),
            line,
            lambda event, fields: self.events.append((event, fields)),
            lambda _: {"EVTOOL_STORAGE": str(self._folder)},
        )
        self.host.attach(Bench())
        ocpp = BoardOcpp(
            lambda _: self._folder,
            lambda event, fields: self.events.append((event, fields)),
            self.host.restart_app,
        )
        self.host.attach(ocpp)
        loop.set_exception_handler(self._on_exception)
        self.host.start()
        try:
            yield self
        finally:
            await self.host.close()
            line.close()
            await server.close()

    async def until(self, condition: Callable[[], object], what: str) -> None:
        deadline = asyncio.get_running_loop().time() + DEADLINE_S
        while not condition():
            left = deadline - asyncio.get_running_loop().time()
            assert left > 0, f"not in time: {what}; {self.told} {self.events} {self.host.state}"
            await asyncio.sleep(0.01)

    async def charge(self) -> None:
        """Until a transaction runs and energy flows."""
        await self.until(lambda: self.csms.registered and self.energy() is not None, "contact")
        await self.csms.ask("ChangeConfiguration", key="MeterValueSampleInterval", value="1")
        await self.csms.ask("RemoteStartTransaction", idTag="TAG", connectorId=1)
        await self.until(lambda: self.host.state.get("energised") == "1", "charging")

    def energy(self) -> int | None:
        return int(self.host.state["energy_mwh"]) if "energy_mwh" in self.host.state else None

    def in_flash(self) -> int:
        place = PLACES["nvs"]
        found = parse_image(self.chip.read(place.offset, place.size)).get("evstate", "energy_mwh")
        assert found is None or isinstance(found, int)
        return found or 0

    def power_cut(self) -> None:
        self.cuts += 1
        self.csms.registered, self.csms.socket = False, None
        self.cut_at = self.chip.fails_at = None
        self.host.power_cycle()

    def _on_told(self, action: str, register_wh: int) -> None:
        larger = bool(self.told) and register_wh > max(wh for _, wh in self.told)
        self.told.append((action, register_wh))
        if larger and action == self.cut_at:
            self.power_cut()

    def _on_exception(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if isinstance(context.get("exception"), PowerCut):
            self.power_cut()
        else:
            loop.default_exception_handler(context)

    def _image(self, port: int) -> bytearray:
        texts = {"cp_id": "CP-1", "vendor": "V", "model": "M", "serial": "S", "id_tag": "LOCAL"}
        texts |= {"csms_url": f"ws://127.0.0.1:{port}/ocpp", "wifi_ssid": "site"}
        entries = [NvsEntry("evcfg", key, "str", value) for key, value in texts.items()]
        entries += [NvsEntry("evcfg", name, "u8", number) for name, number in
                    (("schema", 1), ("sec_profile", 0))]  # fmt: skip
        application = host_image.host_image(
            self._program.read_bytes(), version="1.2.3", project_name="test"
        )
        contents = {
            BOOTLOADER: bootloader(),
            partition_table.TABLE_OFFSET: partition_table.encode(PARTITIONS),
            PLACES["app0"].offset: app_image.encode(application),
            PLACES["evcfg"].offset: render_image(entries, PLACES["evcfg"].size),
        }
        return flash_image(contents, 4 << 20)


@pytest.fixture(params=["reference", "microocpp"])
def life(request: pytest.FixtureRequest, program: Path, tmp_path: Path) -> Life:
    if request.param == "microocpp":
        named = os.environ.get("EVTOOL_MICROOCPP_PROGRAM")
        if not named:
            pytest.skip("no program with MicroOcpp: set EVTOOL_MICROOCPP_PROGRAM (see above)")
        program = Path(named)
        if program.stat().st_size >= _LARGEST_SEGMENT:
            pytest.skip("a program with sanitizers does not fit the flash: name one of --env host")
    return Life(program, tmp_path / "files")


@pytest.mark.parametrize("action", ["MeterValues", "StopTransaction"])
def test_what_the_csms_has_just_heard_survives(life: Life, action: str) -> None:
    asyncio.run(_just_heard(life, action))


async def _just_heard(life: Life, action: str) -> None:
    async with life.running():
        await life.charge()
        life.cut_at = action
        if action == "StopTransaction":
            await life.until(lambda: (life.energy() or 0) > 3000, "energy")
            await life.csms.ask("RemoteStopTransaction", transactionId=1)
        await life.until(lambda: life.cuts == 1, f"a register in {action}")
        heard_wh = life.told[-1][1]
        assert heard_wh >= 3
        assert life.in_flash() >= heard_wh * 1000
        before = len(life.told)
        await life.charge()
        await life.until(lambda: len(life.told) > before, "the next report")
        assert min(wh for _, wh in life.told[before:]) >= heard_wh
        registers = [wh for _, wh in life.told]
        assert registers == sorted(registers)


def test_a_power_cut_while_it_is_stored_is_before_anything_is_told(life: Life) -> None:
    asyncio.run(_while_stored(life))


async def _while_stored(life: Life) -> None:
    async with life.running():
        await life.charge()
        await life.until(lambda: (life.energy() or 0) > 3000, "energy")
        told = max(wh for _, wh in life.told)
        life.chip.fails_at, life.chip.half = life.chip.writes, True
        await life.csms.ask("RemoteStopTransaction", transactionId=1)
        await life.until(lambda: life.cuts == 1, "the store")
        assert max(wh for _, wh in life.told) == told, "nobody was told"
        before = len(life.told)
        await life.charge()
        await life.until(lambda: len(life.told) > before, "the next report")
        registers = [wh for _, wh in life.told]
        assert registers == sorted(registers)
