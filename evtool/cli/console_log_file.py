# SPDX-License-Identifier: GPL-3.0-or-later
"""A file that may be a console's log, line by line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from evtool.errors import ConfigError

LONGEST_LINE = 16 << 20
"""A board's line has 1024 bytes in evtool's own logs; other programs keep a megabyte as one."""


def log_lines(stream: BinaryIO, path: Path) -> Iterator[bytes]:
    """Its lines, whole, with their ends: a part of one would be judged, and masked, as another.

    Raises:
        ConfigError: one is longer than `LONGEST_LINE`.
    """
    number = 0
    while line := stream.readline(LONGEST_LINE + 1):
        number += 1
        if len(line) > LONGEST_LINE:
            raise ConfigError(
                f"{path}:{number}: the line is longer than {LONGEST_LINE >> 20} MiB,"
                " so this is no console's log",
                fix="give a log of --log or --jsonl, or any text that a board printed",
            )
        yield line
