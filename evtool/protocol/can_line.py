# SPDX-License-Identifier: GPL-3.0-or-later
"""The `can` line of the host program (docs/host-program.md): a frame and its bus as text.

The words behind `can`: `<bus> <id, 8 hex digits> <x|s> <d|r> <dlc> <data in hex, or ->`.
"""

from __future__ import annotations

import re
from functools import lru_cache

from evtool.protocol.can_frame import CanFrame, Malformed

_WORDS = re.compile(
    r"([01]) ([0-9A-Fa-f]{8}) ([xs]) ([dr]) ([0-8]) (-|(?:[0-9A-Fa-f]{2})+)", re.ASCII
)


def render_can_line(bus: int, frame: CanFrame) -> str:
    """The line, `can` included, hex digits in upper case."""
    form = "x" if frame.extended else "s"
    kind = "r" if frame.remote else "d"
    data = frame.data.hex().upper() or "-"
    return f"can {bus} {frame.can_id:08X} {form} {kind} {frame.dlc} {data}"


@lru_cache(maxsize=1024)  # traffic repeats itself
def parse_can_words(text: str) -> tuple[int, CanFrame] | Malformed:
    """Bus and frame of the words behind `can`, hex digits in either case."""
    match = _WORDS.fullmatch(text)
    if match is None:
        return Malformed("not a bus, an identifier, x or s, d or r, a dlc and data")
    bus, can_id, form, kind, dlc, data = match.groups()
    try:
        frame = CanFrame(
            int(can_id, 16),
            bytes.fromhex("" if data == "-" else data),
            extended=form == "x",
            remote=kind == "r",
            dlc=int(dlc),
        )
    except ValueError as error:
        return Malformed(str(error))
    return int(bus), frame
