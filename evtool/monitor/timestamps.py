# SPDX-License-Identifier: GPL-3.0-or-later
"""The time before each line, in the form that was chosen. Times come in as arguments."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

ISO, EPOCH, RELATIVE, DELTA, DEVICE = "iso", "epoch", "relative", "delta", "device"
FORMATS = (ISO, EPOCH, RELATIVE, DELTA, DEVICE)

# ESP-IDF's log: `I (12345) wifi: ...`, milliseconds since the start, with or without colour
_DEVICE = re.compile(rb"(?:\x1b\[[0-9;]*m)?[EWIDV] \((\d{1,10})\) ")
_NO_DEVICE_TIME = b"[          -] "

Stamp = Callable[[int], bytes]
"""The text before lines that came at this Unix time in nanoseconds, with a blank behind it."""


class IsoStamp:
    """`2001-02-03T04:05:06.789Z `, in UTC."""

    def __init__(self) -> None:
        self._second = -1
        self._text = ""

    def __call__(self, at_ns: int) -> bytes:
        second, rest = divmod(at_ns, 1_000_000_000)
        if second != self._second:
            self._second = second
            self._text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        return f"{self._text}.{rest // 1_000_000:03d}Z ".encode()


def epoch_stamp(at_ns: int) -> bytes:
    """`981173106.789 `: Unix time in seconds."""
    return b"%d.%03d " % (at_ns // 1_000_000_000, at_ns // 1_000_000 % 1000)


class RelativeStamp:
    """`[    12.345] `: seconds since `start_ns`."""

    def __init__(self, start_ns: int) -> None:
        self._start_ns = start_ns

    def __call__(self, at_ns: int) -> bytes:
        return _seconds(max(0, at_ns - self._start_ns))


class DeltaStamp:
    """`[    +0.012] `: seconds since the last lines that came."""

    def __init__(self, start_ns: int) -> None:
        self._last_ns = start_ns

    def __call__(self, at_ns: int) -> bytes:
        since_ns, self._last_ns = max(0, at_ns - self._last_ns), at_ns
        return _seconds(since_ns, b"+")


def _seconds(ns: int, sign: bytes = b"") -> bytes:
    text = b"%b%d.%03d" % (sign, ns // 1_000_000_000, ns // 1_000_000 % 1000)
    return b"[%11b] " % text


def device_stamp(line: bytes) -> bytes:
    """`[    12.345] `: the board's own clock, as far as the line says it."""
    match = _DEVICE.match(line)
    return _NO_DEVICE_TIME if match is None else _seconds(int(match[1]) * 1_000_000)


def stamp_of(form: str, start_ns: int) -> Stamp:
    """The stamp in the form `iso`, `epoch`, `relative` or `delta`."""
    match form:
        case "iso":
            return IsoStamp()
        case "epoch":
            return epoch_stamp
        case "relative":
            return RelativeStamp(start_ns)
        case "delta":
            return DeltaStamp(start_ns)
        case _:
            raise ValueError(form)
