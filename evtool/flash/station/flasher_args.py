# SPDX-License-Identifier: GPL-3.0-or-later
"""What an ESP-IDF build says of its files, in its flasher_args.json: offsets and the chip."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from evtool.errors import ConfigError


@dataclass(frozen=True, slots=True)
class FlasherArgs:
    """A build's files, and where they belong.

    Attributes:
        chip: as esptool names it; None where it is not said.
        files: (offset, path) each.
        encrypted: those of its parts that are to go through the chip's cipher.
    """

    chip: str | None
    files: tuple[tuple[int, Path], ...]
    encrypted: tuple[str, ...] = ()


def parse_flasher_args(text: str, path: Path) -> FlasherArgs:
    """The JSON of the file at `path`, whose folder its paths begin at.

    Raises:
        ConfigError: it is no such file.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: not valid JSON: {error}", fix=_FIX) from error
    listed = document.get("flash_files") if isinstance(document, dict) else None
    if not isinstance(listed, dict) or not listed:
        raise ConfigError(f"{path}: no flash_files in it", fix=_FIX)
    files = []
    for offset, name in listed.items():
        try:
            place = int(offset, 0)
        except ValueError as error:
            raise ConfigError(
                f"{path}: flash_files: {offset[:40]!a} is no offset", fix=_FIX
            ) from error
        if not isinstance(name, str) or not name.isprintable() or not name:
            raise ConfigError(f"{path}: flash_files: {offset}: no name of a file", fix=_FIX)
        files.append((place, path.parent / name))
    encrypted = [
        name
        for name, part in document.items()
        if isinstance(part, dict) and str(part.get("encrypted", "")).lower() == "true"
    ]
    return FlasherArgs(_chip(document), tuple(files), tuple(encrypted))


def _chip(document: Mapping[str, object]) -> str | None:
    extra = document.get("extra_esptool_args")
    chip = extra.get("chip") if isinstance(extra, dict) else None
    return chip if isinstance(chip, str) else None


_FIX = "name a build's flasher_args.json, or each image as --image FILE@OFFSET"
