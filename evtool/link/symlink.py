# SPDX-License-Identifier: GPL-3.0-or-later
"""A symbolic link for as long as something runs."""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from evtool.errors import ConfigError, DeviceError


@contextmanager
def reserved_link(path: Path, folder: Path) -> Iterator[None]:
    """Let no other process have the link `path` inside the block.

    A link alone does not tell whether whoever made it still runs: the terminal that it leads to
    may have become another board's.

    Args:
        folder: where this user's locks are.

    Raises:
        DeviceError: another process has it.
    """
    place = path.parent.resolve() / path.name
    name = hashlib.sha256(os.fsencode(place)).hexdigest()[:16]
    lock = folder / f"link-{name}.lock"
    descriptor = _locked(lock)
    if descriptor is None:
        raise DeviceError(
            f"--link {path}: another virtual board that runs has this link",
            fix="stop that one, or name another link",
        )
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)
        os.close(descriptor)


def _locked(lock: Path) -> int | None:
    """A descriptor that holds the lock; None where somebody else does."""
    while True:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(descriptor), lock.stat()):
                return descriptor
        except BlockingIOError:
            os.close(descriptor)
            return None
        except FileNotFoundError:
            os.close(descriptor)  # its last holder has just removed it
        else:
            os.close(descriptor)


@contextmanager
def temporary_link(path: Path | None, target: Path) -> Iterator[None]:
    """Let `path` point at `target` inside the block; None: no link.

    A link that is there already (of a run that was killed) is replaced; a file is not. At the
    end the link is removed unless somebody else has replaced it meanwhile.

    Raises:
        ConfigError: something else has that name, or the folder cannot be written.
    """
    if path is None:
        yield
        return
    if not path.is_symlink() and path.exists():
        raise ConfigError(
            f"--link {path}: that is a file of its own",
            fix="name a path where nothing stands yet",
        )
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.symlink_to(target)
        temporary.replace(path)
    except OSError as error:
        raise ConfigError(
            f"--link {path}: {error.strerror or error}", fix="choose a folder that exists"
        ) from error
    try:
        yield
    finally:
        if path.is_symlink() and path.readlink() == target:
            path.unlink()
