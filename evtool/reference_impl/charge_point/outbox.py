# SPDX-License-Identifier: GPL-3.0-or-later
"""The Calls that wait for the CSMS, one on its way at a time.

Order: BootNotification, then volatile messages (status, authorization, heartbeat, triggered
ones), then the messages of transactions in the order in which they arose. The first two
kinds are bounded, the oldest goes. A transaction's messages stay until the CSMS has taken
them: a refused one (CallError) is tried again after attempt x interval, up to a number of
attempts; one without an answer is repeated; one that was under way when the socket closed
goes back to the head and has used up no attempt.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

from evtool.protocol import ocpp16

if TYPE_CHECKING:
    from evtool.reference_impl.charge_point.session import Transaction

MAX_VOLATILE = 10
MAX_METER_VALUES = 10
DEFAULT_TIMEOUT_MS = 40_000


class Lane(IntEnum):
    """The queues, by priority."""

    BOOT = 0
    VOLATILE = 1
    TRANSACTION = 2


@dataclass(eq=False, slots=True)
class Request:
    """A Call in the making; its payload is built when it is sent, with what is known then."""

    action: str
    build: Callable[[], ocpp16.Payload]
    lane: Lane = Lane.VOLATILE
    timeout_ms: int = DEFAULT_TIMEOUT_MS
    transaction: Transaction | None = None
    attempts: int = 0
    not_before_ms: int = 0


class Outbox:
    """The queues and the one outstanding Call."""

    def __init__(self, id_prefix: str) -> None:
        self._prefix = id_prefix
        self._count = 0
        self._queues: dict[Lane, deque[Request]] = {lane: deque() for lane in Lane}
        self._pending: Request | None = None
        self._pending_id = ""
        self._deadline_ms = 0

    def put(self, request: Request) -> None:
        """Queue `request` in its lane; the oldest of a bounded kind gives way."""
        queue = self._queues[request.lane]
        queue.append(request)
        if request.lane is Lane.VOLATILE and len(queue) > MAX_VOLATILE:
            queue.popleft()
        if request.action == "MeterValues" and request.lane is Lane.TRANSACTION:
            same = [
                waiting
                for waiting in queue
                if waiting.action == "MeterValues" and waiting.transaction is request.transaction
            ]
            if len(same) > MAX_METER_VALUES:
                queue.remove(same[0])

    def put_back(self, request: Request) -> None:
        """Queue `request` again, ahead of the others of its lane."""
        self._queues[request.lane].appendleft(request)

    def drop(self, transaction: Transaction, action: str) -> None:
        """Forget the waiting messages of one kind that belong to `transaction`."""
        queue = self._queues[Lane.TRANSACTION]
        for request in [r for r in queue if r.transaction is transaction and r.action == action]:
            queue.remove(request)

    def has(self, action: str) -> bool:
        """Whether a message of this kind waits or is on its way."""
        waiting = (request for queue in self._queues.values() for request in queue)
        return any(r.action == action for r in waiting) or (
            self._pending is not None and self._pending.action == action
        )

    def waiting_transactions(self) -> int:
        """How many transactions still have a StartTransaction or StopTransaction to deliver."""
        requests = [*self._queues[Lane.TRANSACTION], *([self._pending] if self._pending else [])]
        return len({id(r.transaction) for r in requests if r.transaction is not None})

    def next_call(self, lanes: frozenset[Lane], now_ms: int) -> ocpp16.Call | None:
        """The Call to send now, if none is outstanding and one is due in `lanes`."""
        if self._pending is not None:
            return None
        for lane in Lane:
            queue = self._queues[lane]
            if lane not in lanes or not queue or queue[0].not_before_ms > now_ms:
                continue
            self._pending = queue.popleft()
            self._count += 1
            self._pending_id = f"{self._prefix}-{self._count}"
            self._deadline_ms = now_ms + self._pending.timeout_ms
            return ocpp16.Call(self._pending_id, self._pending.action, self._pending.build())
        return None

    def take_answer(self, unique_id: str) -> Request | None:
        """The request that `unique_id` answers; None for an answer to nothing of ours."""
        if self._pending is None or unique_id != self._pending_id:
            return None
        return self._release()

    def take_expired(self, now_ms: int) -> Request | None:
        """The outstanding request, when its time is over."""
        if self._pending is None or now_ms < self._deadline_ms:
            return None
        return self._release()

    def take_interrupted(self) -> Request | None:
        """The outstanding request, when the socket has closed."""
        return self._release() if self._pending is not None else None

    def take_waiting(self, action: str) -> Request | None:
        """Remove and return the first volatile request of this kind that still waits."""
        queue = self._queues[Lane.VOLATILE]
        for request in queue:
            if request.action == action:
                queue.remove(request)
                return request
        return None

    def _release(self) -> Request | None:
        request, self._pending = self._pending, None
        return request
