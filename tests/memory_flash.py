# SPDX-License-Identifier: GPL-3.0-or-later
"""What boards without a port share: flash in memory, and faults as and when they are told to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from mmap import mmap

from evtool.errors import EvtoolError
from evtool.protocol.board_flash import SECTOR, FlashPart


class MemoryFlash:
    """The flash of a board.

    Args:
        flash: its content, for as long as it exists.
        faults: raised, one for each call that the name says; None lets a call pass.
        touched: called after every sector that was written.

    Attributes:
        dead: addresses of sectors that take nothing.
        written: how many bytes were.
    """

    fine = True

    def __init__(
        self,
        flash: bytearray | mmap,
        faults: Mapping[str, Sequence[EvtoolError | None]] | None = None,
        touched: Callable[[], None] = lambda: None,
    ) -> None:
        self.flash = flash
        self.faults = {name: list(errors) for name, errors in (faults or {}).items()}
        self.touched = touched
        self.dead: range = range(0)
        self.calls: list[str] = []
        self.written = 0
        self.now_ms = 0

    def _call(self, name: str) -> None:
        self.calls.append(name)
        self.now_ms += 10
        queue = self.faults.get(name)
        error = queue.pop(0) if queue else None
        if error is not None:
            raise error

    def holds(self, parts: Sequence[FlashPart]) -> list[bool]:
        self._call("holds")
        return [self.flash[part.offset : part.end] == part.data for part in parts]

    def write(self, parts: Sequence[FlashPart], on_bytes: Callable[[int], None]) -> None:
        for part in parts:
            for start in range(0, len(part.data), SECTOR):
                self._call("write")
                data = part.data[start : start + SECTOR]
                address = part.offset + start
                if address not in self.dead:
                    self.flash[address : address + len(data)] = data
                self.written += len(data)
                self.touched()
                on_bytes(len(data))

    def restart(self) -> None:
        self._call("restart")

    def close(self) -> None:
        self.calls.append("close")
