# SPDX-License-Identifier: GPL-3.0-or-later
"""Which values a fleet has had already, in 20 bytes a value, whatever the values are.

Only a keyed hash of each value is kept, with the line that it stood in: a million secrets
take the memory of a photograph, and none of them is in it. Two different values meet in one
64-bit hash with a probability of 3e-8 in a million values.
"""

from __future__ import annotations

from array import array
from hashlib import blake2b

_EMPTY = 0
_FIRST_SIZE = 1024  # a power of two


class SeenValues:
    """A set of hashes with lines, in open addressing.

    Args:
        key: random, of this run alone, so that nobody can make values that meet.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._hashes = array("Q", bytes(8 * _FIRST_SIZE))
        self._lines = array("I", bytes(array("I").itemsize * _FIRST_SIZE))
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def first_line(self, value: bytes, line: int) -> int:
        """Note `value` at `line`; the line that it stood in first, which may be this one."""
        digest = blake2b(value, digest_size=8, key=self._key).digest()
        number = int.from_bytes(digest, "little") or 1
        at = self._slot(number)
        if self._hashes[at] != _EMPTY:
            return int(self._lines[at])
        self._hashes[at], self._lines[at] = number, line
        self._count += 1
        if 3 * self._count > 2 * len(self._hashes):
            self._grow()
        return line

    def _slot(self, number: int) -> int:
        hashes, mask = self._hashes, len(self._hashes) - 1
        at = number & mask
        while hashes[at] not in (_EMPTY, number):
            at = at + 1 & mask
        return at

    def _grow(self) -> None:
        hashes, lines = self._hashes, self._lines
        size = 2 * len(hashes)
        self._hashes = array("Q", bytes(8 * size))
        self._lines = array("I", bytes(lines.itemsize * size))
        for number, line in zip(hashes, lines, strict=True):
            if number != _EMPTY:
                at = self._slot(number)
                self._hashes[at], self._lines[at] = number, line
