# SPDX-License-Identifier: GPL-3.0-or-later
"""A flashing host that costs next to nothing, so that a benchmark measures the boards."""

from __future__ import annotations

import hashlib
import os
import select
import struct
import tty
import zlib
from collections.abc import Mapping

from evtool.protocol import slip
from evtool.protocol.esp_loader import SYNC_DATA, Op, block_checksum

_STUB = b"\x36\x41\x00OHAI" + bytes(8_000)
_STUB_AT = 0x400A8000
_BLOCK = 0x4000
_WAIT_S = 60


class FlashClient:
    """One board's host.

    Args:
        serial_port: a pseudo-terminal.

    Raises:
        TimeoutError: the board does not answer.
    """

    def __init__(self, serial_port: str) -> None:
        self._descriptor = os.open(serial_port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        tty.setraw(self._descriptor)
        self._decoder = slip.Decoder()
        self._frames: list[bytes] = []

    def close(self) -> None:
        """Close the port: the board restarts and boots."""
        os.close(self._descriptor)

    def flash(self, files: Mapping[int, bytes]) -> None:
        """Start the stub, write all files compressed, and compare their digests."""
        self._ask(Op.SYNC, SYNC_DATA)
        self._ask(Op.MEM_BEGIN, struct.pack("<4I", len(_STUB), 1, len(_STUB), _STUB_AT))
        self._block(Op.MEM_DATA, 0, _STUB)
        self._frames.clear()
        self._ask(Op.MEM_END, struct.pack("<2I", 0, _STUB_AT))
        while self._next() != b"OHAI":
            pass
        for offset, data in files.items():
            packed = zlib.compress(data, 9)
            blocks = -(-len(packed) // _BLOCK)
            begin = struct.pack("<5I", len(data), blocks, _BLOCK, offset, 0)
            self._ask(Op.FLASH_DEFL_BEGIN, begin)
            for seq in range(blocks):
                self._block(Op.FLASH_DEFL_DATA, seq, packed[seq * _BLOCK : (seq + 1) * _BLOCK])
            digest = self._ask(Op.SPI_FLASH_MD5, struct.pack("<4I", offset, len(data), 0, 0))
            if digest[8:24] != hashlib.md5(data, usedforsecurity=False).digest():
                raise ValueError(f"the board does not hold what was written at {offset:#x}")

    def _block(self, op: Op, seq: int, data: bytes) -> None:
        header = struct.pack("<4I", len(data), seq, 0, 0)
        self._ask(op, header + data, block_checksum(data))

    def _ask(self, op: Op, data: bytes, checksum: int = 0) -> bytes:
        self._write(slip.encode(struct.pack("<BBHI", 0, op, len(data), checksum) + data))
        while True:
            frame = self._next()
            if frame[:2] == bytes([1, op]):
                return frame

    def _write(self, data: bytes) -> None:
        while data:
            try:
                data = data[os.write(self._descriptor, data) :]
            except BlockingIOError:
                select.select([], [self._descriptor], [], _WAIT_S)

    def _next(self) -> bytes:
        while not self._frames:
            if not select.select([self._descriptor], [], [], _WAIT_S)[0]:
                raise TimeoutError("the board does not answer")
            found = self._decoder.feed(os.read(self._descriptor, 65_536))
            self._frames += [frame for frame in found if isinstance(frame, bytes)]
        return self._frames.pop(0)
