# SPDX-License-Identifier: GPL-3.0-or-later
"""The Calls that wait for the CSMS, one on its way at a time.

Order: BootNotification, then what the CSMS has triggered, then volatile messages (status,
authorization, heartbeat), then the messages of transactions in the order in which they arose.
All but the last kind are bounded, the oldest goes. A transaction's messages stay until the CSMS
has taken them: a refused one (CallError) is tried again after attempt x interval, up to a number of
attempts; one without an answer is repeated; one that was under way when the socket closed
goes back to the head and has used up no attempt. An answer that comes late, after the message
was put back or even sent again, still counts.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING

from evtool.protocol import ocpp16

if TYPE_CHECKING:
    from evtool.reference_impl.charge_point.transactions import Transaction

MAX_VOLATILE = 10
MAX_SECURITY_EVENTS = 50
DEFAULT_TIMEOUT_MS = 40_000
_NONE: deque[Request] = deque()


class Lane(IntEnum):
    """The queues, by priority."""

    BOOT = 0
    TRIGGERED = 1
    VOLATILE = 2
    TRANSACTION = 3


_BEHIND = (Lane.BOOT, Lane.VOLATILE, Lane.TRIGGERED, Lane.TRANSACTION)


@dataclass(eq=False, slots=True)
class Request:
    """A Call in the making.

    Attributes:
        payload: as it is sent, but for the transactionId of `transaction`, which may only be
            known by then.
        number: under which a transaction's message is kept over a restart.
        ids: the unique ids of this sending and the one before it.
        paused_ms: since when it pauses after an attempt that failed.
        attempted_unix_ms: when it was last sent, where the mode keeps that.
        expires_ms: when its time is over, sent or not; None counts from its sending.
    """

    action: str
    payload: ocpp16.Payload = field(default_factory=dict)
    lane: Lane = Lane.VOLATILE
    timeout_ms: int = DEFAULT_TIMEOUT_MS
    transaction: Transaction | None = None
    number: int = 0
    attempts: int = 0
    not_before_ms: int = 0
    paused_ms: int | None = None
    attempted_unix_ms: int | None = None
    ids: tuple[str, ...] = ()
    expires_ms: int | None = None


class Outbox:
    """The queues and the one outstanding Call.

    Args:
        id_prefix: of the unique ids, another one at every start.
        max_volatile: how many volatile messages wait at most.
        triggered_behind: what the CSMS has triggered goes behind the volatile messages.
    """

    __slots__ = (
        "_count",
        "_deadline_ms",
        "_max_volatile",
        "_order",
        "_pending",
        "_prefix",
        "_queues",
        "sent_ms",
    )

    def __init__(
        self, id_prefix: str, max_volatile: int = MAX_VOLATILE, *, triggered_behind: bool = False
    ) -> None:
        self._order = _BEHIND if triggered_behind else tuple(Lane)
        self._prefix = id_prefix
        self._max_volatile = max_volatile
        self._count = 0
        self._queues: dict[Lane, deque[Request]] = {}
        self._pending: Request | None = None
        self._deadline_ms = 0
        self.sent_ms = 0
        """When the last request was sent."""

    def put(self, request: Request) -> None:
        """Queue `request` in its lane; the oldest volatile message gives way."""
        queue = self._queue(request.lane)
        queue.append(request)
        if request.lane in (Lane.TRIGGERED, Lane.VOLATILE):
            self._bound(queue)

    def put_back(self, request: Request) -> None:
        """Queue `request` again, ahead of the others of its lane."""
        self._queue(request.lane).appendleft(request)

    def remove(self, requests: Iterable[Request]) -> None:
        """Forget messages that wait."""
        for request in requests:
            self._queue(request.lane).remove(request)

    def waiting(self, transaction: Transaction, action: str) -> list[Request]:
        """The messages of one kind of one transaction that wait, the oldest first."""
        queue = self._queues.get(Lane.TRANSACTION, _NONE)
        return [r for r in queue if r.transaction is transaction and r.action == action]

    def of_transactions(self) -> tuple[Request, ...]:
        """The messages of transactions that wait."""
        return tuple(self._queues.get(Lane.TRANSACTION, ()))

    def has(self, action: str) -> bool:
        """Whether a message of this kind waits or is on its way."""
        if self._pending is not None and self._pending.action == action:
            return True
        return any(r.action == action for queue in self._queues.values() for r in queue)

    def is_under_way(self, action: str) -> bool:
        """Whether a message of this kind has been sent and not been answered."""
        return self._pending is not None and self._pending.action == action

    def undelivered(self) -> int:
        """How many messages of transactions the CSMS has not taken."""
        pending = self._pending is not None and self._pending.lane is Lane.TRANSACTION
        return len(self._queues.get(Lane.TRANSACTION, ())) + pending

    def next_request(self, lanes: frozenset[Lane], now_ms: int) -> Request | None:
        """The request to send now, if none is outstanding and one is due in `lanes`; its unique
        id is the last of its `ids`."""
        if self._pending is not None:
            return None
        for lane in self._order:
            queue = self._queues.get(lane)
            if lane not in lanes or not queue or queue[0].not_before_ms > now_ms:
                continue
            request = queue.popleft()
            self._count += 1
            request.ids = (*request.ids[-1:], f"{self._prefix}-{self._count}")
            limit_ms = now_ms + request.timeout_ms
            expires_ms = request.expires_ms
            self._deadline_ms = limit_ms if expires_ms is None else min(limit_ms, expires_ms)
            self.sent_ms = now_ms
            self._pending = request
            return request
        return None

    def next_due_ms(self, lanes: frozenset[Lane]) -> int | None:
        """When `next_request` or `take_expired` has something, as far as is known now."""
        if self._pending is not None:
            return self._deadline_ms
        due = [
            queue[0].not_before_ms
            for lane, queue in self._queues.items()
            if queue and lane in lanes
        ]
        return min(due, default=None)

    def take_answer(self, unique_id: str, waits_on: frozenset[str] = frozenset()) -> Request | None:
        """The request that `unique_id` answers; None for an answer to nothing of ours, or to one
        of the actions in `waits_on`, which goes on waiting."""
        if self._pending is not None and unique_id in self._pending.ids:
            return None if self._pending.action in waits_on else self._release()
        queue = self._queues.get(Lane.TRANSACTION)
        if queue and unique_id in queue[0].ids:
            return queue.popleft()
        return None

    def take_expired(self, now_ms: int) -> Request | None:
        """The outstanding request, when its time is over."""
        if self._pending is None or now_ms < self._deadline_ms:
            return None
        return self._release()

    def take_overdue(self, now_ms: int) -> Request | None:
        """Remove and return a request whose time is over before it was sent."""
        for lane in (Lane.TRIGGERED, Lane.VOLATILE):
            queue = self._queues.get(lane, _NONE)
            for request in queue:
                if request.expires_ms is not None and request.expires_ms <= now_ms:
                    queue.remove(request)
                    return request
        return None

    def take_interrupted(self) -> Request | None:
        """The outstanding request, when the socket has closed."""
        return self._release() if self._pending is not None else None

    def hold_interrupted(self, repeated: str) -> None:
        """The socket has closed: what is outstanding waits on for its time limit, but for an
        action that is told again under another id."""
        if self._pending is not None and self._pending.action == repeated:
            self.put_back(self._pending)
            self._pending = None

    def take_waiting(self, action: str) -> Request | None:
        """Remove and return the first volatile request of this kind that still waits."""
        queue = self._queues.get(Lane.VOLATILE, _NONE)
        for request in queue:
            if request.action == action:
                queue.remove(request)
                return request
        return None

    def _queue(self, lane: Lane) -> deque[Request]:
        return self._queues.setdefault(lane, deque())

    def _bound(self, queue: deque[Request]) -> None:
        # Security events must reach the CSMS (whitepaper, A04.FR.02), so they have a bound of
        # their own.
        events = [r for r in queue if r.action == "SecurityEventNotification"]
        others = len(queue) - len(events)
        if len(events) > MAX_SECURITY_EVENTS:
            queue.remove(events[0])
        elif others > self._max_volatile:
            queue.remove(next(r for r in queue if r.action != "SecurityEventNotification"))

    def _release(self) -> Request | None:
        request, self._pending = self._pending, None
        return request
