# SPDX-License-Identifier: GPL-3.0-or-later
"""A log that starts a new file when it has grown, and keeps the last few."""

from __future__ import annotations

from pathlib import Path

from evtool.errors import EvtoolError
from evtool.link.log_file import LogFile

MAX_BYTES = 64 << 20
KEPT = 5


class RotatingLog:
    """Lines into FILE; a full one becomes FILE.1, that one FILE.2, and so on.

    Raises:
        EvtoolError: the file system refused.
    """

    def __init__(self, path: Path, max_bytes: int = MAX_BYTES, kept: int = KEPT) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._kept = kept
        self._file = LogFile(path)
        self._size = path.stat().st_size

    def append(self, line: str) -> None:
        """Add one line."""
        size = len(line) + 1
        if self._size and self._size + size > self._max_bytes:
            self._rotate()
        self._file.append(line)
        self._size += size

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _rotate(self) -> None:
        full = self._file
        try:
            for number in range(self._kept - 1, 0, -1):
                older = self._numbered(number)
                if older.exists():
                    older.replace(self._numbered(number + 1))
            self._path.replace(self._numbered(1))
        except OSError as error:
            raise EvtoolError(
                f"cannot rotate the log {self._path}: {error.strerror or error}",
                fix="check the folder and its permissions",
            ) from error
        self._file = LogFile(self._path)
        self._size = 0
        full.close()

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")
