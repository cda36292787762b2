# SPDX-License-Identifier: GPL-3.0-or-later
"""The Core profile: start, stop, availability, unlock, reset, cache, data transfer."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING

from evtool.protocol import ocpp16
from evtool.reference_impl.charge_point import card_reader
from evtool.reference_impl.charge_point.authorization_cache import KEY as CACHE_KEY
from evtool.reference_impl.charge_point.connector import IN_USE
from evtool.reference_impl.charge_point.operations.handler import (
    LATER,
    Answer,
    Handler,
    is_connector,
    no_such_connector,
    nothing,
    status,
)
from evtool.reference_impl.charge_point.operations.smart_charging import refuse_tx_profile
from evtool.reference_impl.charge_point.session import Phase

if TYPE_CHECKING:
    from evtool.reference_impl.charge_point.connector import Connector
    from evtool.reference_impl.charge_point.machine import ChargePoint


def _remote_start(charge_point: ChargePoint, call: ocpp16.Call) -> Answer:
    payload = call.payload
    id_tag, profile = payload["idTag"], payload.get("chargingProfile")
    if not id_tag:
        return ocpp16.Violation("PropertyConstraintViolation", "idTag: 1 to 20 characters"), nothing
    authorize = charge_point.configuration.boolean("AuthorizeRemoteTxRequests")
    target = _start_target(charge_point, payload.get("connectorId"), id_tag, authorize)
    if profile is not None:
        refusal = refuse_tx_profile(charge_point, profile)
        if refusal is not None:
            return refusal
    if target is None:
        return status("Rejected")

    def begin() -> None:
        target.identify(
            id_tag, authorize=authorize, floats="connectorId" not in payload, tx_profile=profile
        )

    return status("Accepted", begin)


def _start_target(
    charge_point: ChargePoint, connector_id: int | None, id_tag: str, authorize: bool
) -> Connector | None:
    """The connector to start on; None to reject."""
    if connector_id is None or (connector_id == 0 and charge_point.mode.starts_on_connector_zero):
        target = card_reader.choose(charge_point, id_tag, charge_point.connectors)
    else:
        target = charge_point.find_connector(connector_id)
    if target is None or not charge_point.is_usable(target) or not target.may_start():
        return None
    if target.inputs.faulted:  # a card may wait until it is over, the CSMS need not
        return None
    reservation = charge_point.reserved_by(target)
    if reservation is None:
        return target
    if reservation.admits(id_tag, charge_point.authorization.parent_of(id_tag)):
        return target
    # Only the CSMS's answer to Authorize can tell another parent.
    return target if authorize and card_reader.may_hope(charge_point, target, id_tag) else None


def _remote_stop(charge_point: ChargePoint, call: ocpp16.Call) -> Answer:
    wanted = call.payload["transactionId"]
    may_stop = charge_point.registered or charge_point.mode.stops_unregistered
    for connector in charge_point.connectors if may_stop else ():
        transaction = connector.transaction
        if transaction is not None and transaction.transaction_id == wanted:
            return status("Accepted", partial(connector.end, "Remote"))
    if charge_point.held.hold(call):
        return LATER, nothing
    return status("Rejected")


def _change_availability(charge_point: ChargePoint, call: ocpp16.Call) -> Answer:
    connector_id, kind = call.payload["connectorId"], call.payload["type"]
    if not is_connector(charge_point, connector_id):
        return no_such_connector(charge_point, "Rejected")
    operative = kind == "Operative"
    scheduled = False
    if connector_id == 0:
        charge_point.is_whole_operative = operative
        charge_point.persist("availability.0", kind)
    # Connector 0 stands for all of them.
    for connector in charge_point.connectors:
        if connector_id not in (0, connector.number):
            continue
        connector.still_used = not operative and _is_used(charge_point, connector)
        hidden = _is_use_hidden(charge_point, connector, connector_id)
        scheduled = scheduled or (connector.still_used and not hidden)
        connector.is_operative = operative
        charge_point.persist(f"availability.{connector.number}", kind)
    return status("Scheduled" if scheduled else "Accepted")


def _is_used(charge_point: ChargePoint, connector: Connector) -> bool:
    """Whether Inoperative waits for whoever uses the connector now."""
    if connector.session.phase is Phase.RUNNING:
        return True
    return charge_point.mode.schedules_in_preparing and connector.status in IN_USE


def _is_use_hidden(charge_point: ChargePoint, connector: Connector, asked_id: int) -> bool:
    """Whether a connector that can serve nobody anyway counts as used by nobody."""
    if not charge_point.mode.hides_faulted_use:
        return False
    return not charge_point.registered or (asked_id != 0 and connector.inputs.faulted)


def _unlock(charge_point: ChargePoint, call: ocpp16.Call) -> Answer:
    connector_id = call.payload["connectorId"]
    if charge_point.find_connector(connector_id) is None or not charge_point.settings.has_lock:
        return status("NotSupported")
    if charge_point.unlocking.is_under_way(connector_id):
        return status("UnlockFailed")
    return LATER, lambda: charge_point.unlocking.begin(connector_id, call.unique_id)


def _reset(charge_point: ChargePoint, call: ocpp16.Call) -> Answer:
    return status("Accepted", lambda: charge_point.restart_later(call.payload["type"]))


def _clear_cache(charge_point: ChargePoint, _: ocpp16.Call) -> Answer:
    if charge_point.mode.has_cache:
        if not (charge_point.authorization.has_cache() or charge_point.mode.clears_unused_cache):
            return status("Rejected")
        charge_point.authorization.cache.clear()
        charge_point.persist(CACHE_KEY, None)
    return status("Accepted")


def _data_transfer(charge_point: ChargePoint, _: ocpp16.Call) -> Answer:
    return status(charge_point.mode.data_transfer_status)


HANDLERS: Mapping[str, Handler] = MappingProxyType(
    {
        "ChangeAvailability": _change_availability,
        "ClearCache": _clear_cache,
        "DataTransfer": _data_transfer,
        "RemoteStartTransaction": _remote_start,
        "RemoteStopTransaction": _remote_stop,
        "Reset": _reset,
        "UnlockConnector": _unlock,
    }
)
