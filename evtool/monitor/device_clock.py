# SPDX-License-Identifier: GPL-3.0-or-later
"""The board's own time, as far as its console tells it.

A record carries no time. ESP-IDF's and Arduino's log lines do: milliseconds since the start.
Between two of them the host's clock carries the time on; before the first, from the boot event.
"""

from __future__ import annotations

import re

from evtool.monitor.follow import Line

# `I (1234) wifi: ...` of ESP-IDF, `[  1234][I][file.cpp:12] ...` of Arduino
_IDF = re.compile(r"[EWIDV] \((\d{1,10})\) ")
_ARDUINO = re.compile(r"\[ *(\d{1,10})\]\[[EWIDV]\]")

NONE, BOOT, TOLD = "none", "boot", "told"


class DeviceClock:
    """One board's clock.

    Attributes:
        source: `told` where a line of the board said the time, `boot` where the time is counted
            from its boot event, `none` where nothing is known.
    """

    def __init__(self) -> None:
        self.source = NONE
        self._host_ms = 0
        self._device_ms = 0

    def observe(self, line: Line, host_ms: int) -> None:
        """Take in any line of the board, which came at `host_ms`."""
        if line.reset or line.event == "boot":
            # The ROM's banner is nearer to the start than the firmware's event is.
            if line.reset or self.source != BOOT or self.at(host_ms) > _BOOT_TAKES_MS:
                self._set(BOOT, 0, host_ms)
            return
        if line.record is not None or line.text[:1] not in _BEGINNINGS:
            return
        match = _IDF.match(line.text) or _ARDUINO.match(line.text)
        if match is not None:
            self._set(TOLD, int(match[1]), host_ms)

    def at(self, host_ms: int) -> int:
        """Milliseconds since the board's start at `host_ms`; 0 where `source` is none."""
        return 0 if self.source == NONE else max(0, self._device_ms + host_ms - self._host_ms)

    def _set(self, source: str, device_ms: int, host_ms: int) -> None:
        self.source, self._device_ms, self._host_ms = source, device_ms, host_ms


_BEGINNINGS = frozenset("EWIDV[")
_BOOT_TAKES_MS = 10_000
