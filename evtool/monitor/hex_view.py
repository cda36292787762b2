# SPDX-License-Identifier: GPL-3.0-or-later
"""Bytes in hex, in rows: where in the stream, the bytes, what of them is text."""

from __future__ import annotations

from collections.abc import Callable

# A row that nothing follows in this time is shown as it is.
ROW_MS = 100
_TEXT = bytes(byte if 0x20 <= byte < 0x7F else ord(".") for byte in range(256))


class HexView:
    """The stream from its beginning.

    Args:
        width: columns of the terminal: a row has 8, 16 or 32 bytes, as many as fit.
    """

    def __init__(self, width: Callable[[], int]) -> None:
        self._width = width
        self._offset = 0
        self._row = b""
        self._due_ms: int | None = None

    def feed(self, data: bytes, now_ms: int) -> bytes:
        """The rows that `data` fills."""
        size = row_bytes(self._width())
        data = self._row + data
        whole = len(data) - len(data) % size
        rows = [self._next(data[start : start + size], size) for start in range(0, whole, size)]
        self._row = data[whole:]
        self._due_ms = now_ms + ROW_MS if self._row else None
        return b"".join(rows)

    def look(self, now_ms: int) -> bytes:
        """The row that nothing followed."""
        if self._due_ms is None or now_ms < self._due_ms:
            return b""
        return self.finish()

    def finish(self) -> bytes:
        """The row that is not full; b"" for none."""
        row, self._row = self._row, b""
        self._due_ms = None
        return self._next(row, row_bytes(self._width())) if row else b""

    @property
    def next_ms(self) -> int | None:
        """When to `look`; None for not before something comes."""
        return self._due_ms

    def _next(self, row: bytes, size: int) -> bytes:
        digits = row.hex(" ").ljust(3 * size - 1).encode()
        line = b"%08x  %b  |%b|\r\n" % (self._offset, digits, row.translate(_TEXT))
        self._offset += len(row)
        return line


def row_bytes(width: int) -> int:
    """How many bytes a row of the terminal holds: 8, 16 or 32."""
    return next((size for size in (32, 16) if 8 + 2 + 3 * size - 1 + 2 + size + 2 <= width), 8)
