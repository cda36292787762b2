# SPDX-License-Identifier: GPL-3.0-or-later
"""A log that lines are added to: each line whole, whoever else adds to the same file."""

from __future__ import annotations

import os
from pathlib import Path

from evtool.errors import EvtoolError


class LogFile:
    """A text file that only grows. Made where it is missing, with mode 0600.

    Lines are in the file when `append` or `write` returns: a program that is killed loses none. A
    line that a crash of the whole machine left unfinished is ended before the next one.

    Args:
        of_lines: False where it holds bytes that are no lines.

    Raises:
        EvtoolError: it cannot be opened or written (the file system's reason).
    """

    def __init__(self, path: Path, *, of_lines: bool = True) -> None:
        self._path = path
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        try:
            self._descriptor = _opened(path, flags)
            self._ends_unfinished = of_lines and _ends_unfinished(self._descriptor)
        except OSError as error:
            raise self._failure(error) from error

    def append(self, line: str) -> None:
        """Add one line, in one write unless the disk is nearly full."""
        self.write(line.encode(errors="replace") + b"\n")

    def write(self, lines: bytes) -> None:
        """Add whole lines, each with its end, in one write unless the disk is nearly full."""
        if self._ends_unfinished:
            lines = b"\n" + lines
            self._ends_unfinished = False
        try:
            written = os.write(self._descriptor, lines)
            while written < len(lines):
                written += os.write(self._descriptor, lines[written:])
        except OSError as error:
            raise self._failure(error) from error

    def status(self) -> os.stat_result:
        """What the file system says of the file that is open."""
        return os.fstat(self._descriptor)

    def fileno(self) -> int:
        """Its descriptor."""
        return self._descriptor

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def __enter__(self) -> LogFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _failure(self, error: OSError) -> EvtoolError:
        return EvtoolError(
            f"cannot write the log {self._path}: {error.strerror or error}",
            fix="check the folder, its permissions and free space",
        )


def _opened(path: Path, flags: int) -> int:
    try:
        return os.open(path, flags, 0o600)
    except PermissionError:  # a log that may be added to and not read
        return os.open(path, flags & ~os.O_RDWR | os.O_WRONLY, 0o600)


def _ends_unfinished(descriptor: int) -> bool:
    size = os.fstat(descriptor).st_size
    try:
        return size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
    except OSError:  # a pipe, a device, or not to be read
        return False
