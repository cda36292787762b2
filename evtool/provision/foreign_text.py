# SPDX-License-Identifier: GPL-3.0-or-later
"""What people save where CSV in UTF-8 was meant, told by its first bytes."""

from __future__ import annotations

_BEGINNINGS = {
    b"\xff\xfe\x00\x00": "UTF-32",
    b"\x00\x00\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
    b"PK\x03\x04": "a spreadsheet (.xlsx or .ods)",
    b"\xd0\xcf\x11\xe0": "a spreadsheet (.xls)",
}


def foreign_kind(data: bytes) -> str:
    """What `data` is the beginning of; "" for anything that may be UTF-8."""
    return next((kind for start, kind in _BEGINNINGS.items() if data.startswith(start)), "")
