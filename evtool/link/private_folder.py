# SPDX-License-Identifier: GPL-3.0-or-later
"""Folders for files with secrets that a program is given: nobody else's, and gone afterwards."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from evtool.link.clock import unix_ms

_PREFIX = "evtool-private-"
# Between the making of a folder and its lock there is a moment in which nobody holds it.
_YOUNG_MS = 60_000


@contextmanager
def private_folder() -> Iterator[Path]:
    """A folder of mode 0700 that goes away with everything in it.

    Those that a killed process has left behind, a minute ago or longer, go away as well.

    Raises:
        OSError: it cannot be made.
    """
    _remove_abandoned(Path(tempfile.gettempdir()))
    with tempfile.TemporaryDirectory(prefix=_PREFIX) as name:
        descriptor = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            # Where the file system knows no locks, nobody can win one below, either.
            with contextlib.suppress(OSError):
                fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            yield Path(name)
        finally:
            os.close(descriptor)


def _remove_abandoned(parent: Path) -> None:
    with contextlib.suppress(OSError), os.scandir(parent) as entries:
        for entry in entries:
            if entry.name.startswith(_PREFIX):
                _remove_if_abandoned(Path(entry.path))


def _remove_if_abandoned(folder: Path) -> None:
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return
    try:
        status = os.fstat(descriptor)
        is_ours = status.st_uid == os.geteuid() and stat.S_IMODE(status.st_mode) == 0o700
        if is_ours and unix_ms() - status.st_mtime_ns // 1_000_000 >= _YOUNG_MS:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
    except OSError:
        return  # somebody holds it
    finally:
        os.close(descriptor)
