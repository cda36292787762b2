# SPDX-License-Identifier: GPL-3.0-or-later
"""SLIP framing (RFC 1055), as the ESP32's serial loader uses it.

A frame stands between two END bytes. Inside it END and ESC are written as two bytes.
Bytes before the first END and empty frames are noise of the line and are dropped.
"""

from __future__ import annotations

from evtool.protocol.can_frame import Malformed

END = 0xC0
ESC = 0xDB
ESC_END = 0xDC
ESC_ESC = 0xDD

# The longest frame of the loader is a 16 KiB block with its headers; twice that is generous.
MAX_FRAME_LENGTH = 0x8000


def encode(payload: bytes) -> bytes:
    """The bytes on the wire for one frame with `payload`."""
    body = payload.replace(b"\xdb", b"\xdb\xdd").replace(b"\xc0", b"\xdb\xdc")
    return b"\xc0" + body + b"\xc0"


class Decoder:
    """Bytes in any chunking in, frames out; a broken frame is a `Malformed`, never an error.

    A frame longer than `max_length` bytes is dropped up to its END and reported once.
    """

    def __init__(self, max_length: int = MAX_FRAME_LENGTH) -> None:
        self._max_length = max_length
        self._frame = bytearray()
        self._inside = False
        self._escaped = False
        self._fault: str | None = None

    def feed(self, data: bytes) -> list[bytes | Malformed]:
        """The frames that `data` completes, in order."""
        frames: list[bytes | Malformed] = []
        # END never occurs inside a frame's encoding, so it may be split on first.
        *ended, rest = data.split(b"\xc0")
        for part in ended:
            self._extend(part)
            self._finish(frames)
        self._extend(rest)
        return frames

    def _extend(self, part: bytes) -> None:
        if not self._inside or not part or self._fault is not None:
            return
        if self._escaped:
            part = b"\xdb" + part
            self._escaped = False
        if part.endswith(b"\xdb"):
            # ESC ESC is broken anyway; an escape alone at the end waits for its other half.
            self._escaped = True
            part = part[:-1]
        first, *pieces = part.split(b"\xdb")
        self._append(first)
        for piece in pieces:
            if self._fault is not None:
                return
            if piece[:1] == b"\xdc":
                self._append(b"\xc0" + piece[1:])
            elif piece[:1] == b"\xdd":
                self._append(b"\xdb" + piece[1:])
            else:
                self._fault = f"escape followed by 0x{piece[0] if piece else ESC:02x}"

    def _append(self, data: bytes) -> None:
        self._frame += data
        if len(self._frame) > self._max_length:
            self._fault = f"frame longer than {self._max_length} bytes"
            self._frame.clear()

    def _finish(self, frames: list[bytes | Malformed]) -> None:
        if self._inside:
            if self._fault is not None:
                frames.append(Malformed(self._fault))
            elif self._escaped:
                frames.append(Malformed("frame ends inside an escape"))
            elif self._frame:
                frames.append(bytes(self._frame))
        self._inside = True
        self._escaped = False
        self._fault = None
        self._frame.clear()
