# SPDX-License-Identifier: GPL-3.0-or-later
"""A log that starts a new file when it has grown, or with the day, and keeps the last few."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from evtool.errors import EvtoolError
from evtool.link.log_file import LogFile

MAX_BYTES = 64 << 20
KEPT = 5
# How long a log that another program has rotated is written to all the same.
_FOLLOW_S = 0.25


class RotatingLog:
    """Lines into FILE; a full one becomes FILE.1, that one FILE.2, and so on.

    Several programs may add to the same FILE, all with the same bounds: whoever finds it full
    rotates it, and the others go on in the new one a moment later. FILE itself is locked meanwhile.

    Args:
        max_bytes: what a file may hold; None: any number.
        kept: how many old files stay.
        daily: whether a new day (local time) begins a new file.
        of_lines: as of `LogFile`.
        now: Unix time in seconds.

    Raises:
        EvtoolError: the file system refused.
    """

    def __init__(
        self,
        path: Path,
        max_bytes: int | None = MAX_BYTES,
        kept: int = KEPT,
        *,
        daily: bool = False,
        of_lines: bool = True,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._kept = kept
        self._daily = daily
        self._now = now
        self._of_lines = of_lines
        self._file = LogFile(path, of_lines=of_lines)
        self._status = self._file.status()
        self._next_size = float("inf") if max_bytes is None else max_bytes
        self._size = self._status.st_size
        self._followed = 0.0
        # What an earlier day left is that day's.
        self._day = _day(self._status.st_mtime) if self._status.st_size else _day(now())

    def append(self, line: str) -> None:
        """Add one line."""
        self.write(line.encode(errors="replace") + b"\n")

    def write(self, lines: bytes) -> None:
        """Add whole lines, each with its end, in one write."""
        now = self._now()
        if self._size + len(lines) > self._next_size or not 0 <= now - self._followed < _FOLLOW_S:
            self._followed = now
            self._size = self._follow()
            if self._size and self._is_due(self._size + len(lines)):
                self._rotate()
        self._file.write(lines)
        self._size += len(lines)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _follow(self) -> int:
        """Go on in the file of this name, which may be another by now; its size."""
        try:
            found = os.stat(self._path)  # noqa: PTH116 - at every write
        except FileNotFoundError:
            self._reopen()
            return 0
        except OSError as error:
            raise self._failure(error) from error
        if (found.st_ino, found.st_dev) != (self._status.st_ino, self._status.st_dev):
            self._reopen()
            return self._status.st_size
        return found.st_size

    def _is_due(self, size: int) -> bool:
        if self._max_bytes is not None and size > self._max_bytes:
            return True
        return self._daily and _day(self._now()) != self._day

    def _rotate(self) -> None:
        with self._locked() as mine:
            if not mine:
                return  # somebody else is at it: the next line will find it done, or try again
            locked = self._status
            self._follow()
            if self._status is not locked:
                return  # another program has done it while this one waited
            try:
                for number in range(self._kept - 1, 0, -1):
                    older = self._numbered(number)
                    if older.exists():
                        older.replace(self._numbered(number + 1))
                self._path.replace(self._numbered(1))
            except OSError as error:
                raise self._failure(error) from error
            self._reopen()

    @contextlib.contextmanager
    def _locked(self) -> Iterator[bool]:
        """Whether FILE could be locked: then nobody else rotates it. Waits for nobody, who might
        hold it for ever while the ports are not read."""
        descriptor = os.dup(self._file.fileno())
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            yield False
            return
        except OSError as error:
            os.close(descriptor)
            raise self._failure(error) from error
        try:
            yield True
        finally:
            # The lock is the file's that was opened, not this descriptor's alone.
            fcntl.flock(descriptor, fcntl.LOCK_UN)
            os.close(descriptor)

    def _reopen(self) -> None:
        last = self._file
        self._file = LogFile(self._path, of_lines=self._of_lines)
        self._status = self._file.status()
        self._size = self._status.st_size
        self._day = _day(self._now())
        last.close()

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")

    def _failure(self, error: OSError) -> EvtoolError:
        return EvtoolError(
            f"cannot rotate the log {self._path}: {error.strerror or error}",
            fix="check the folder and its permissions",
        )


def _day(seconds: float) -> tuple[int, int]:
    moment = time.localtime(seconds)
    return moment.tm_year, moment.tm_yday
