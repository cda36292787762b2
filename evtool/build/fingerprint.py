# SPDX-License-Identifier: GPL-3.0-or-later
"""The build id: the same sources and settings give the same id, on any day and machine."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from evtool.errors import ConfigError

ID_LENGTH = 8
# Results of a build, and secrets.h: an id that depends on a secret would give away a guess.
_LEFT_OUT = frozenset({"__pycache__", "build", "secrets.h", "compile_commands.json"})


def build_id(firmware: Path, environment: str, version: str, libraries: Iterable[Path] = ()) -> str:
    """Eight hexadecimal digits for everything that goes into a program.

    Args:
        firmware: the PlatformIO project.
        environment: which of its environments.
        version: evtool's, which is compiled in too.
        libraries: folders outside the project that are compiled in.

    Raises:
        ConfigError: a source cannot be read.
    """
    digest = hashlib.sha256(f"{environment}\0{version}\0".encode())
    for folder in (firmware, *libraries):
        digest.update(b"folder\0")
        for path in sorted(_sources(folder)):
            try:
                content = path.read_bytes()
            except OSError as error:
                raise ConfigError(
                    f"cannot read {path}: {error.strerror or error}",
                    fix="every file of the firmware must be readable",
                ) from error
            name = path.relative_to(folder).as_posix().encode()
            digest.update(b"%d %d " % (len(name), len(content)) + name + content)
    return digest.hexdigest()[:ID_LENGTH]


def _sources(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.name.startswith(".") or path.name in _LEFT_OUT:
            continue
        if path.is_dir():
            yield from _sources(path)
        elif path.is_file():
            yield path
