# SPDX-License-Identifier: GPL-3.0-or-later
"""What each answer of the CSMS changes, and what its absence does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from evtool.protocol import ocpp16
from evtool.reference_impl.charge_point.outbox import Lane, Request
from evtool.reference_impl.charge_point.session import Event, Phase, Transaction

if TYPE_CHECKING:
    from evtool.reference_impl.charge_point.machine import ChargePoint


def on_answer(
    charge_point: ChargePoint, request: Request, answer: ocpp16.CallResult | ocpp16.CallError
) -> None:
    """Take the CSMS's answer; one that breaks its schema counts as a CallError."""
    handler = _RESULTS.get(request.action)
    if (
        isinstance(answer, ocpp16.CallError)
        or ocpp16.find_violation(request.action, answer.payload, answer=True) is not None
    ):
        _on_refusal(charge_point, request)
    elif handler is not None:
        handler(charge_point, request, answer.payload)


def on_no_answer(charge_point: ChargePoint, request: Request) -> None:
    """Time is over, or there is no connection to ask over."""
    if request.action == "BootNotification":
        _boot_again(charge_point, 0)  # its time-out was the interval
    elif request.action == "Authorize":
        allowed = charge_point.configuration.boolean("AllowOfflineTxForUnknownId")
        if charge_point.session.phase is Phase.AUTHORIZING:
            charge_point.session.move(Event.ADMIT if allowed else Event.CANCEL)
    elif request.lane is Lane.TRANSACTION:
        charge_point.outbox.put_back(request)


def on_interrupted(charge_point: ChargePoint, request: Request) -> None:
    """The socket closed while `request` was under way: status and transactions come again."""
    if request.action == "StatusNotification":
        charge_point.outbox.put_back(request)
    else:
        on_no_answer(charge_point, request)


def _on_refusal(charge_point: ChargePoint, request: Request) -> None:
    if request.action == "BootNotification":
        _boot_again(charge_point, charge_point.boot_interval_s)
        return
    if request.lane is not Lane.TRANSACTION:
        on_no_answer(charge_point, request)
        return
    configuration = charge_point.configuration
    request.attempts += 1
    if request.attempts < configuration.integer("TransactionMessageAttempts"):
        pause_s = configuration.integer("TransactionMessageRetryInterval") * request.attempts
        request.not_before_ms = charge_point.now_ms + pause_s * 1000
        charge_point.outbox.put_back(request)
    elif request.action == "StartTransaction" and request.transaction is not None:
        _give_up(charge_point, request.transaction)
    elif request.action == "StopTransaction":
        _on_stop(charge_point, request, {})


def _give_up(charge_point: ChargePoint, transaction: Transaction) -> None:
    """The CSMS never took the start: end it, and say so under the id -1 of an unknown one."""
    charge_point.outbox.drop(transaction, "MeterValues")
    if charge_point.session.transaction is transaction:
        charge_point.end_transaction("Other")


def _boot_again(charge_point: ChargePoint, seconds: int) -> None:
    charge_point.next_boot_ms = charge_point.now_ms + seconds * 1000


def _on_boot(charge_point: ChargePoint, _: Request, payload: ocpp16.Payload) -> None:
    charge_point.set_clock(payload["currentTime"])
    interval = min(max(payload["interval"], 0), 999_999_999)
    if payload["status"] != "Accepted":
        charge_point.boot_interval_s = interval or charge_point.boot_interval_s
        _boot_again(charge_point, charge_point.boot_interval_s)
        return
    if charge_point.unix_offset_ms is None:
        # Accepted with a time that nobody can read: without a clock there is no timestamp.
        _boot_again(charge_point, charge_point.boot_interval_s)
        return
    charge_point.registered = True
    if interval:
        charge_point.configuration.set_integer("HeartbeatInterval", interval)
        charge_point.persist("HeartbeatInterval", str(interval))


def _on_heartbeat(charge_point: ChargePoint, _: Request, payload: ocpp16.Payload) -> None:
    charge_point.set_clock(payload["currentTime"])


def _on_authorize(charge_point: ChargePoint, _: Request, payload: ocpp16.Payload) -> None:
    session = charge_point.session
    if session.phase is Phase.AUTHORIZING:
        accepted = payload["idTagInfo"]["status"] == "Accepted"
        session.move(Event.ADMIT if accepted else Event.CANCEL)


def _on_start(charge_point: ChargePoint, request: Request, payload: ocpp16.Payload) -> None:
    transaction = request.transaction
    if transaction is None:
        return
    transaction.transaction_id = payload["transactionId"]
    if charge_point.session.transaction is transaction:
        charge_point.keep(transaction)
    if payload["idTagInfo"]["status"] == "Accepted":
        return
    transaction.refused = True
    running = charge_point.session.transaction is transaction
    if running and charge_point.configuration.boolean("StopTransactionOnInvalidId"):
        charge_point.end_transaction("DeAuthorized")


def _on_stop(charge_point: ChargePoint, request: Request, _: ocpp16.Payload) -> None:
    if request.transaction is not None:
        charge_point.forget(request.transaction)


_RESULTS: Mapping[str, Callable[[ChargePoint, Request, ocpp16.Payload], None]] = MappingProxyType(
    {
        "BootNotification": _on_boot,
        "Heartbeat": _on_heartbeat,
        "Authorize": _on_authorize,
        "StartTransaction": _on_start,
        "StopTransaction": _on_stop,
    }
)
