# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that are either the old ones or the new ones, whatever is killed when."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from evtool.errors import EvtoolError


def write_atomically(path: Path, data: bytes | str, mode: int = 0o644) -> None:
    """Write `data` to a temporary name beside `path`, flush it to disk, and rename it.

    Args:
        path: the file to make or replace; its folder is made if it is missing.
        data: the whole content; text is written as UTF-8.
        mode: permission bits, set before the first byte is written.

    A device, a pipe or a socket is written into as it is: renaming would replace /dev/null.

    Raises:
        EvtoolError: the file system refused (full, read-only, not a folder).
    """
    content = data.encode() if isinstance(data, str) else data
    try:
        if path.exists() and not path.is_dir() and _is_device(path):
            _write_into(path, content)
            return
        with replacing(path, mode) as stream:
            stream.write(content)
    except OSError as error:
        raise EvtoolError(
            f"cannot write {path}: {error.strerror or error}",
            fix="check free space and permissions of the folder; the old file is untouched",
        ) from error


@contextmanager
def replacing(path: Path, mode: int) -> Iterator[BinaryIO]:
    """A new file that takes the place of `path` once it is whole and on the disk.

    Until then, and after an exception, the old one is untouched. Folders are made.

    Raises:
        OSError: the file system refused.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            os.fchmod(stream.fileno(), mode)
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def write_new(path: Path, data: bytes) -> None:
    """Write a file that is not there yet, mode 0600, whole or not at all; its folder is made.

    Raises:
        FileExistsError: something of this name is there, and stays.
        EvtoolError: the file system refused.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            os.link(temporary, path)  # unlike a rename it replaces nothing
        finally:
            Path(temporary).unlink(missing_ok=True)
        sync_folder(path.parent)
    except FileExistsError:
        raise
    except OSError as error:
        raise EvtoolError(
            f"cannot write {path}: {error.strerror or error}",
            fix="check free space and permissions of the folder",
        ) from error


def _is_device(path: Path) -> bool:
    # /dev/stdout is a link, and what it leads to may be a file.
    return not path.is_file() or (path.is_symlink() and path.absolute().parts[:2] == ("/", "dev"))


def _write_into(path: Path, content: bytes) -> None:
    try:
        path.write_bytes(content)
    except OSError as error:
        raise EvtoolError(
            f"cannot write {path}: {error.strerror or error}", fix="name a file"
        ) from error


def make_private_folder(folder: Path) -> None:
    """Make a folder, mode 0700, in which git sees nothing; one that is there is left alone.

    Raises:
        EvtoolError: the file system refused.
    """
    if folder.is_dir():
        return
    try:
        folder.mkdir(parents=True, mode=0o700)
    except FileExistsError as error:
        if folder.is_dir():  # another process was faster
            return
        raise _not_made(folder, error) from error
    except OSError as error:
        raise _not_made(folder, error) from error
    write_atomically(folder / ".gitignore", "*\n", 0o600)


def _not_made(folder: Path, error: OSError) -> EvtoolError:
    return EvtoolError(
        f"cannot make the folder {folder}: {error.strerror or error}",
        fix="check free space and permissions of the folder above",
    )


def sync_folder(folder: Path) -> None:
    """Make a rename in `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
