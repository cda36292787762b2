# SPDX-License-Identifier: GPL-3.0-or-later
"""A flashing host's first frame among what people type.

A port without reset lines resets the chip by it: no application understands 36 bytes of SYNC,
and nobody types them.
"""

from __future__ import annotations

from dataclasses import dataclass

from evtool.protocol import slip
from evtool.protocol.esp_loader import is_sync

# A SYNC frame takes 46 bytes with both delimiters; a longer one is something else.
_SYNC_LENGTH = 64


@dataclass(frozen=True, slots=True)
class Watched:
    """What part of the input was.

    Attributes:
        taken: how many bytes were looked at.
        typed: what the application gets of it, held back bytes before it.
        sync: the frame, if it was one.
    """

    taken: int
    typed: bytes = b""
    sync: bytes | None = None


class SyncWatch:
    """Holds back what might become a SYNC until it cannot."""

    def __init__(self) -> None:
        self._held_back = bytearray()

    def clear(self) -> None:
        """Forget what is held back."""
        self._held_back.clear()

    def look(self, data: bytes) -> Watched:
        """Look at the next bytes, as far as one decision goes."""
        if not self._held_back:
            start = data.find(slip.END)
            if start < 0:
                return Watched(len(data), data)
            self._held_back.append(slip.END)
            return Watched(start + 1, data[:start])
        end = data.find(slip.END)
        taken = len(data) if end < 0 else end
        self._held_back += data[:taken]
        if len(self._held_back) > _SYNC_LENGTH:
            typed = bytes(self._held_back)
            self._held_back.clear()
            return Watched(taken, typed)
        if end < 0:
            return Watched(taken)
        frames = slip.Decoder().feed(bytes(self._held_back) + b"\xc0")
        if frames and isinstance(frames[0], bytes) and is_sync(frames[0]):
            self._held_back.clear()
            return Watched(end + 1, sync=frames[0])
        # Not a SYNC; this END may be the first byte of one.
        typed = bytes(self._held_back)
        self._held_back[:] = b"\xc0"
        return Watched(end + 1, typed)
