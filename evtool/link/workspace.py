# SPDX-License-Identifier: GPL-3.0-or-later
"""Files and folders that a build keeps for itself, and the lock that keeps others out."""

from __future__ import annotations

import contextlib
import fcntl
import math
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from evtool.errors import EvtoolError
from evtool.link.files import write_atomically
from evtool.link.log_file import LogFile

# How often a lock that another process holds is tried.
_LOOK_S = 0.1


class Workspace:
    """Writes, removes and locks; `on_wait` is called once before waiting for a lock."""

    def __init__(self, on_wait: Callable[[], None]) -> None:
        self._on_wait = on_wait

    def write(self, path: Path, data: bytes) -> None:
        """Write a file as a whole, with its folder.

        Raises:
            EvtoolError: the file system refused.
        """
        write_atomically(path, data)

    def remove(self, path: Path) -> None:
        """Remove a file or a folder with all that is in it; harmless when it is not there.

        Raises:
            EvtoolError: the file system refused.
        """
        try:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        except OSError as error:
            raise EvtoolError(
                f"cannot remove {path}: {error.strerror or error}",
                fix="check the permissions of the folder",
            ) from error

    def copy_folder(self, source: Path, target: Path) -> None:
        """Copy a folder with all that is in it; `target` is whole, or it is not there.

        Nothing happens where `target` stands already.

        Raises:
            EvtoolError: the file system refused.
        """
        if target.is_dir():
            return
        half = target.with_name(f".{target.name}.new")
        self.remove(half)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copytree(source, half, symlinks=True)
            half.replace(target)
        except OSError as error:
            raise EvtoolError(
                f"cannot copy {source} to {target}: {error.strerror or error}",
                fix="check free space and permissions of the folder",
            ) from error

    @contextlib.contextmanager
    def new_log(self, path: Path) -> Iterator[Callable[[str], None]]:
        """A file that begins empty, and what adds a line to it; the old one is gone.

        Raises:
            EvtoolError: the file system refused.
        """
        self.remove(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with LogFile(path) as log:
            yield log.append

    @contextlib.contextmanager
    def lock(self, path: Path, timeout_s: float = math.inf) -> Iterator[int]:
        """Keep every other process out until the context ends; a process that dies lets go.

        Yields the descriptor that holds the lock: a child that is given it holds it too, so
        that one which outlives a killed evtool still keeps others out.

        Args:
            timeout_s: how long another process may keep it.

        Raises:
            EvtoolError: the lock's file cannot be made, or the other process keeps it for longer.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise EvtoolError(
                f"cannot write {path}: {error.strerror or error}",
                fix="check free space and permissions of the folder",
            ) from error
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._on_wait()
                _wait_for(descriptor, path, timeout_s)
            yield descriptor
        finally:
            os.close(descriptor)


def _wait_for(descriptor: int, path: Path, timeout_s: float) -> None:
    limit = time.monotonic() + timeout_s
    while time.monotonic() < limit:
        time.sleep(_LOOK_S)
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
    raise EvtoolError(
        f"{path} is still held by another process after {timeout_s:g} s",
        fix=f"end that process (`fuser {path}` names it), then run the command again",
    )
