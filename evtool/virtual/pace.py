# SPDX-License-Identifier: GPL-3.0-or-later
"""Time and trouble between a host and a board's serial port, when they are asked for.

At a real board bytes take their time at the baud rate, the flash takes its time to erase and to
program, a USB bridge adds its own, and now and then a byte is lost, turned or late. Times are
microseconds, given by the caller.
"""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass

from evtool.protocol import slip
from evtool.virtual.effects import Busy, Transmit

_BITS_PER_BYTE = 10
# As one arrives, so many bytes at most: a loader acts on whole frames only.
_PIECE = 4096


@dataclass(slots=True)
class Faults:
    """What goes wrong, as a chance per byte (late: per piece), in both directions.

    Attributes:
        late_us: how late a late piece is.
        mute: the board says nothing any more.
    """

    lose: float = 0.0
    flip: float = 0.0
    late: float = 0.0
    late_us: int = 0
    mute: bool = False

    @property
    def any(self) -> bool:
        """Whether anything does."""
        return bool(self.lose or self.flip or self.late or self.mute)


class Pace:
    """Holds back what is not due yet.

    Args:
        chance: where luck comes from.

    Attributes:
        rate: the host's baud rate.
        real_time: bytes and flash take the time that they take on a real board.
        latency_us: what the USB bridge adds, in each direction.
    """

    def __init__(self, chance: random.Random) -> None:
        self.rate = 115_200
        self.real_time = False
        self.latency_us = 0
        self.faults = Faults()
        self._chance = chance
        self._incoming: deque[tuple[int, bytes]] = deque()
        self._outgoing: deque[tuple[int, Transmit]] = deque()
        self._receiving_until_us = self._sending_until_us = self._busy_until_us = 0

    @property
    def is_idle(self) -> bool:
        """Whether bytes may go straight through."""
        return not (
            self.real_time or self.latency_us or self.faults.any or self._incoming or self._outgoing
        )

    @property
    def deadline_us(self) -> int | None:
        """When something is due, or None."""
        due = []
        if self._incoming:
            due.append(max(self._incoming[0][0], self._busy_until_us))
        if self._outgoing:
            due.append(self._outgoing[0][0])
        return min(due, default=None)

    def clear(self) -> None:
        """The chip was reset or lost its power: what it had to say is gone, nothing keeps it."""
        self._outgoing.clear()
        self._busy_until_us = 0

    def unplug(self) -> None:
        """The cable is gone, and with it all that was on its way."""
        self.clear()
        self._incoming.clear()

    def receive(self, data: bytes, now_us: int) -> None:
        """The host has sent `data`."""
        data = self._spoil(data)
        for piece in _pieces(data):
            start = max(now_us + self.latency_us, self._receiving_until_us)
            due = start + self._wire_us(len(piece)) + self._lateness()
            self._receiving_until_us = due
            self._incoming.append((due, piece))

    def arrived(self, now_us: int) -> bytes | None:
        """The next bytes that the board gets now, or None."""
        if not self._incoming or max(self._incoming[0][0], self._busy_until_us) > now_us:
            return None
        return self._incoming.popleft()[1]

    def work(self, busy: Busy, now_us: int) -> None:
        """The flash has begun something."""
        if self.real_time:
            self._busy_until_us = max(now_us, self._busy_until_us) + busy.microseconds

    def send(self, transmit: Transmit, now_us: int) -> None:
        """The board has something to say, as soon as its flash is ready."""
        if self.faults.mute:
            return
        data = self._spoil(transmit.data)
        start = max(now_us, self._busy_until_us, self._sending_until_us)
        due = start + self._wire_us(len(data)) + self._lateness()
        self._sending_until_us = due
        if data:
            self._outgoing.append((due + self.latency_us, Transmit(data, transmit.discardable)))

    def delivered(self, now_us: int) -> Transmit | None:
        """The next thing that the host gets now, or None."""
        if not self._outgoing or self._outgoing[0][0] > now_us:
            return None
        return self._outgoing.popleft()[1]

    def _wire_us(self, count: int) -> int:
        if not self.real_time:
            return 0
        return count * _BITS_PER_BYTE * 1_000_000 // max(self.rate, 1)

    def _lateness(self) -> int:
        late = self.faults.late and self._chance.random() < self.faults.late
        return self.faults.late_us if late else 0

    def _spoil(self, data: bytes) -> bytes:
        faults = self.faults
        if not (faults.lose or faults.flip):
            return data
        spoiled = bytearray()
        for byte in data:
            if faults.lose and self._chance.random() < faults.lose:
                continue
            turned = faults.flip and self._chance.random() < faults.flip
            spoiled.append(byte ^ 1 << self._chance.randrange(8) if turned else byte)
        return bytes(spoiled)


def _pieces(data: bytes) -> list[bytes]:
    """Frame by frame, so that the flash's time falls between frames."""
    pieces = []
    while data:
        end = data.find(slip.END, 1) + 1 or len(data)
        end = min(end, _PIECE)
        pieces.append(data[:end])
        data = data[end:]
    return pieces
