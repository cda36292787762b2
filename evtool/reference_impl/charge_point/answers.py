# SPDX-License-Identifier: GPL-3.0-or-later
"""What each answer of the CSMS changes, and what its absence does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from evtool.protocol import ocpp16
from evtool.reference_impl.charge_point import card_reader
from evtool.reference_impl.charge_point.authorization import Verdict
from evtool.reference_impl.charge_point.kept_attempts import counted_from, pause
from evtool.reference_impl.charge_point.outbox import Lane, Request
from evtool.reference_impl.charge_point.security.security_log import ACTION as SECURITY_EVENT

if TYPE_CHECKING:
    from evtool.reference_impl.charge_point.machine import ChargePoint


def on_answer(
    charge_point: ChargePoint, request: Request, answer: ocpp16.CallResult | ocpp16.CallError
) -> None:
    """Take the CSMS's answer; one that breaks its schema counts as a CallError."""
    handler = _RESULTS.get(request.action)
    if isinstance(answer, ocpp16.CallError):
        charge_point.notice("refused by the CSMS", f"{request.action}: {answer.code}")
        _on_refusal(charge_point, request)
    elif ocpp16.find_violation(request.action, answer.payload, answer=True) is not None:
        charge_point.notice("malformed answer", request.action)
        _on_refusal(charge_point, request)
    else:
        if handler is not None:
            handler(charge_point, request, answer.payload)
        charge_point.transactions.delivered(request)


def on_no_answer(charge_point: ChargePoint, request: Request) -> None:
    """Time is over, or there is no connection to ask over."""
    if request.action == "BootNotification":
        charge_point.registration.on_no_answer()
    elif request.action == "Authorize":
        _decide_without(charge_point, request, allow_unknown=True)
    elif request.action == SECURITY_EVENT:
        charge_point.maintenance.log.on_not_told()
    elif request.lane is Lane.TRANSACTION:
        if charge_point.mode.counts_unanswered:
            _on_failed_attempt(charge_point, request)
        else:
            charge_point.outbox.put_back(request)


def on_interrupted(charge_point: ChargePoint, request: Request) -> None:
    """The socket closed while `request` was under way: status and transactions come again."""
    if request.action in ("StatusNotification", "SecurityEventNotification"):
        charge_point.outbox.put_back(request)
    else:
        on_no_answer(charge_point, request)


def _on_refusal(charge_point: ChargePoint, request: Request) -> None:
    if request.action == "BootNotification":
        charge_point.registration.on_refusal()
        return
    if request.action == "Authorize":
        _decide_without(charge_point, request, allow_unknown=False)
        return
    if request.action == SECURITY_EVENT:
        # A CSMS that does not know the message would refuse it for ever.
        charge_point.notice("security event refused", request.payload["type"])
        charge_point.maintenance.log.on_told()
        return
    if request.lane is not Lane.TRANSACTION:
        on_no_answer(charge_point, request)
        return
    _on_failed_attempt(charge_point, request)


def _on_failed_attempt(charge_point: ChargePoint, request: Request) -> None:
    """A message of a transaction was refused, or counts as refused."""
    configuration = charge_point.configuration
    request.attempts += 1
    if request.attempts < configuration.integer("TransactionMessageAttempts"):
        from_sending = charge_point.mode.counts_unanswered
        since_ms = charge_point.outbox.sent_ms if from_sending else charge_point.now_ms
        request.paused_ms = counted_from(charge_point, request, since_ms)
        pause(charge_point, request)
        charge_point.transactions.attempted(request)
        return
    give_up(charge_point, request)


def give_up(charge_point: ChargePoint, request: Request) -> None:
    """A message of a transaction has had all its attempts."""
    charge_point.notice("given up", f"{request.action} after {request.attempts} refusals")
    charge_point.transactions.delivered(request)
    if request.action == "StartTransaction" and not charge_point.mode.stops_refused_start:
        _tell_nothing(charge_point, request)


def _tell_nothing(charge_point: ChargePoint, request: Request) -> None:
    """The CSMS never took the start: nothing of the transaction is told."""
    transaction = request.transaction
    if transaction is None:
        return
    connector = charge_point.connector_of(transaction)
    if connector is not None:
        connector.end("Other")
    for action in ("MeterValues", "StopTransaction"):
        charge_point.transactions.drop(charge_point.outbox.waiting(transaction, action))
    charge_point.transactions.forget(transaction)


def _decide_without(charge_point: ChargePoint, request: Request, *, allow_unknown: bool) -> None:
    """Decide without the CSMS's word. One that refuses to answer can be reached, so
    AllowOfflineTxForUnknownId lets nobody in."""
    id_tag, authorization = request.payload["idTag"], charge_point.authorization
    accepted = authorization.judge_offline(id_tag, asked=True) is Verdict.ACCEPT
    if not allow_unknown and authorization.known(id_tag) is None:
        accepted = False
    _decide(charge_point, request, accepted, authorization.parent_of(id_tag))


def _decide(charge_point: ChargePoint, request: Request, accepted: bool, parent: str) -> None:
    """Whoever waits for this Authorize hears what came of it."""
    for connector in charge_point.connectors:
        if connector.session.request is request:
            connector.session.parent_id_tag = parent
            connector.decide(accepted)
            return
        if connector.stopping is not None and connector.stopping[0] is request:
            id_tag, connector.stopping = connector.stopping[1], None
            if accepted:
                card_reader.end_of_family(connector, id_tag, parent)
            return
    if not accepted and charge_point.mode.authorizes_listed:
        _refuse_listed(charge_point, request.payload["idTag"])


def _refuse_listed(charge_point: ChargePoint, id_tag: str) -> None:
    """The CSMS does not accept whom the local list has let in already."""
    for connector in charge_point.connectors:
        if connector.session.id_tag.lower() == id_tag.lower():
            connector.refuse()


def _learn(charge_point: ChargePoint, id_tag: str, info: ocpp16.Payload | None) -> None:
    """What an answer says of a tag, for the cache and beside the local list."""
    charge_point.authorization.learn(id_tag, info)
    if charge_point.authorization.contradicts_list(id_tag, info):
        charge_point.outbox.put(charge_point.status_request(0, "LocalListConflict"))


def _on_heartbeat(charge_point: ChargePoint, _: Request, payload: ocpp16.Payload) -> None:
    charge_point.set_clock(payload["currentTime"])


def _on_authorize(charge_point: ChargePoint, request: Request, payload: ocpp16.Payload) -> None:
    info = payload["idTagInfo"]
    _learn(charge_point, request.payload["idTag"], info)
    accepted = info["status"] == "Accepted"
    _decide(charge_point, request, accepted, info.get("parentIdTag", ""))


def _on_start(charge_point: ChargePoint, request: Request, payload: ocpp16.Payload) -> None:
    transaction, info = request.transaction, payload["idTagInfo"]
    if transaction is None:
        return
    _learn(charge_point, transaction.id_tag, info)
    transaction.transaction_id = payload["transactionId"]
    transaction.parent_id_tag = info.get("parentIdTag", transaction.parent_id_tag)
    transaction.refused = info["status"] != "Accepted"
    connector = charge_point.connector_of(transaction)
    if transaction.refused and connector is not None:
        connector.take_refusal(transaction)
    charge_point.profiles.bind(transaction.connector_id, transaction.transaction_id)
    charge_point.transactions.keep(transaction)
    stops = charge_point.configuration.boolean("StopTransactionOnInvalidId")
    if transaction.refused and connector is not None and stops:
        connector.end("DeAuthorized")


def _on_stop(charge_point: ChargePoint, request: Request, payload: ocpp16.Payload) -> None:
    _learn(charge_point, request.payload.get("idTag", ""), payload.get("idTagInfo"))


def _on_boot(charge_point: ChargePoint, _: Request, payload: ocpp16.Payload) -> None:
    charge_point.registration.on_answer(payload)


def _on_security_event(charge_point: ChargePoint, _: Request, __: ocpp16.Payload) -> None:
    charge_point.maintenance.log.on_told()


def _on_sign_certificate(charge_point: ChargePoint, _: Request, payload: ocpp16.Payload) -> None:
    if payload["status"] != "Accepted":
        charge_point.maintenance.client.on_refused()


_RESULTS: Mapping[str, Callable[[ChargePoint, Request, ocpp16.Payload], None]] = MappingProxyType(
    {
        "BootNotification": _on_boot,
        "Heartbeat": _on_heartbeat,
        "Authorize": _on_authorize,
        "StartTransaction": _on_start,
        "StopTransaction": _on_stop,
        "SecurityEventNotification": _on_security_event,
        "SignCertificate": _on_sign_certificate,
    }
)
