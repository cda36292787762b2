# SPDX-License-Identifier: GPL-3.0-or-later
"""Virtual boards on pseudo-terminals in a thread of the test, each with its own fault.

A port is a link of its own name, which goes with the board: the pseudo-terminal's number may
belong to another test's board a moment later.
"""

from __future__ import annotations

import asyncio
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from evtool.cli.board_host import BoardHost
from evtool.link.line_news import LineNews
from evtool.link.pty_line import PtyLine
from evtool.virtual.board import Board
from evtool.virtual.chips import ESP32, Chip
from evtool.virtual.chips.description import Field
from evtool.virtual.flash_chip import SECTOR_SIZE, FlashChip
from evtool.virtual.fuses import Fuses, factory_bits
from evtool.virtual.pace import Faults as LineFaults

T = TypeVar("T")
FLASH_SIZE = 4 << 20
ESP32_S2_MAGIC = 0x000007C6
_WAIT_S = 60
_START_OF_RAM = b"\xc0\x00\x06"  # how a frame with MEM_END begins


@dataclass
class Faults:
    """What is wrong with a board; counts are of bytes from the host since it was made.

    Attributes:
        mute_after: it says nothing any more.
        unplug_after: the port disappears.
        lose: places whose byte never arrives.
        flip: places whose byte arrives with one bit changed.
        noisy_above: at a higher speed than this, what the board says is spoiled.
        dead_sector: address of a sector that programs nothing.
        magic: another chip's.
        late: chance of a frame that is held up, and by how many milliseconds.
        latency_ms: what a slow USB bridge adds in each direction.
        cut_after: its power goes when so many bytes of flash were erased or programmed.
        burned: a fuse of block 0, burned to all ones.
        busy_s: the machine stands still so long when the stub is to be started.
    """

    mute_after: int | None = None
    unplug_after: int | None = None
    lose: frozenset[int] = frozenset()
    flip: frozenset[int] = frozenset()
    noisy_above: int | None = None
    dead_sector: int | None = None
    magic: int | None = None
    late: tuple[float, int] | None = None
    latency_ms: int = 0
    cut_after: int | None = None
    burned: Field | None = None
    busy_s: float = 0.0


def stuck_halfway() -> Faults:
    """It takes a part of an image of 300 KB and waits, so that nothing can be done with it before
    its test has looked: until `mute_after` is None."""
    return Faults(mute_after=100_000)


class _FaultyLine(PtyLine):
    """A line that loses, spoils and falls silent."""

    def __init__(self, faults: Faults, unplug: Callable[[], None]) -> None:
        super().__init__()
        self._faults = faults
        self._unplug = unplug
        self.received = 0

    def receive(self) -> LineNews:
        news = super().receive()
        data, start = bytearray(news.data), self.received
        self.received += len(data)
        if self._faults.busy_s and _START_OF_RAM in data:
            time.sleep(self._faults.busy_s)
        if self._faults.unplug_after is not None and self.received > self._faults.unplug_after:
            self._unplug()
        for place in self._faults.flip:
            if start <= place < self.received:
                data[place - start] ^= 0x10
        for place in sorted(self._faults.lose, reverse=True):
            if start <= place < self.received:
                del data[place - start]
        return LineNews(bytes(data), news.closed, news.reopened)

    def send(self, data: bytes, *, discardable: bool) -> None:
        faults = self._faults
        if faults.mute_after is not None and self.received >= faults.mute_after:
            return
        noisy = faults.noisy_above is not None and self.baudrate() > faults.noisy_above
        if noisy and not discardable:
            data = bytes(byte ^ 0x40 for byte in data)
        super().send(data, discardable=discardable)


class _WornChip(FlashChip):
    """A chip with a sector that takes nothing."""

    def __init__(self, storage: memoryview, dead_sector: int) -> None:
        super().__init__(storage)
        self._dead = dead_sector

    def program(self, offset: int, data: bytes) -> None:
        for start in range(0, len(data), 0x100):
            if not self._dead <= offset + start < self._dead + SECTOR_SIZE:
                super().program(offset + start, data[start : start + 0x100])


@dataclass
class RackBoard:
    """One board of the rack."""

    faults: Faults
    mac: bytes
    flash: bytearray = field(default_factory=lambda: bytearray(b"\xff" * FLASH_SIZE))
    port: str = ""
    reports: list[tuple[str, dict[str, object]]] = field(default_factory=list)
    host: BoardHost | None = None
    line: PtyLine | None = None
    plugged: bool = False
    described: Chip = ESP32

    def holds(self, offset: int, data: bytes) -> bool:
        return self.flash[offset : offset + len(data)] == data


class BoardRack:
    """Any number of boards in one thread; a context manager."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._links = tempfile.TemporaryDirectory()
        self.boards: list[RackBoard] = []

    def __enter__(self) -> BoardRack:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for board in self.boards:
            self._call(self._pull(board))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_WAIT_S)
        self._loop.close()
        self._links.cleanup()

    @property
    def ports(self) -> list[str]:
        return [board.port for board in self.boards]

    def add(
        self,
        faults: Faults | None = None,
        flash: bytearray | None = None,
        chip: Chip = ESP32,
        mac: bytes | None = None,
    ) -> RackBoard:
        """Plug in a board more."""
        mac = mac or bytes([0x24, 0x0A, 0xC4, 0, 0, len(self.boards) + 1])
        board = RackBoard(faults or Faults(), mac, described=chip)
        if flash is not None:
            board.flash = flash
        self._call(self._plug(board))
        self.boards.append(board)
        return board

    def unplug(self, board: RackBoard) -> None:
        """Take the board out."""
        self._call(self._pull(board))

    async def _plug(self, board: RackBoard) -> None:
        def unplug() -> None:
            self._loop.create_task(self._pull(board))

        line = _FaultyLine(board.faults, unplug)
        dead = board.faults.dead_sector
        storage = memoryview(board.flash)
        chip = FlashChip(storage) if dead is None else _WornChip(storage, dead)
        described = board.described
        if board.faults.magic is not None:
            described = replace(described, magic=board.faults.magic)
        fuses = Fuses(described, factory_bits(described, board.mac))
        if board.faults.burned is not None:
            fuses.burn(0, board.faults.burned.mask.to_bytes(32, "little"))
        virtual = Board(chip, board.mac, lambda count: bytes(range(count)), fuses=fuses)
        if board.faults.cut_after is not None:
            chip.cut_after(board.faults.cut_after)
        board.host = BoardHost(
            virtual, line, lambda *report: board.reports.append(report), lambda _: {}
        )
        board.host.pace.latency_us = 1000 * board.faults.latency_ms
        if board.faults.late is not None:
            chance, late_ms = board.faults.late
            board.host.pace.faults = LineFaults(late=chance, late_us=1000 * late_ms)
        link = Path(self._links.name, f"ttyBOARD{len(self.boards) + 1}")
        link.symlink_to(line.serial_port)
        board.port, board.line, board.plugged = str(link), line, True
        board.host.start()

    async def _pull(self, board: RackBoard) -> None:
        if not board.plugged or board.host is None or board.line is None:
            return
        board.plugged = False
        Path(board.port).unlink()
        await board.host.close()
        board.line.close()

    def _call(self, coroutine: Any) -> object:
        done: Future[object] = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        return done.result(_WAIT_S)
