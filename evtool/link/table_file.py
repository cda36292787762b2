# SPDX-License-Identifier: GPL-3.0-or-later
"""A file that lines are added to, below a header: whole lines, whoever else adds and is killed."""

from __future__ import annotations

import fcntl
import os
import stat
from pathlib import Path

from evtool.errors import ConfigError, EvtoolError


class TableFile:
    """Adds to `path`, which is made with mode 0600 where it is missing.

    A file that breaks off within a line, because its writer was killed, gets a line end first: the
    torn line stays one, and hurts no other.

    Args:
        header: the first line with its end, which a new file gets and any other must have; "" for
            a file without one.

    Raises:
        ConfigError: the file is there and has another header.
        EvtoolError: it cannot be opened or written (the file system's reason).
    """

    def __init__(self, path: Path, header: str = "") -> None:
        self._path = path
        try:
            self._descriptor = os.open(
                path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600
            )
        except OSError as error:
            raise self._failure(error) from error
        try:
            if stat.S_ISREG(os.fstat(self._descriptor).st_mode):
                self._begin(header.encode())
            elif header:
                self.append(header)
        except BaseException:
            os.close(self._descriptor)
            raise

    def append(self, text: str) -> None:
        """Add whole lines, in one write unless the disk is nearly full."""
        self._write(text.encode(errors="replace"))

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def __enter__(self) -> TableFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _begin(self, header: bytes) -> None:
        """A header where there is nothing yet; two who begin together write one."""
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
            size = os.fstat(self._descriptor).st_size
            if not size:
                self._write(header)
            elif os.pread(self._descriptor, len(header), 0) != header:
                raise ConfigError(
                    f"{self._path}: is there, and begins otherwise than such a file does",
                    fix="name another file, or move this one away",
                )
            elif os.pread(self._descriptor, 1, size - 1) != b"\n":
                self._write(b"\n")
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        except OSError as error:
            raise self._failure(error) from error

    def _write(self, data: bytes) -> None:
        try:
            while data:
                data = data[os.write(self._descriptor, data) :]
        except OSError as error:
            raise self._failure(error) from error

    def _failure(self, error: OSError) -> EvtoolError:
        return EvtoolError(
            f"cannot write {self._path}: {error.strerror or error}",
            fix="check the folder, its permissions and free space",
        )
