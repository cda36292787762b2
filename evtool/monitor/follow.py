# SPDX-License-Identifier: GPL-3.0-or-later
"""Follows a board's console: bytes and time go in, what happened comes out. Opens nothing.

A board that resets, or whose program breaks down, says so in lines of its own, whatever
firmware it runs: the ROM's and ESP-IDF's words are recognised here. Turning a backtrace's
addresses into lines of source, and send/expect scripts, belong beside this module.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from evtool.protocol.can_frame import Malformed
from evtool.protocol.console import LineSplitter, Record, parse_line

DEFAULT_SILENCE_MS = 5000

# ESP32 ROM: `rst:0x1 (POWERON_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)`
_RESET = re.compile(r"rst:0x[0-9a-fA-F]+ \((\w+)\)")
# ESP-IDF's panic handler, abort and assert; a sanitizer's report in the host program
_PANIC = re.compile(
    r"Guru Meditation Error|^abort\(\) was called|^assert failed:|^Backtrace:|Stack canary"
    r"|\*\*\*ERROR\*\*\*|ERROR: \w+Sanitizer|runtime error:"
)


@dataclass(frozen=True, slots=True)
class Line:
    """A whole line as printed, before anything is made of it.

    Attributes:
        at_ms: when its end arrived, on the clock that `Follower` is fed.
        text: the line, safe to show.
        record: what it says; None for a line that is no record.
        malformed: why a line that begins as a record is none; "" otherwise.
        reset: the ROM's reset reason where the line is its boot banner; "" otherwise.
        panic: whether the line reports a breakdown of the program.
        at_ns: the same moment as Unix time in nanoseconds; 0 where nobody said.
        port: the name of the port it came from; "" where there is only one.
    """

    at_ms: int
    text: str
    record: Record | None = None
    malformed: str = ""
    reset: str = ""
    panic: bool = False
    at_ns: int = 0
    port: str = ""

    @property
    def is_telling(self) -> bool:
        """Whether it is more than text: a record, a broken one, a reset, a panic."""
        return self.record is not None or bool(self.malformed or self.reset) or self.panic

    @property
    def event(self) -> str:
        """What happened, where the line is an event; "" otherwise."""
        return self.record.kind if self.record is not None else ""


@dataclass(frozen=True, slots=True)
class Silence:
    """Nothing has arrived for a while; said once until something arrives again."""

    at_ms: int
    for_ms: int


Happening = Line | Silence


class Follower:
    """One board's console, from one opening of its port to the next.

    Args:
        now_ms: when the port was opened.
        silence_ms: how long nothing may arrive before that is worth saying.
        port: what its lines say they came from.
    """

    def __init__(self, now_ms: int, silence_ms: int = DEFAULT_SILENCE_MS, port: str = "") -> None:
        self._port = port
        self._splitter = LineSplitter()
        self._silence_ms = silence_ms
        self._heard_ms = now_ms
        self._silent = False

    def feed(self, data: bytes, now_ms: int, at_ns: int = 0) -> list[Happening]:
        """What `data` (b"" where nothing came) and the time bring; `at_ns` is `Line.at_ns`."""
        if data:
            self._heard_ms = now_ms
            self._silent = False
            return [
                read_line(text, now_ms, at_ns, self._port) for text in self._splitter.feed(data)
            ]
        for_ms = now_ms - self._heard_ms
        if self._silent or for_ms < self._silence_ms:
            return []
        self._silent = True
        return [Silence(now_ms, for_ms)]

    def finish(self, now_ms: int, at_ns: int = 0) -> list[Happening]:
        """The line that the port went away in."""
        return [read_line(text, now_ms, at_ns, self._port) for text in self._splitter.finish()]


def read_line(text: str, now_ms: int, at_ns: int = 0, port: str = "") -> Line:
    """Everything that one line says."""
    parsed = parse_line(text)
    if isinstance(parsed, Malformed):
        return Line(now_ms, text, malformed=parsed.reason, at_ns=at_ns, port=port)
    if parsed is not None:
        return Line(now_ms, text, record=parsed, at_ns=at_ns, port=port)
    reset = _RESET.search(text)
    return Line(
        now_ms,
        text,
        reset=reset[1] if reset is not None else "",
        panic=_PANIC.search(text) is not None,
        at_ns=at_ns,
        port=port,
    )
