# SPDX-License-Identifier: GPL-3.0-or-later
"""Flat records as the storage keeps them: versioned JSON, and nothing in it is trusted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields

VERSION = 1
_KINDS: Mapping[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "int | None": (int, type(None)),
}

Field = str | int | None


def render_record(fields: Mapping[str, Field]) -> str:
    """The text that `read_record` understands."""
    return json.dumps({"version": VERSION, **fields}, separators=(",", ":"))


def kinds_of(record: type) -> dict[str, tuple[type, ...]]:
    """What each field of a dataclass may be, for `read_record`; they are str, int, int | None."""
    return {field.name: _KINDS[str(field.type)] for field in fields(record)}


def read_record(text: str, kinds: Mapping[str, tuple[type, ...]]) -> dict[str, Field] | None:
    """The fields of a stored text; None for a text that is not one of ours.

    Args:
        text: what was stored.
        kinds: what each field may be; every one must be there, and no other.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, dict) or document.pop("version", None) != VERSION:
        return None
    if document.keys() != kinds.keys():
        return None
    sound = all(
        isinstance(value, kinds[name]) and not isinstance(value, bool)
        for name, value in document.items()
    )
    return document if sound else None
