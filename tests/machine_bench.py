# SPDX-License-Identifier: GPL-3.0-or-later
"""A virtual board on a bench without time: what it did so far."""

from __future__ import annotations

import struct

from evtool.protocol import slip
from evtool.protocol.esp_loader import SYNC_DATA
from evtool.virtual.board import BOOT_MS, Board, Mode
from evtool.virtual.chips import ESP32, Chip
from evtool.virtual.effects import AppInput, Effect, Report, StartApp, Transmit
from evtool.virtual.flash_chip import FlashChip
from evtool.virtual.fuses import Fuses

SYNC = slip.encode(struct.pack("<BBHI", 0, 8, 36, 0) + SYNC_DATA)
MAC = bytes.fromhex("024556000001")


class Bench:
    """A board and what it did so far."""

    def __init__(self, image: bytearray, chip: Chip = ESP32, fuses: Fuses | None = None) -> None:
        self.image = image
        self.flash = FlashChip(memoryview(image))
        self.board = Board(self.flash, MAC, lambda count: b"\x5a" * count, chip=chip, fuses=fuses)
        self.now_ms = 0
        self.effects: list[Effect] = []

    def mode(self) -> Mode:
        return self.board.mode

    def collect(self) -> None:
        self.effects += self.board.take()

    def start(self) -> Bench:
        self.board.power_on(self.now_ms)
        return self.wait(BOOT_MS)

    def wait(self, ms: int) -> Bench:
        self.now_ms += ms
        self.board.tick(self.now_ms)
        self.collect()
        return self

    def serial(self, data: bytes) -> None:
        self.board.on_serial(data, self.now_ms)
        self.collect()

    def sent(self) -> bytes:
        return b"".join(each.data for each in self.effects if isinstance(each, Transmit))

    def console(self) -> str:
        return self.sent().decode("ascii", "replace")

    def apps(self) -> list[StartApp]:
        return [each for each in self.effects if isinstance(each, StartApp)]

    def typed(self) -> bytes:
        return b"".join(each.data for each in self.effects if isinstance(each, AppInput))

    def reports(self, event: str) -> list[dict[str, object]]:
        return [
            each.fields for each in self.effects if isinstance(each, Report) and each.event == event
        ]

    def request(self, op: int, data: bytes = b"", checksum: int = 0) -> bytes:
        """A loader's answer: the payload of its last frame, or nothing."""
        self.effects.clear()
        self.serial(slip.encode(struct.pack("<BBHI", 0, op, len(data), checksum) + data))
        frames = [each for each in slip.Decoder().feed(self.sent()) if isinstance(each, bytes)]
        return frames[-1] if frames else b""
