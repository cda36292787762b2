# SPDX-License-Identifier: GPL-3.0-or-later
"""Reservations: who may use which connector until when (OCPP 1.6, paragraph 8)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from evtool.protocol import ocpp16

KEY = "reservation."


@dataclass(frozen=True, slots=True)
class Reservation:
    """Connector 0 stands for any; times are Unix milliseconds, a parent of "" is none."""

    reservation_id: int
    connector_id: int
    id_tag: str
    parent_id_tag: str
    expiry_unix_ms: int

    def admits(self, id_tag: str, parent_id_tag: str) -> bool:
        """Whether a tag, whose parent may be unknown (""), is the one that it waits for."""
        if id_tag.lower() == self.id_tag.lower():
            return True
        return parent_id_tag != "" and parent_id_tag.lower() == self.parent_id_tag.lower()


class Reservations:
    """The reservations that hold, by their id.

    Args:
        stored: what earlier runs kept; what cannot be read is forgotten.
        persist: asks to keep a text under a key.
    """

    __slots__ = ("_by_id", "_persist")

    def __init__(
        self, stored: Mapping[str, str], persist: Callable[[str, str | None], None]
    ) -> None:
        self._persist = persist
        self._by_id: dict[int, Reservation] = {}
        for key, text in stored.items():
            if not key.startswith(KEY) or not text:
                continue
            reservation = read_reservation(text)
            if reservation is None or key != f"{KEY}{reservation.reservation_id}":
                persist(key, None)
            else:
                self._by_id[reservation.reservation_id] = reservation

    def __bool__(self) -> bool:
        return bool(self._by_id)

    def of(self, connector_id: int) -> Reservation | None:
        """The reservation of one connector; of connector 0, the oldest of those for any."""
        return next(
            (each for each in self._by_id.values() if each.connector_id == connector_id), None
        )

    def count_for_any(self) -> int:
        """How many reservations are for whichever connector."""
        return sum(each.connector_id == 0 for each in self._by_id.values())

    def find(self, reservation_id: int) -> Reservation | None:
        """The reservation of an id."""
        return self._by_id.get(reservation_id)

    def holder(self, connector_id: int, id_tag: str, parent_id_tag: str) -> Reservation | None:
        """The reservation that a tag uses up: the connector's own, or one for any."""
        for each in self._by_id.values():
            if each.connector_id in (0, connector_id) and each.admits(id_tag, parent_id_tag):
                return each
        return None

    def put(self, reservation: Reservation) -> None:
        """Take a reservation; one of the same id is replaced."""
        self._by_id[reservation.reservation_id] = reservation
        record = {
            "reservationId": reservation.reservation_id,
            "connectorId": reservation.connector_id,
            "idTag": reservation.id_tag,
            "expiryDate": ocpp16.render_timestamp(reservation.expiry_unix_ms),
        }
        if reservation.parent_id_tag:
            record["parentIdTag"] = reservation.parent_id_tag
        self._persist(f"{KEY}{reservation.reservation_id}", json.dumps(record))

    def remove(self, reservation_id: int) -> bool:
        """End a reservation; False where there is none of this id."""
        if self._by_id.pop(reservation_id, None) is None:
            return False
        self._persist(f"{KEY}{reservation_id}", None)
        return True

    def expire(self, unix_ms: int) -> None:
        """End those whose time is over."""
        for each in [each for each in self._by_id.values() if each.expiry_unix_ms <= unix_ms]:
            self.remove(each.reservation_id)

    def next_expiry_unix_ms(self) -> int | None:
        """When the next one ends."""
        return min((each.expiry_unix_ms for each in self._by_id.values()), default=None)


def read_request(payload: ocpp16.Payload) -> Reservation | None:
    """The reservation of a ReserveNow.req that conforms; None where its date is none."""
    expiry = ocpp16.parse_timestamp(payload["expiryDate"])
    if expiry is None:
        return None
    return Reservation(
        payload["reservationId"],
        payload["connectorId"],
        payload["idTag"],
        payload.get("parentIdTag", ""),
        expiry,
    )


def read_reservation(text: str) -> Reservation | None:
    """The reservation in a kept text; None for a text that is not ours."""
    try:
        stored = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(stored, dict) or ocpp16.find_violation("ReserveNow", stored) is not None:
        return None
    return read_request(stored)
