# SPDX-License-Identifier: GPL-3.0-or-later
"""A log that lines are added to: each line whole, whoever else adds to the same file."""

from __future__ import annotations

import os
from pathlib import Path

from evtool.errors import EvtoolError


class LogFile:
    """A text file that only grows. Made where it is missing, with mode 0600.

    Raises:
        EvtoolError: it cannot be opened or written (the file system's reason).
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        try:
            self._descriptor = os.open(path, flags, 0o600)
        except OSError as error:
            raise self._failure(error) from error

    def append(self, line: str) -> None:
        """Add one line, in one write unless the disk is nearly full."""
        data = line.encode(errors="replace") + b"\n"
        try:
            while data:
                data = data[os.write(self._descriptor, data) :]
        except OSError as error:
            raise self._failure(error) from error

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
