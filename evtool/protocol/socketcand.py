# SPDX-License-Identifier: GPL-3.0-or-later
"""The text of a socketcand connection in raw mode: elements `< word word ... >` in ASCII.

The daemon greets with `< hi >`, the client opens a bus and asks for raw mode, each answered
with `< ok >`, and from then on

    client -> server    < send ID DLC b0 b1 ... >      bytes in hexadecimal, not padded
    server -> client    < frame ID SECONDS DATA >      DATA is one run of hexadecimal digits

An id of 3 digits is a standard one, of 8 digits an extended one: this is how the clients
(python-can among them) decide. Remote frames do not exist in this protocol.

Source: linux-can/socketcand, doc/protocol.md; python-can, interfaces/socketcand.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from evtool.protocol.can_frame import CanFrame, Malformed

HI = "< hi >"
OK = "< ok >"
RAW_MODE = "< rawmode >"
ECHO = "< echo >"
MAX_ELEMENT = 200
"""Characters of the longest element that is believed; the daemon's own limit is similar."""


@dataclass(slots=True)
class ElementSplitter:
    """Cuts a byte stream into elements, whatever the chunks it arrives in.

    Text outside of `<` and `>` is skipped, as the daemon does; an element that grows beyond
    `MAX_ELEMENT` is given up, so the memory stays bounded.
    """

    _pending: bytearray = field(default_factory=bytearray)

    def feed(self, data: bytes) -> list[str]:
        """Take bytes as they came; return the words between the brackets, one per element."""
        elements = []
        for byte in data:
            if byte == ord("<"):
                self._pending[:] = b"<"
            elif not self._pending:
                continue
            elif byte == ord(">"):
                text = self._pending[1:].decode("ascii", errors="replace").strip()
                elements.append(text)
                self._pending.clear()
            elif len(self._pending) >= MAX_ELEMENT:
                self._pending.clear()
            else:
                self._pending.append(byte)
        return elements


def render_open(channel: str) -> str:
    """`< open can0 >`."""
    return f"< open {channel} >"


def render_send(frame: CanFrame) -> str:
    """The client's request to put `frame` on the bus.

    Raises:
        ValueError: `frame` is a remote frame, which the protocol cannot carry.
    """
    if frame.remote:
        raise ValueError("the socketcand protocol carries no remote frames")
    data = "".join(f"{byte:x} " for byte in frame.data)
    return f"< send {_render_id(frame)} {frame.dlc:X} {data}>"


def render_frame(frame: CanFrame, seconds: float) -> str:
    """The server's report of `frame`, received at `seconds` since the epoch.

    Raises:
        ValueError: `frame` is a remote frame, which the protocol cannot carry.
    """
    if frame.remote:
        raise ValueError("the socketcand protocol carries no remote frames")
    return f"< frame {_render_id(frame)} {seconds:.6f} {frame.data.hex().upper()} >"


def parse_send(element: str) -> CanFrame | Malformed | None:
    """Read `send ID DLC b0 b1 ...`; None for any other element."""
    words = element.split()
    if not words or words[0] != "send":
        return None
    if len(words) < 3:
        return Malformed("send needs an id and a length")
    if len(words) > 3 + 8:
        return Malformed("send carries more than 8 bytes")
    numbers = [_parse_hex(word) for word in words[2:]]
    if any(number is None or number > 0xFF for number in numbers):
        return Malformed("send: length and bytes are hexadecimal numbers up to ff")
    dlc, *data = [number for number in numbers if number is not None]
    if dlc != len(data):
        return Malformed(f"send: length {dlc} with {len(data)} bytes")
    return _make_frame(words[1], bytes(data))


def parse_frame(element: str) -> CanFrame | Malformed | None:
    """Read `frame ID SECONDS DATA`; None for any other element."""
    words = element.split()
    if not words or words[0] != "frame":
        return None
    if len(words) not in (3, 4):
        return Malformed("frame needs an id, a time and the data")
    text = words[3] if len(words) == 4 else ""
    try:
        data = bytes.fromhex(text)
    except ValueError:
        return Malformed("frame: the data is not hexadecimal")
    return _make_frame(words[1], data)


def _render_id(frame: CanFrame) -> str:
    return f"{frame.can_id:08X}" if frame.extended else f"{frame.can_id:03X}"


def _make_frame(id_text: str, data: bytes) -> CanFrame | Malformed:
    can_id = _parse_hex(id_text)
    if can_id is None or len(id_text) not in (3, 8):
        return Malformed("an id has 3 hexadecimal digits, or 8 for an extended one")
    try:
        return CanFrame(can_id, data, extended=len(id_text) == 8)
    except ValueError as error:
        return Malformed(str(error))


def _parse_hex(text: str) -> int | None:
    if not text or len(text) > 8 or any(c not in "0123456789abcdefABCDEF" for c in text):
        return None
    return int(text, 16)
