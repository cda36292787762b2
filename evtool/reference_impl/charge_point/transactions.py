# SPDX-License-Identifier: GPL-3.0-or-later
"""Transactions and their messages, kept so that no kill and no power cut loses one.

Every transaction and every message of one has a number, growing in the order of events, and a
record of its own in what is kept: `transaction.N` from its start until the CSMS has taken its
StopTransaction, `message.N` from when the message arises until the CSMS has taken it. A record
is asked to be kept (`Persist`) in the same `drain` as the message that it is about, so it is
stored before anything is told. After a restart the messages go out in their order; a message
that the CSMS had taken when the power failed, before its answer was kept, goes out again with
the same content.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from evtool.protocol import ocpp16
from evtool.reference_impl.charge_point.mode import Mode
from evtool.reference_impl.charge_point.outbox import Lane, Outbox, Request

TRANSACTION_KEY = "transaction."
MESSAGE_KEY = "message."
UNKNOWN_ID = -1
"""What StopTransaction says where the CSMS never gave the transaction an id."""

_VERSION = 1


@dataclass(eq=False, slots=True)
class Transaction:
    """A transaction that runs, or one whose messages still wait to be delivered.

    Attributes:
        number: its own, in the order of events.
        started_unix_ms: when it began, by the CSMS's clock.
        meter_wh: the highest register that it was told with.
        transaction_id: the CSMS's; None until it has answered StartTransaction.
        refused: the CSMS did not accept the id_tag.
        refused_wh: the register at that moment, from which MaxEnergyOnInvalidId counts.
        reason: why it ended, a Reason of OCPP 1.6; "" while it runs.
        ended_unix_ms: when it ended.
        stop_id_tag: who ended it, where somebody did.
        records: (timestamp, sampled values) for the transactionData of StopTransaction.
    """

    number: int
    connector_id: int
    id_tag: str
    started_unix_ms: int
    meter_wh: int
    parent_id_tag: str = ""
    transaction_id: int | None = None
    refused: bool = False
    refused_wh: int = 0
    reason: str = ""
    ended_unix_ms: int = 0
    stop_id_tag: str = ""
    records: list[tuple[str, list[dict[str, str]]]] = field(default_factory=list)

    def render(self) -> str:
        """The text that `read_transaction` understands."""
        names = (name for name in self.__slots__ if name != "number")
        return json.dumps({"v": _VERSION} | {name: getattr(self, name) for name in names})


class Transactions:
    """The transactions whose end the CSMS has not taken yet.

    Args:
        stored: what earlier runs kept.
        persist: asks to keep a text under a key.
        outbox: where the messages go.
        mode: says how much may wait.
        notice: is told of a record that cannot be read, by its key.
    """

    __slots__ = ("_mode", "_next", "_outbox", "_persist", "cut_off", "open")

    def __init__(
        self,
        stored: Mapping[str, str],
        persist: Callable[[str, str | None], None],
        outbox: Outbox,
        mode: Mode,
        notice: Callable[[str], None],
    ) -> None:
        self._persist = persist
        self._outbox = outbox
        self._mode = mode
        self.open: dict[int, Transaction] = {}
        records, messages = _numbered(stored, TRANSACTION_KEY), _numbered(stored, MESSAGE_KEY)
        self._next = 1 + max((number for number, _ in records + messages), default=0)
        for number, text in records:
            transaction = read_transaction(number, text)
            if transaction is None:
                notice(f"{TRANSACTION_KEY}{number}")
                persist(f"{TRANSACTION_KEY}{number}", None)
            else:
                self.open[number] = transaction
        for number, text in messages:
            request = _read_message(number, text, self.open)
            if request is None:
                notice(f"{MESSAGE_KEY}{number}")
                persist(f"{MESSAGE_KEY}{number}", None)
            else:
                outbox.put(request)
        self.cut_off = [
            transaction
            for transaction in self.open.values()
            if not outbox.waiting(transaction, "StopTransaction")
        ]
        """Those whose StopTransaction is not in the outbox: they ran when the power failed, or
        their end waited for the register."""

    def is_full(self) -> bool:
        """Whether no further transaction may begin until the CSMS has taken something."""
        return len(self.open) >= self._mode.max_transactions

    def begin(
        self, connector_id: int, id_tag: str, unix_ms: int, meter_wh: int, reservation: int | None
    ) -> Transaction:
        """A new transaction, with its StartTransaction in the outbox."""
        transaction = Transaction(self._number(), connector_id, id_tag, unix_ms, meter_wh)
        self.open[transaction.number] = transaction
        self.keep(transaction)
        payload: ocpp16.Payload = {
            "connectorId": connector_id,
            "idTag": id_tag,
            "meterStart": meter_wh,
            "timestamp": ocpp16.render_timestamp(unix_ms),
        }
        if reservation is not None:
            payload["reservationId"] = reservation
        self.queue("StartTransaction", payload, transaction)
        return transaction

    def stop(self, transaction: Transaction) -> None:
        """Put the StopTransaction of one that has ended into the outbox, unless the CSMS is to
        hear nothing of it."""
        if transaction.number not in self.open:
            return
        payload: ocpp16.Payload = {
            "meterStop": transaction.meter_wh,
            "timestamp": ocpp16.render_timestamp(transaction.ended_unix_ms),
            "reason": transaction.reason,
        }
        if transaction.stop_id_tag:
            payload["idTag"] = transaction.stop_id_tag
        if transaction.records:
            payload["transactionData"] = transaction_data(transaction.records)
        self.keep(transaction)
        self.queue("StopTransaction", payload, transaction)

    def queue(self, action: str, payload: ocpp16.Payload, transaction: Transaction) -> None:
        """Put a message of a transaction into the outbox, and keep it."""
        request = Request(
            action, payload, Lane.TRANSACTION, transaction=transaction, number=self._number()
        )
        self.keep_message(request, request.attempts)
        self._outbox.put(request)
        if action == "MeterValues":
            self._bound_meter_values(transaction)

    def payload_of(self, request: Request) -> ocpp16.Payload:
        """The payload to send now, with the transactionId as far as it is known."""
        transaction = request.transaction
        if transaction is None or request.action == "StartTransaction":
            return request.payload
        known = transaction.transaction_id
        if request.action == "StopTransaction":
            return request.payload | {"transactionId": UNKNOWN_ID if known is None else known}
        if known is None or (known <= 0 and self._mode.omits_transaction_id_zero):
            return request.payload
        return request.payload | {"transactionId": known}

    def keep(self, transaction: Transaction) -> None:
        """Have what is known of `transaction` outlive a power cut, unless it is forgotten."""
        if transaction.number not in self.open:
            return
        self._persist(f"{TRANSACTION_KEY}{transaction.number}", transaction.render())

    def attempted(self, request: Request) -> None:
        """Remember how often a message has been refused, and try it again."""
        self.keep_message(request, request.attempts)
        self._outbox.put_back(request)

    def delivered(self, request: Request) -> None:
        """The CSMS has taken a message, or never will; with its end a transaction is over."""
        if request.number:
            self._persist(f"{MESSAGE_KEY}{request.number}", None)
        if request.action == "StopTransaction" and request.transaction is not None:
            self.forget(request.transaction)

    def drop(self, requests: list[Request]) -> None:
        """Forget messages that wait."""
        self._outbox.remove(requests)
        for request in requests:
            self._persist(f"{MESSAGE_KEY}{request.number}", None)

    def forget(self, transaction: Transaction) -> None:
        """The CSMS has heard all of a transaction, or never will."""
        if self.open.pop(transaction.number, None) is not None:
            self._persist(f"{TRANSACTION_KEY}{transaction.number}", None)

    def _bound_meter_values(self, transaction: Transaction) -> None:
        waiting = self._outbox.waiting(transaction, "MeterValues")
        if len(waiting) > self._mode.max_meter_values:
            # Every second one goes, so that what is left still covers the whole time
            # (OCPP 1.6, 3.7.2).
            self.drop(waiting[:-1:2] if self._mode.thins_meter_values else waiting[:1])

    def _number(self) -> int:
        self._next += 1
        return self._next - 1

    def keep_message(self, request: Request, attempts: int) -> None:
        """Have a message outlive a power cut, with how often it has been told."""
        if request.action == "MeterValues" and not self._mode.keeps_meter_values:
            return
        transaction = request.transaction
        record = {
            "v": _VERSION,
            "action": request.action,
            "payload": request.payload,
            "transaction": transaction.number if transaction is not None else 0,
            "attempts": attempts,
            "attempted": request.attempted_unix_ms,
        }
        self._persist(f"{MESSAGE_KEY}{request.number}", json.dumps(record))


def read_transaction(number: int, text: str) -> Transaction | None:
    """The transaction in a kept text; None for a text that is not ours."""
    fields = _fields(text)
    if fields is None or fields.pop("v", None) != _VERSION:
        return None
    try:
        transaction = Transaction(number, **fields)
        texts = (transaction.id_tag, transaction.parent_id_tag, transaction.stop_id_tag)
        sound = (
            type(transaction.connector_id) is int
            and transaction.connector_id > 0
            and all(isinstance(text, str) and len(text) <= ocpp16.MAX_ID_TAG for text in texts)
            and transaction.id_tag != ""
            and all(
                type(moment) is int and 0 <= moment <= ocpp16.LAST_MOMENT_MS
                for moment in (transaction.started_unix_ms, transaction.ended_unix_ms)
            )
            and type(transaction.meter_wh) is int
            and type(transaction.refused_wh) is int
            and (transaction.transaction_id is None or type(transaction.transaction_id) is int)
            and isinstance(transaction.refused, bool)
            and transaction.reason in ocpp16.STOP_REASONS | {""}
            and _are_records(transaction.records)
        )
    except TypeError:
        return None
    return transaction if sound else None


def _are_records(records: object) -> bool:
    if not isinstance(records, list) or not all(
        isinstance(each, list) and len(each) == 2 and ocpp16.parse_timestamp(each[0]) is not None
        for each in records
    ):
        return False
    told = {
        "transactionId": 0,
        "meterStop": 0,
        "timestamp": ocpp16.render_timestamp(0),
        "transactionData": transaction_data(records),
    }
    return ocpp16.find_violation("StopTransaction", told) is None


def transaction_data(records: Sequence[Sequence[Any]]) -> list[ocpp16.Payload]:
    """The records of a transaction as StopTransaction tells them."""
    return [{"timestamp": timestamp, "sampledValue": values} for timestamp, values in records]


def _read_message(number: int, text: str, open_: Mapping[int, Transaction]) -> Request | None:
    fields = _fields(text)
    if fields is None or fields.get("v") != _VERSION:
        return None
    action, payload = fields.get("action"), fields.get("payload")
    of, attempts = fields.get("transaction"), fields.get("attempts")
    attempted = fields.get("attempted")
    if (
        action not in ("StartTransaction", "MeterValues", "StopTransaction")
        or not isinstance(payload, dict)
        or type(of) is not int
        or type(attempts) is not int
        or (attempted is not None and type(attempted) is not int)
        or of not in open_
    ):
        return None
    completed = payload | ({"transactionId": 0} if action == "StopTransaction" else {})
    if ocpp16.find_violation(action, completed) is not None:
        return None
    return Request(
        action,
        payload,
        Lane.TRANSACTION,
        transaction=open_[of],
        number=number,
        attempts=max(attempts, 0),
        attempted_unix_ms=attempted,
    )


def _numbered(stored: Mapping[str, str], prefix: str) -> list[tuple[int, str]]:
    """What is kept under `prefix` and a number, in the order of the numbers."""
    found = []
    for key, text in stored.items():
        suffix = key.removeprefix(prefix)
        if suffix != key and suffix.isascii() and suffix.isdigit() and len(suffix) <= 15 and text:
            found.append((int(suffix), text))
    return sorted(found)


def _fields(text: str) -> dict[str, Any] | None:
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return fields if isinstance(fields, dict) else None
