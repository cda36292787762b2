# SPDX-License-Identifier: GPL-3.0-or-later
"""A partition's size as partitions.csv writes it: 24576, 0x6000, 24K, 1M."""

from __future__ import annotations

import re

from evtool.protocol.nvs_page import PAGE_SIZE

_SIZE = re.compile(r"(0[xX][0-9a-fA-F]{1,8}|[0-9]{1,10})([kKmM]?)")
_UNITS = {"": 1, "k": 1024, "m": 1024 * 1024}
LARGEST = 32 * 1024 * 1024


def parse_nvs_size(text: str, *, read_only: bool = False) -> int:
    """The size in bytes.

    Args:
        read_only: the partition is flagged so: one page is enough, as none is kept blank.

    Raises:
        ValueError: the rule that `text` breaks.
    """
    found = _SIZE.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no size: 24576, 0x6000, 24K or 1M")
    number = int(found[1], 16 if found[1][:2].lower() == "0x" else 10)
    size = number * _UNITS[found[2].lower()]
    if size % PAGE_SIZE:
        raise ValueError(f"{size} is not a multiple of {PAGE_SIZE}")
    least = PAGE_SIZE if read_only else 3 * PAGE_SIZE
    if size < least:
        hint = "" if read_only or not size else "; only one flagged read-only is smaller"
        raise ValueError(f"{size:#x} is too small: at least {least:#x}{hint}")
    if size > LARGEST:
        raise ValueError(f"{size:#x} is more than any ESP32's flash")
    return size
