# SPDX-License-Identifier: GPL-3.0-or-later
"""What a card does: begin a session, take it back, or end a transaction.

A card ends the transaction that it, or one of the same parent, began (OCPP 1.6, 3.5 and 4.10).
A card of another parent begins a session where a connector is free. The same card once more
takes back a session that has no transaction yet. While the vehicle is still there the card that
ended the transaction begins no other one: people hold a card to a reader twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from evtool.protocol import ocpp16
from evtool.reference_impl.charge_point.authorization import Verdict
from evtool.reference_impl.charge_point.session import Event, Phase

if TYPE_CHECKING:
    from evtool.reference_impl.charge_point.connector import Connector
    from evtool.reference_impl.charge_point.machine import ChargePoint


def present(charge_point: ChargePoint, id_tag: str, connectors: Sequence[Connector]) -> None:
    """Somebody presented `id_tag`.

    Args:
        charge_point: which one.
        id_tag: 1 to 20 characters; others are ignored.
        connectors: those that the reader belongs to.
    """
    if not 0 < len(id_tag) <= ocpp16.MAX_ID_TAG:
        return
    for connector in connectors:
        if _same(connector.session.id_tag, id_tag) and connector.transaction is not None:
            connector.end("Local", id_tag)
            return
    for connector in connectors:
        if _same(connector.session.id_tag, id_tag) and connector.session.move(Event.CANCEL):
            return
    if any(_same(connector.stopped_by, id_tag) for connector in connectors):
        return
    free = choose(charge_point, id_tag, connectors)
    if free is not None:
        free.identify(id_tag, authorize=True, floats=len(connectors) > 1)
    else:
        _end_of_family(charge_point, id_tag, connectors)


def choose(
    charge_point: ChargePoint, id_tag: str, connectors: Sequence[Connector]
) -> Connector | None:
    """The connector that a tag may begin a session on: one that is plugged in comes first."""
    fit = [
        connector
        for connector in connectors
        if connector.may_start() and may_hope(charge_point, connector, id_tag)
    ]
    fit.sort(key=lambda connector: not connector.inputs.plugged)
    return fit[0] if fit else None


def may_hope(charge_point: ChargePoint, connector: Connector, id_tag: str) -> bool:
    """Whether no reservation stands against a tag, or its parent may still prove to fit."""
    reservation = charge_point.reserved_by(connector)
    if reservation is None or charge_point.mode.asks_against_reservation:
        return True
    parent = charge_point.authorization.parent_of(id_tag)
    if reservation.admits(id_tag, parent):
        return True
    return reservation.parent_id_tag != "" and parent == ""


def move_floating(charge_point: ChargePoint, plugged: Connector) -> None:
    """A connector was plugged in: a session that nobody bound to another one comes here."""
    if plugged.session.phase is not Phase.IDLE or not plugged.may_start():
        return
    for other in charge_point.connectors:
        session = other.session
        waits = session.phase in (Phase.AUTHORIZING, Phase.AUTHORIZED) and session.floats
        if other is plugged or not waits or other.inputs.plugged:
            continue
        reservation = charge_point.reserved_by(plugged)
        if reservation is None or reservation.admits(session.id_tag, session.parent_id_tag):
            plugged.session, other.session = session, plugged.session
            return


def _end_of_family(charge_point: ChargePoint, id_tag: str, connectors: Sequence[Connector]) -> None:
    """Another card of the same parent may end a transaction whose parent is known."""
    for connector in connectors:
        transaction = connector.transaction
        if transaction is None or connector.stopping is not None:
            continue
        awaited = charge_point.mode.awaits_start and charge_point.outbox.has("StartTransaction")
        if not transaction.parent_id_tag and not awaited:
            continue  # whoever it is, the transaction is not theirs
        verdict = charge_point.authorization.judge(id_tag)
        if verdict is Verdict.ASK:
            connector.stopping = (charge_point.ask(id_tag), id_tag)
        elif verdict is Verdict.ACCEPT:
            parent = charge_point.authorization.parent_of(id_tag)
            end_of_family(connector, id_tag, parent)
        return


def end_of_family(connector: Connector, id_tag: str, parent_id_tag: str) -> None:
    """End the transaction if `parent_id_tag` is its parent."""
    transaction = connector.transaction
    if (
        transaction is not None
        and parent_id_tag
        and _same(transaction.parent_id_tag, parent_id_tag)
    ):
        connector.end("Local", id_tag)


def _same(one: str, other: str) -> bool:
    return one.lower() == other.lower()
