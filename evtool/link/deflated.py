# SPDX-License-Identifier: GPL-3.0-or-later
"""Images as the flasher takes them: one zlib stream in blocks, made once for a whole rack."""

from __future__ import annotations

import threading
import zlib
from collections import OrderedDict
from dataclasses import dataclass

_LEVEL = 9
# Whole images are few; single sectors of one board's identity come and go.
_KEPT = 64


@dataclass(frozen=True, slots=True)
class Stream:
    """One image in blocks.

    Attributes:
        blocks: of at most the size that was asked for.
        plain: how many bytes of flash each block becomes.
        deflated: whether the blocks are a zlib stream; what does not shrink is left as it is.
        size: of all blocks together.
    """

    blocks: tuple[bytes, ...]
    plain: tuple[int, ...]
    deflated: bool
    size: int


class Streams:
    """Streams by contents; any number of threads may ask."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[bytes, int], Stream] = OrderedDict()

    def of(self, data: bytes, block_size: int) -> Stream:
        """`data` as a stream; the second thread that asks for the same waits for the first."""
        key = data, block_size
        with self._lock:
            if key not in self._kept:
                self._kept[key] = _stream(data, block_size)
                if len(self._kept) > _KEPT:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(key)
            return self._kept[key]


def _stream(data: bytes, block_size: int) -> Stream:
    packed = zlib.compress(data, _LEVEL)
    if len(packed) >= len(data):
        blocks = _cut(data, block_size)
        return Stream(blocks, tuple(len(block) for block in blocks), False, len(data))
    blocks = _cut(packed, block_size)
    inflate = zlib.decompressobj()
    plain = tuple(len(inflate.decompress(block)) for block in blocks)
    return Stream(blocks, plain, True, len(packed))


def _cut(data: bytes, size: int) -> tuple[bytes, ...]:
    return tuple(data[start : start + size] for start in range(0, len(data), size))
