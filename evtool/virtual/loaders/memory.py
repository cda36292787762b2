# SPDX-License-Identifier: GPL-3.0-or-later
"""RAM as the host fills it: enough to know a flasher stub when it is started."""

from __future__ import annotations

STUB_GREETING = b"OHAI"
# RISC-V code carries the greeting in two instructions; `lui` with its upper 20 bits is the first.
_LUI_GREETING, _LUI_MASK = 0x49415037, 0xFFFFF07F


class Memory:
    """What was loaded, block by block."""

    LIMIT = 0x80000

    def __init__(self) -> None:
        self._image: dict[int, bytes] = {}
        self._address = 0
        self._block_size = 0

    def begin(self, block_size: int, address: int) -> None:
        """A new segment at `address`, in blocks of `block_size` bytes."""
        self._address = address
        self._block_size = block_size

    def put(self, seq: int, data: bytes) -> bool:
        """Block `seq` of the segment; False when the host fills more than there is."""
        if sum(map(len, self._image.values())) + len(data) > self.LIMIT:
            return False
        self._image[self._address + seq * self._block_size] = data
        return True

    def read(self, address: int, length: int) -> bytes | None:
        """`length` bytes from `address`, or None: not all of them were loaded."""
        for start, data in self._image.items():
            if start <= address and address + length <= start + len(data):
                return data[address - start : address - start + length]
        return None

    def holds_stub(self, entry: int) -> bool:
        """Whether code was loaded at `entry` and a flasher stub's greeting with it.

        Entry addresses change between versions of a flasher; the greeting it must send
        does not.
        """
        loaded = self.read(entry, 1) is not None
        text = b"".join(data for _, data in sorted(self._image.items()))
        return loaded and (STUB_GREETING in text or _loads_greeting(text))


def _loads_greeting(code: bytes) -> bool:
    upper = (_LUI_GREETING >> 16).to_bytes(2, "little")
    at = code.find(upper)
    while at >= 0:
        if at >= 2:
            word = int.from_bytes(code[at - 2 : at + 2], "little")
            if word & _LUI_MASK == _LUI_GREETING & _LUI_MASK:
                return True
        at = code.find(upper, at + 1)
    return False
