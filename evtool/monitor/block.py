# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole lines of a console as one piece of bytes: what is done to all of them at once costs least.

Cut and cleaned exactly as `evtool.protocol.console.LineSplitter` does it line by line; the quick
way is taken where the bytes allow it, which a console's nearly always do.
"""

from __future__ import annotations

import re
from functools import cached_property

from evtool.protocol.console import MAX_LINE_BYTES, clean_text

_ESCAPE_SEQUENCE = re.compile(rb"\x1b\[[0-9;?]*[ -/]*[@-~]")
# of ESP-IDF's log: its end, error, warning, information
_USUAL_SEQUENCES = (b"\x1b[0m", b"\x1b[0;31m", b"\x1b[0;33m", b"\x1b[0;32m")
_PRINTABLE = bytes(range(0x20, 0x7F)) + b"\n"


class Block:
    """Lines of one port that were whole at one moment.

    Args:
        at_ns, at_ms: as in `evtool.monitor.stream.Batch`.
        data: the lines as they came, each with its end, masked.
    """

    def __init__(self, port: str, at_ns: int, at_ms: int, data: bytes) -> None:
        self.port = port
        self.at_ns = at_ns
        self.at_ms = at_ms
        self.data = data

    @cached_property
    def text(self) -> bytes:
        """The lines as text that is safe to show, each ended by LF: `clean_text`, in UTF-8."""
        data = self.data.replace(b"\r\n", b"\n")
        if b"\x1b" in data:
            for sequence in _USUAL_SEQUENCES:
                data = data.replace(sequence, b"")
            if b"\x1b" in data:
                data = _ESCAPE_SEQUENCE.sub(b"", data)
        if data.translate(None, _PRINTABLE):
            lines = self.data.split(b"\n")
            lines.pop()
            cleaned = [clean_text(line.removesuffix(b"\r")).encode() for line in lines]
            return b"\n".join([*cleaned, b""])
        return data

    @cached_property
    def lines(self) -> list[str]:
        """`text`, cut into lines."""
        lines = self.text.decode().split("\n")
        lines.pop()
        return lines

    def head(self, count: int) -> Block:
        """The first `count` lines."""
        end = 0
        for _ in range(count):
            end = self.data.index(b"\n", end) + 1
        return Block(self.port, self.at_ns, self.at_ms, self.data[:end])


class LineAssembler:
    """Turns a stream of bytes into whole lines; keeps at most one unfinished line.

    A line longer than `MAX_LINE_BYTES` is delivered once, cut there; its rest is dropped.
    """

    def __init__(self) -> None:
        self._pending = b""
        self._dropping = False

    def feed(self, data: bytes) -> bytes:
        """The lines that `data` completes, each with its end; b"" for none."""
        if self._dropping:
            end = data.find(b"\n") + 1
            if not end:
                return b""
            data = data[end:]
            self._dropping = False
        if self._pending:
            data = self._pending + data
            self._pending = b""
        end = data.rfind(b"\n") + 1
        whole, rest = data[:end], data[end:]
        if len(whole) > MAX_LINE_BYTES and _has_long_line(whole):
            whole = b"".join(_cut(line + b"\n") for line in whole[:-1].split(b"\n"))
        if _is_too_long(rest):
            self._dropping = True
            return whole + _cut(rest)
        self._pending = rest
        return whole

    def finish(self) -> bytes:
        """The line that the stream broke off in, with an end; b"" for none."""
        pending, self._pending = self._pending, b""
        self._dropping = False
        return _ended(pending) if pending else b""


def _has_long_line(whole: bytes) -> bool:
    """Whether a line is longer than allowed, in few steps."""
    at = 0
    end = len(whole)
    while end - at > MAX_LINE_BYTES:
        at = whole.rfind(b"\n", at, at + MAX_LINE_BYTES + 1) + 1
        if not at:  # a longer line, or one of just this length with its CR, which _cut tells apart
            return True
    return False


def _is_too_long(line: bytes) -> bool:
    # one more for the CR that a line of just the allowed length may end in
    size = len(line)
    return size > MAX_LINE_BYTES and not (size == MAX_LINE_BYTES + 1 and line[-1:] == b"\r")


def _cut(line: bytes) -> bytes:
    body = line.removesuffix(b"\n")
    return _ended(body[:MAX_LINE_BYTES]) if _is_too_long(body) else line


def _ended(body: bytes) -> bytes:
    """A line that broke off: a CR there is no part of its end."""
    return body + (b"\r\n" if body.endswith(b"\r") else b"\n")
