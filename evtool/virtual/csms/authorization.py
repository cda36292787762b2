# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose id_tag is worth what, and the local lists that stations were sent.

Sources: OCPP 1.6 edition 2, 3.4.1 (parentIdTag), 5.15 (SendLocalList), 7.8 (IdTagInfo).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

from ocpp.v16.enums import AuthorizationStatus

from evtool.protocol import ocpp16

STATUSES = frozenset(status.value for status in AuthorizationStatus)


@dataclass(frozen=True, slots=True)
class IdTag:
    """What is known of an id_tag.

    Attributes:
        status: an AuthorizationStatus.
        expiry: an ISO 8601 moment after which it counts as Expired; None for never.
        parent: its parentIdTag.
        alone: whether it is refused as ConcurrentTx while it charges elsewhere.
    """

    status: str = "Accepted"
    expiry: str | None = None
    parent: str | None = None
    alone: bool = False

    def info(self, now_ms: int, in_use: bool = False) -> dict[str, str]:
        """Its IdTagInfo."""
        status = self.status
        if status == "Accepted" and self.expiry is not None:
            moment = ocpp16.parse_timestamp(self.expiry)
            if moment is not None and moment <= now_ms:
                status = "Expired"
        if status == "Accepted" and self.alone and in_use:
            status = "ConcurrentTx"
        info = {"status": status}
        if self.expiry is not None:
            info["expiryDate"] = self.expiry
        if self.parent is not None:
            info["parentIdTag"] = self.parent
        return info

    def describe(self) -> dict[str, object]:
        """The entry as JSON."""
        return {
            "status": self.status,
            "expiry": self.expiry,
            "parent": self.parent,
            "alone": self.alone,
        }


class IdTags(MutableMapping[str, IdTag]):
    """The authorisation list; id_tags are compared without case (7.3: CiString20Type)."""

    def __init__(self, unknown: str = "Accepted") -> None:
        self.unknown = unknown
        self._tags: dict[str, tuple[str, IdTag]] = {}

    def __setitem__(self, id_tag: str, value: IdTag | str) -> None:
        """Set an entry, or its status alone."""
        if not 0 < len(id_tag) <= ocpp16.MAX_ID_TAG:
            raise ValueError(f"{id_tag!r}: an id_tag has 1 to {ocpp16.MAX_ID_TAG} characters")
        entry = IdTag(value) if isinstance(value, str) else value
        if entry.status not in STATUSES:
            raise ValueError(f"{id_tag}: the status is one of " + ", ".join(sorted(STATUSES)))
        if entry.expiry is not None and ocpp16.parse_timestamp(entry.expiry) is None:
            raise ValueError(f"{id_tag}: the expiry is a moment such as 2030-01-31T12:00:00Z")
        if entry.parent is not None and not 0 < len(entry.parent) <= ocpp16.MAX_ID_TAG:
            raise ValueError(f"{id_tag}: the parent is an id_tag")
        self._tags[id_tag.casefold()] = (id_tag, entry)

    def __getitem__(self, id_tag: str) -> IdTag:
        """The entry of an id_tag."""
        return self._tags[id_tag.casefold()][1]

    def __delitem__(self, id_tag: str) -> None:
        """Forget it."""
        del self._tags[id_tag.casefold()]

    def __iter__(self) -> Iterator[str]:
        """All id_tags, as they were written."""
        return (written for written, _ in self._tags.values())

    def __len__(self) -> int:
        """How many there are."""
        return len(self._tags)

    def find(self, id_tag: str) -> IdTag:
        """The entry of an id_tag; an unknown one has the status `unknown`."""
        found = self._tags.get(id_tag.casefold())
        return found[1] if found is not None else IdTag(self.unknown)

    def local_list(self, now_ms: int) -> list[dict[str, Any]]:
        """localAuthorizationList of a full update."""
        return [
            {"idTag": written, "idTagInfo": entry.info(now_ms)}
            for written, entry in self._tags.values()
        ]


def parse_id_tags(document: object, unknown: str) -> IdTags:
    """The authorisation list in a file: `{"TAG": "Blocked"}` or `{"TAG": {"status": ...}}`.

    Raises:
        ValueError: it is none; the message names the entry.
    """
    if not isinstance(document, Mapping):
        raise ValueError("the id_tags are a table of id_tag to status or to a table")  # noqa: TRY004
    tags = IdTags(unknown)
    for id_tag, value in document.items():
        if isinstance(value, str):
            tags[id_tag] = IdTag(value)
            continue
        if not isinstance(value, Mapping) or set(value) - {"status", "expiry", "parent", "alone"}:
            raise ValueError(f"{id_tag}: fields are status, expiry, parent, alone")
        expiry, parent = value.get("expiry"), value.get("parent")
        tags[id_tag] = IdTag(
            str(value.get("status", "Accepted")),
            None if expiry is None else str(expiry),
            None if parent is None else str(parent),
            value.get("alone") is True,
        )
    return tags


@dataclass(slots=True)
class LocalList:
    """The list that a station accepted last; `tags` maps id_tag to IdTagInfo."""

    version: int
    tags: dict[str, dict[str, Any]]

    def difference(self, wanted: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """localAuthorizationList of a differential update; a removed id_tag has no info."""
        names = {entry["idTag"] for entry in wanted}
        changed = [entry for entry in wanted if self.tags.get(entry["idTag"]) != entry["idTagInfo"]]
        return changed + [{"idTag": id_tag} for id_tag in self.tags if id_tag not in names]

    def apply(self, update: Mapping[str, Any]) -> None:
        """The station has accepted this SendLocalList.req."""
        if update.get("updateType") == "Full":
            self.tags.clear()
        for entry in update.get("localAuthorizationList", ()):
            if "idTagInfo" in entry:
                self.tags[entry["idTag"]] = entry["idTagInfo"]
            else:
                self.tags.pop(entry["idTag"], None)
        self.version = int(update["listVersion"])
