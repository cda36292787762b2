# SPDX-License-Identifier: GPL-3.0-or-later
"""Flash on its way to the host in packets, as the stub sends it."""

from __future__ import annotations

import hashlib

from evtool.virtual.flash_chip import FlashChip


class FlashRead:
    """Flash on its way to the host: at most `window` packets unacknowledged, then the MD5."""

    def __init__(
        self, flash: FlashChip, offset: int, length: int, packet: int, window: int
    ) -> None:
        self._flash = flash
        self._offset = offset
        self._length = length
        self._packet = packet
        self._window = window * packet
        self._sent = 0
        self._acknowledged = 0
        self._digest = hashlib.md5(usedforsecurity=False)
        self.finished = False

    def acknowledge(self, total: int) -> None:
        """The host has `total` bytes."""
        if self._acknowledged <= total <= self._sent:
            self._acknowledged = total

    def packets(self) -> list[bytes]:
        """What may be sent now."""
        packets = []
        while self._sent < self._length and self._sent - self._acknowledged < self._window:
            count = min(self._packet, self._length - self._sent)
            data = self._flash.read(self._offset + self._sent, count)
            self._digest.update(data)
            self._sent += count
            packets.append(data)
        if self._acknowledged == self._length and not self.finished:
            self.finished = True
            packets.append(self._digest.digest())
        return packets
