# SPDX-License-Identifier: GPL-3.0-or-later
"""esptool's packets without the hex dump that nobody reads.

esptool (all of 5.x so far) formats a hex dump of every packet for a trace that is switched off,
which costs 17 times the processor time of all the rest: with sixteen boards, that is the time of
the whole run. docs/flashing.md describes the change upstream that would mend it.

Until then its formatter is replaced by one that formats nothing. That is a name in its module
and no promise, so it is not believed but tried: a loader at a port in memory sends a packet of
16 KiB and reads the answer. What it sends must be right to the byte, and the
calls that the interpreter counts on the way must be few. Where either fails, esptool is put back
as it was, and whoever asked runs it as programs of their own.
"""

from __future__ import annotations

import struct
import sys
import threading
from types import FrameType
from typing import Any

import esptool.loader
from esptool.loader import ESPLoader

_OP = ESPLoader.ESP_CMDS["FLASH_DEFL_DATA"]
_PROBE = bytes(number * 7 & 0xFF for number in range(0x4000))
# Some 60 calls without a hex dump, more than 20000 with one.
_FEW_CALLS = 1_000
_lock = threading.Lock()
_verdict: bool | None = None


class _Unformatted:
    """Stands where esptool puts the hex dump of a packet; says how long it was at most."""

    def __init__(self, binary_string: bytes, auto_split: bool = True) -> None:
        self._length = len(binary_string)

    def __str__(self) -> str:
        return f"({self._length} bytes)"


def make_packets_cheap() -> bool:
    """See to it that packets cost next to nothing, once for the process.

    Returns:
        False where this esptool cannot be brought to it; it is then as it was.
    """
    global _verdict  # noqa: PLW0603 - esptool's module is global, and so is what became of it
    with _lock:
        if _verdict is None:
            _verdict = _replace_formatter() or _packets_are_cheap()
        return _verdict


def checksum(data: bytes, state: int = ESPLoader.ESP_CHECKSUM_MAGIC) -> int:
    """The loader's checksum: all bytes and `state` combined by XOR.

    The same as esptool's, which goes byte by byte; here halves are folded onto each other.
    """
    number, size = int.from_bytes(data, "little"), len(data)
    while size > 1:
        half = (size + 1) // 2
        number = (number >> 8 * half) ^ (number & (1 << 8 * half) - 1)
        size = half
    return number ^ state


def _replace_formatter() -> bool:
    original = getattr(esptool.loader, "HexFormatter", None)
    if original is None:
        return False
    esptool.loader.HexFormatter = _Unformatted
    if _packets_are_cheap():
        return True
    esptool.loader.HexFormatter = original
    return False


class _MemoryPort:
    """A port that answers any command with success."""

    name = port = "memory"
    timeout: float | None = 3.0
    write_timeout: float | None = None
    baudrate = 115_200

    def __init__(self) -> None:
        self.written = b""
        self._answer = b"\xc0" + struct.pack("<BBHI", 1, _OP, 2, 0) + b"\0\0\xc0"

    def write(self, data: bytes) -> int:
        self.written += data
        return len(data)

    def read(self, size: int = 1) -> bytes:
        taken, self._answer = self._answer[:size], self._answer[size:]
        return taken

    def inWaiting(self) -> int:
        return len(self._answer)


def _packets_are_cheap() -> bool:
    """Whether one packet goes out right and without much ado."""
    header = struct.pack("<IIII", len(_PROBE), 0, 0, 0)
    packet = struct.pack("<BBHI", 0, _OP, len(header + _PROBE), checksum(_PROBE)) + header + _PROBE
    wanted = packet.replace(b"\xdb", b"\xdb\xdd").replace(b"\xc0", b"\xdb\xdc")
    port = _MemoryPort()
    calls = 0

    def count(_frame: FrameType, event: str, _argument: Any) -> None:
        nonlocal calls
        calls += event in {"call", "c_call"}

    try:
        loader = ESPLoader(port)
        loader.checksum = checksum
        profiler = sys.getprofile()
        sys.setprofile(count)
        try:
            loader.flash_defl_block(_PROBE, 0)
        finally:
            sys.setprofile(profiler)
    except Exception:  # noqa: BLE001 - not the esptool we know, and free to fail in any way
        return False
    return port.written == b"\xc0" + wanted + b"\xc0" and calls < _FEW_CALLS
