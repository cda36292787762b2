# SPDX-License-Identifier: GPL-3.0-or-later
"""The Local Authorization List (OCPP 1.6, 3.5.2, 5.15 and 6.41)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from evtool.protocol import ocpp16
from evtool.reference_impl.charge_point.id_tag_info import IdTagInfo, read_info

KEY = "local_list"


class LocalList:
    """A version and the tags under it; tags are compared without regard to case.

    Args:
        text: what `render` gave in an earlier run; a text that is not ours counts as none.
    """

    __slots__ = ("_entries", "version")

    def __init__(self, text: str = "") -> None:
        self.version = 0
        self._entries: dict[str, tuple[str, IdTagInfo]] = {}
        stored = _parse(text)
        if stored is not None:
            self._take(stored)

    def find(self, id_tag: str) -> IdTagInfo | None:
        """What the list says of a tag; None where it does not name it."""
        entry = self._entries.get(id_tag.lower())
        return entry[1] if entry is not None else None

    def __len__(self) -> int:
        return len(self._entries)

    def update(self, request: ocpp16.Payload, maximum: int) -> str:
        """Take a SendLocalList.req that conforms to its schema.

        Args:
            request: its payload.
            maximum: how many tags the list may hold; a longer one changes nothing.

        Returns:
            The status of its answer.
        """
        version, differs = request["listVersion"], request["updateType"] == "Differential"
        if version < 0:
            return "Failed"
        if differs and version <= self.version:
            return "VersionMismatch"
        entries = dict(self._entries) if differs else {}
        for item in request.get("localAuthorizationList", []):
            id_tag, info = item["idTag"], item.get("idTagInfo")
            if info is not None:
                entries[id_tag.lower()] = (id_tag, read_info(info))
            elif differs:
                entries.pop(id_tag.lower(), None)
            else:
                return "Failed"  # a full list says something of each of its tags
        if len(entries) > maximum:
            return "Failed"
        self._entries = entries
        self.version = version if entries else 0
        return "Accepted"

    def render(self) -> str:
        """The text to keep."""
        return json.dumps(
            {
                "listVersion": self.version,
                "updateType": "Full",
                "localAuthorizationList": list(self._items()),
            }
        )

    def _items(self) -> Iterator[ocpp16.Payload]:
        for id_tag, info in self._entries.values():
            yield {"idTag": id_tag, "idTagInfo": info.render()}

    def _take(self, stored: ocpp16.Payload) -> None:
        self.update(stored, len(stored.get("localAuthorizationList", [])))


def _parse(text: str) -> ocpp16.Payload | None:
    try:
        stored: Any = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(stored, dict):
        return None
    return stored if ocpp16.find_violation("SendLocalList", stored) is None else None
