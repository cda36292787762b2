# SPDX-License-Identifier: GPL-3.0-or-later
"""The authorization cache: what the CSMS last said of a tag (OCPP 1.6, 3.5.1)."""

from __future__ import annotations

import json
from typing import Any

from evtool.protocol import ocpp16
from evtool.reference_impl.charge_point.id_tag_info import IdTagInfo, read_info

KEY = "authorization_cache"


class AuthorizationCache:
    """At most `most` tags, the one that was not heard of for longest goes.

    Args:
        most: how many.
        text: what `render` gave in an earlier run; a text that is not ours counts as none.
    """

    __slots__ = ("_entries", "_most")

    def __init__(self, most: int, text: str = "") -> None:
        self._most = most
        self._entries: dict[str, IdTagInfo] = {}
        for id_tag, info in _parse(text).items():
            answer = {"idTagInfo": info}
            if (
                isinstance(info, dict)
                and ocpp16.find_violation("Authorize", answer, answer=True) is None
                and ocpp16.find_violation("Authorize", {"idTag": id_tag}) is None
            ):
                self.put(id_tag, read_info(info))

    def find(self, id_tag: str) -> IdTagInfo | None:
        """What the CSMS last said of a tag; None where it said nothing."""
        return self._entries.get(id_tag.lower())

    def put(self, id_tag: str, info: IdTagInfo) -> None:
        """Remember what the CSMS says of a tag."""
        self._entries.pop(id_tag.lower(), None)
        self._entries[id_tag.lower()] = info
        if len(self._entries) > self._most:
            del self._entries[next(iter(self._entries))]

    def clear(self) -> None:
        """Forget all."""
        self._entries.clear()

    def render(self) -> str:
        """The text to keep."""
        return json.dumps({id_tag: info.render() for id_tag, info in self._entries.items()})


def _parse(text: str) -> dict[str, Any]:
    try:
        stored = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return stored if isinstance(stored, dict) else {}
