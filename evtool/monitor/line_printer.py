# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole lines for people and pipes: chosen, stamped, marked with their port.

All lines of a block are written at once. Where no line needs a look of its own they are not even
taken apart.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from evtool.monitor.block import Block
from evtool.monitor.follow import read_line
from evtool.monitor.on_view import OnView
from evtool.monitor.search import search
from evtool.monitor.timestamps import DEVICE, Stamp, device_stamp, stamp_of


@dataclass(frozen=True, slots=True)
class LineStyle:
    """How lines are printed.

    Attributes:
        timestamps: one of `timestamps.FORMATS`; None for none.
        include: only lines in which this is found are printed; None: all.
        exclude: lines in which this is found are not.
        colours: whether the board's escape sequences and bytes are passed on as they are.
        marks: port -> what stands before its lines.
        end: what a line ends with.
    """

    timestamps: str | None = None
    include: re.Pattern[bytes] | None = None
    exclude: re.Pattern[bytes] | None = None
    colours: bool = False
    marks: Mapping[str, bytes] | None = None
    end: bytes = b"\n"


class LinePrinter:
    """Takes blocks, writes bytes.

    Args:
        write: takes bytes; called once a block at most.
        start_ns: the start of relative times.
        view: hides the records of other views; None: hides nothing.
    """

    def __init__(
        self,
        write: Callable[[bytes], None],
        style: LineStyle,
        start_ns: int,
        view: OnView | None = None,
    ) -> None:
        self._write = write
        self._style = style
        self._view = view
        by_line = style.timestamps == DEVICE
        self._stamp: Stamp | None = (
            stamp_of(style.timestamps, start_ns) if style.timestamps and not by_line else None
        )
        self._chooses = by_line or style.include is not None or style.exclude is not None

    def on_block(self, block: Block) -> None:
        """Print it."""
        data = block.data.replace(b"\r\n", b"\n") if self._style.colours else block.text
        lead = b""
        if self._style.marks is not None:
            lead = self._style.marks.get(block.port, b"")
        if self._chooses or self._hides_some(block):
            self._print_chosen(block, data, lead)
            return
        if self._stamp is not None:
            lead = self._stamp(block.at_ns) + lead
        end = self._style.end
        if lead or end != b"\n":
            data = lead + data[:-1].replace(b"\n", end + lead) + end
        self._write(data)

    def _hides_some(self, block: Block) -> bool:
        return self._view is not None and any(
            b"[%b]" % name.encode() in block.text for name in self._view.hidden
        )

    def _print_chosen(self, block: Block, data: bytes, lead: bytes) -> None:
        shown = []
        for text, line in zip(block.lines, data[:-1].split(b"\n"), strict=True):
            if not self._is_chosen(text):
                continue
            own = device_stamp(line) if self._style.timestamps == DEVICE else b""
            shown += [own, lead, line, self._style.end]
        if not shown:
            return
        if self._stamp is not None:
            stamp = self._stamp(block.at_ns)
            shown[0::4] = [stamp] * (len(shown) // 4)
        self._write(b"".join(shown))

    def _is_chosen(self, text: str) -> bool:
        style = self._style
        if style.include is not None or style.exclude is not None:
            line = text.encode()
            if style.include is not None and not search(style.include, line):
                return False
            if style.exclude is not None and search(style.exclude, line):
                return False
        if self._view is None or not text.startswith("["):
            return True
        return self._view.shows(read_line(text, 0))
