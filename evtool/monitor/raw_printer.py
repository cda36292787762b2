# SPDX-License-Identifier: GPL-3.0-or-later
"""Bytes for a terminal as they come: exactly those, or with a time before each line, or in hex."""

from __future__ import annotations

import re
from collections.abc import Callable

from evtool.monitor.hex_view import HexView
from evtool.monitor.stream import Batch
from evtool.monitor.timestamps import DEVICE, FORMATS, ISO, Stamp, device_stamp, stamp_of

_ESCAPE_SEQUENCE = re.compile(rb"\x1b\[[0-9;?]*[ -/]*[@-~]")
# The beginning of one that the next batch goes on with.
_BROKEN_SEQUENCE = re.compile(rb"\x1b(?:\[[0-9;?]{0,32}[ -/]{0,8})?\Z")


class RawPrinter:
    """Takes the batches of one port, writes bytes.

    Args:
        write: takes bytes; called once a batch at most.
        start_ns: the start of relative times.
        timestamps: one of `timestamps.FORMATS`; None for none.
        colours: False drops the board's escape sequences.
        add_cr: whether a line feed without a carriage return gets one.
        hexadecimal: whether bytes are shown in hex.
        width: columns of the terminal, asked for when they are needed.

    Attributes:
        timestamps, colours, hexadecimal: as above; may change at any time.
    """

    def __init__(
        self,
        write: Callable[[bytes], None],
        start_ns: int,
        *,
        timestamps: str | None = None,
        colours: bool = True,
        add_cr: bool = False,
        hexadecimal: bool = False,
        width: Callable[[], int] = lambda: 80,
    ) -> None:
        self._write = write
        self._start_ns = start_ns
        self._stamp: Stamp | None = None
        self._at_line_start = True
        self._kept = b""
        self._last_was_cr = False
        self._add_cr = add_cr
        self._hex = HexView(width)
        self.hexadecimal = hexadecimal
        self.colours = colours
        self.timestamps = timestamps
        self._choose_stamp()

    def cycle_timestamps(self) -> str:
        """Take the next form, or none after the last; its name."""
        forms = [None, *FORMATS]
        self.timestamps = forms[(forms.index(self.timestamps) + 1) % len(forms)]
        self._choose_stamp()
        return self.timestamps or "none"

    def on_batch(self, batch: Batch) -> None:
        """Print it."""
        data = batch.data
        if self.hexadecimal:
            self._write(self._hex.feed(data, batch.at_ms))
            return
        if self._kept or (not self.colours and b"\x1b" in data):
            data = self._without_colours(data)
        if self._add_cr:
            data = self._with_cr(data)
        if self.timestamps is not None and data:
            data = self._stamped(data, batch.at_ns)
        self._write(data)

    def on_time(self, now_ms: int) -> int | None:
        """Show what waits for the rest of its row."""
        if self.hexadecimal:
            rest = self._hex.look(now_ms)
            if rest:
                self._write(rest)
        return self._hex.next_ms

    def _choose_stamp(self) -> None:
        form = self.timestamps
        self._stamp = None if form in (None, DEVICE) else stamp_of(form or ISO, self._start_ns)

    def _without_colours(self, data: bytes) -> bytes:
        data, self._kept = self._kept + data, b""
        broken = _BROKEN_SEQUENCE.search(data)
        if broken is not None:
            self._kept = data[broken.start() :]
            data = data[: broken.start()]
        return _ESCAPE_SEQUENCE.sub(b"", data)

    def _with_cr(self, data: bytes) -> bytes:
        first_is_ended = self._last_was_cr and data[:1] == b"\n"
        if data:
            self._last_was_cr = data[-1:] == b"\r"
        data = data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
        return data[1:] if first_is_ended else data

    def _stamped(self, data: bytes, at_ns: int) -> bytes:
        starts, self._at_line_start = self._at_line_start, data[-1:] == b"\n"
        body = data[:-1] if self._at_line_start else data
        if self._stamp is None:
            lines = body.split(b"\n")
            first = [device_stamp(lines[0]) if starts else b"", lines[0]]
            rest = [b"\n" + device_stamp(line) + line for line in lines[1:]]
            body = b"".join([*first, *rest])
        else:
            stamp = self._stamp(at_ns)
            body = (stamp if starts else b"") + body.replace(b"\n", b"\n" + stamp)
        return body + b"\n" if self._at_line_start else body
