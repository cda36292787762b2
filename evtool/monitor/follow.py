# SPDX-License-Identifier: GPL-3.0-or-later
"""What a board's lines say: records, resets, breakdowns. Lines and time go in; opens nothing.

A board that resets, or whose program breaks down, says so in lines of its own, whatever
firmware it runs: the ROM's and ESP-IDF's words are recognised here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import msgspec
from ahocorasick_rs import BytesAhoCorasick

from evtool.monitor.block import Block, LineAssembler
from evtool.protocol.can_frame import Malformed
from evtool.protocol.console import Record, clean_text, parse_line

DEFAULT_SILENCE_MS = 5000

# ESP32 ROM: `rst:0x1 (POWERON_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)`
_RESET = re.compile(r"rst:0x[0-9a-fA-F]+ \((\w+)\)")
# ESP-IDF's panic handler, abort and assert; a sanitizer's report in the host program
_PANIC = re.compile(
    r"Guru Meditation Error|^abort\(\) was called|^assert failed:|^Backtrace:|Stack canary"
    r"|\*\*\*ERROR\*\*\*|ERROR: \w+Sanitizer|runtime error:|Brownout detector was triggered"
)
# A line that either finds has one of these; all lines of a block are looked through at once.
_MARKS = (
    b"rst:0x",
    b"Guru Meditation Error",
    b"abort() was called",
    b"assert failed:",
    b"Backtrace:",
    b"Stack canary",
    b"***ERROR***",
    b"Sanitizer",
    b"runtime error:",
    b"Brownout detector was triggered",
)
# The end of an escape sequence that a line may be printed with (colour, erasing, cursor), and a
# bracket behind it: a record, for the rest of the sequence stands before it.
_SEQUENCE_ENDS = tuple(bytes((end, ord("["))) for end in range(ord("@"), ord("~") + 1))
_RESET_MARK = 0
_find_marks = BytesAhoCorasick(_MARKS).find_matches_as_indexes
# Everything that a telling line can be found by, in one pass over the bytes: with the records, or
# with those of them only that are events.
_RECORD, _EVENT = b"[", b"[event]"
_RECORD_BEGINS = len(_MARKS)
_FINDERS = {
    begin: BytesAhoCorasick((*_MARKS, b"\n" + begin, *_SEQUENCE_ENDS)).find_matches_as_indexes
    for begin in (_RECORD, _EVENT)
}


class Line(msgspec.Struct, frozen=True, gc=False):
    """A whole line as printed, before anything is made of it.

    Attributes:
        at_ms: when its end arrived, on the monotonic clock.
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
    def is_event(self) -> bool:
        """Whether something happened: an event, a reset, a panic."""
        return bool(self.event or self.reset) or self.panic

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


class Quiet:
    """How long nothing has come.

    Args:
        now_ms: when the port was opened.
        silence_ms: how long nothing may arrive before that is worth saying.
    """

    def __init__(self, now_ms: int, silence_ms: int = DEFAULT_SILENCE_MS) -> None:
        self._silence_ms = silence_ms
        self._heard_ms = now_ms
        self._silent = False

    def hear(self, now_ms: int) -> None:
        """Something came."""
        self._heard_ms = now_ms
        self._silent = False

    def look(self, now_ms: int) -> Silence | None:
        """The silence that is to be said now."""
        for_ms = now_ms - self._heard_ms
        if self._silent or for_ms < self._silence_ms:
            return None
        self._silent = True
        return Silence(now_ms, for_ms)

    @property
    def next_ms(self) -> int | None:
        """When to look; None where there is nothing to be said before something comes."""
        return None if self._silent else self._heard_ms + self._silence_ms


class Follower:
    """One board's console, from one opening of its port to the next, line by line.

    Args:
        now_ms, silence_ms: as of `Quiet`.
    """

    def __init__(self, now_ms: int, silence_ms: int = DEFAULT_SILENCE_MS) -> None:
        self._assembler = LineAssembler()
        self._quiet = Quiet(now_ms, silence_ms)

    def feed(self, data: bytes, now_ms: int) -> list[Happening]:
        """What `data` (b"" where nothing came) and the time bring."""
        if data:
            self._quiet.hear(now_ms)
            return [*read_lines(Block("", 0, now_ms, self._assembler.feed(data)))]
        silence = self._quiet.look(now_ms)
        return [] if silence is None else [silence]

    def finish(self, now_ms: int) -> list[Happening]:
        """The line that the port went away in."""
        return [*read_lines(Block("", 0, now_ms, self._assembler.finish()))]


def read_line(text: str, now_ms: int, at_ns: int = 0, port: str = "") -> Line:
    """Everything that one line says."""
    parsed = parse_line(text) if text.startswith("[") else None
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


def read_lines(block: Block) -> list[Line]:
    """Everything that all lines of `block` say."""
    at_ms, at_ns, port = block.at_ms, block.at_ns, block.port
    if _find_marks(block.text):
        return [read_line(text, at_ms, at_ns, port) for text in block.lines]
    return [
        read_line(text, at_ms, at_ns, port)
        if text[:1] == "["
        else Line(at_ms, text, at_ns=at_ns, port=port)
        for text in block.lines
    ]


def read_telling_lines(block: Block, *, records: bool = True) -> list[Line]:
    """Those of them that are more than text; looks no closer at the others.

    Of lines that report a breakdown, and have no reset and no record between them, the first at
    least: a flood of backtraces costs no more than text.

    The bytes are searched as they came, and only what is found is made text; where an escape
    sequence could stand before a record's bracket, the whole block is.
    """
    data = block.data
    lines: list[Line] = []
    last = -1  # the beginning of the line that was looked at last
    begin = _RECORD if records else _EVENT
    if data.startswith(begin):
        last = 0
        lines += _telling_line(block, 0)
    for which, at, _ in _FINDERS[begin](data):
        if which > _RECORD_BEGINS:
            if data.rfind(b"\x1b", data.rfind(b"\n", 0, at) + 1, at) >= 0:
                return [line for line in read_lines(block) if line.is_telling]
            continue
        if which == _RECORD_BEGINS:
            start = at + 1
        elif which != _RESET_MARK and lines and lines[-1].panic:
            continue
        else:
            start = data.rfind(b"\n", 0, at) + 1
        if start > last:
            last = start
            lines += _telling_line(block, start)
    return lines


def _telling_line(block: Block, start: int) -> list[Line]:
    """The line that begins there, if it is more than text."""
    data = block.data
    text = clean_text(data[start : data.index(b"\n", start)].removesuffix(b"\r"))
    line = read_line(text, block.at_ms, block.at_ns, block.port)
    return [line] if line.is_telling else []
