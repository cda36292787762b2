# SPDX-License-Identifier: GPL-3.0-or-later
"""A symbolic link for as long as something runs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from evtool.errors import ConfigError


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
