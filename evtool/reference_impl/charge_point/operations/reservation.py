# SPDX-License-Identifier: GPL-3.0-or-later
"""The Reservation profile (OCPP 1.6 edition 2, 5.2 and 5.13)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from evtool.protocol import ocpp16
from evtool.reference_impl.charge_point.operations.handler import (
    Answer,
    Handler,
    is_connector,
    no_such_connector,
    nothing,
    status,
)
from evtool.reference_impl.charge_point.reservations import read_request

if TYPE_CHECKING:
    from evtool.reference_impl.charge_point.machine import ChargePoint

_REFUSING = {"Faulted": "Faulted", "Unavailable": "Unavailable"}


def _reserve(charge_point: ChargePoint, call: ocpp16.Call) -> Answer:
    reservation = read_request(call.payload)
    if reservation is None:
        return ocpp16.Violation("PropertyConstraintViolation", "expiryDate: no date"), nothing
    configuration = charge_point.configuration
    if not configuration.has_profile("Reservation"):
        return status("Rejected")
    if not is_connector(charge_point, reservation.connector_id):
        return no_such_connector(charge_point, "Rejected")
    if reservation.connector_id == 0:
        if not configuration.boolean("ReserveConnectorZeroSupported"):
            return status("Rejected")
        answer = _state_of_all(charge_point, reservation.reservation_id)
    else:
        answer = _state_of(charge_point, reservation.connector_id, reservation.reservation_id)
    if answer == "Accepted" and charge_point.unix_offset_ms is None:
        answer = "Rejected"  # nobody knows when it would end
    if answer == "Accepted" and reservation.expiry_unix_ms <= charge_point.unix_now():
        answer = "Rejected"
    if answer == "Accepted":
        charge_point.reservations.put(reservation)
    return status(answer)


def _state_of(charge_point: ChargePoint, connector_id: int, reservation_id: int) -> str:
    connector = charge_point.find_connector(connector_id)
    held = charge_point.reservations.of(connector_id)
    if connector is None:
        return "Rejected"
    if connector.status in _REFUSING:
        return _REFUSING[connector.status]
    if held is not None and held.reservation_id == reservation_id:
        return "Accepted"  # the same one anew
    in_the_way = held is not None or charge_point.reserved_by(connector) is not None
    return "Occupied" if in_the_way or connector.status != "Available" else "Accepted"


def _state_of_all(charge_point: ChargePoint, reservation_id: int) -> str:
    held = charge_point.reservations.find(reservation_id)
    if held is not None and held.connector_id == 0:
        return "Accepted"  # the same one anew
    states = [
        _state_of(charge_point, connector.number, reservation_id)
        for connector in charge_point.connectors
    ]
    free = states.count("Accepted")
    if free > charge_point.reservations.count_for_any():
        return "Accepted"
    if not charge_point.mode.zero_reservation_shows and "Occupied" in states:
        return "Accepted"
    return (
        next((state for state in ("Occupied", "Faulted") if state in states), states[0])
        if (not free)
        else "Occupied"
    )


def _cancel(charge_point: ChargePoint, call: ocpp16.Call) -> Answer:
    removed = charge_point.reservations.remove(call.payload["reservationId"])
    return status("Accepted" if removed else "Rejected")


HANDLERS: Mapping[str, Handler] = MappingProxyType(
    {"CancelReservation": _cancel, "ReserveNow": _reserve}
)
