# SPDX-License-Identifier: GPL-3.0-or-later
"""A file that several processes add to, each addition on the disk before it is reported."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from evtool.errors import EvtoolError
from evtool.link.files import sync_folder


class Addition(Protocol):
    """How many bytes of the file to keep, and what to write behind them."""

    @property
    def keep(self) -> int:
        """Bytes to keep."""

    @property
    def data(self) -> bytes:
        """Bytes to write."""


def add_to_file(path: Path, plan: Callable[[bytes], Addition], mode: int = 0o600) -> None:
    """Add to `path`, which is made if it is missing, as `plan` says of its content.

    The file is locked meanwhile, and flushed to the disk before this returns.

    Raises:
        EvtoolError: the file system refused.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        is_new = not path.exists()
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, mode)
        with os.fdopen(descriptor, "r+b", buffering=0) as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            addition = plan(stream.read())
            stream.seek(addition.keep)
            rest = memoryview(addition.data)
            while rest:
                rest = rest[stream.write(rest) :]
            stream.truncate()
            os.fsync(stream.fileno())
        if is_new:
            sync_folder(path.parent)
    except OSError as error:
        raise EvtoolError(
            f"cannot add to {path}: {error.strerror or error}",
            fix="check free space and permissions of the folder",
        ) from error
