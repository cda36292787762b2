# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls of the CSMS that are answered once it is known which transaction they are about.

A RemoteStopTransaction, say, whose transactionId the CSMS has given a moment ago in the answer to
StartTransaction that is still under way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from evtool.protocol import ocpp16

if TYPE_CHECKING:
    from evtool.reference_impl.charge_point.machine import ChargePoint

_MOST = 10


class HeldCalls:
    """What waits.

    Args:
        charge_point: whose transactions count.
        take: answers a call.
    """

    __slots__ = ("_calls", "_charge_point", "_take", "_until_ms")

    def __init__(self, charge_point: ChargePoint, take: Callable[[ocpp16.Call], None]) -> None:
        self._charge_point = charge_point
        self._take = take
        self._calls: list[ocpp16.Call] = []
        self._until_ms: int | None = None

    def hold(self, call: ocpp16.Call) -> bool:
        """Answer a call anew once the StartTransaction that is under way has its answer; False
        where there is none to wait for, or enough is held."""
        charge_point = self._charge_point
        if charge_point.mode.put_off_ms:
            if self._until_ms is not None or not self._is_id_unknown():
                return False
            self._until_ms = charge_point.now_ms + charge_point.mode.put_off_ms
            self._calls = [call]
            return True
        awaits = charge_point.mode.awaits_start
        if not (awaits and charge_point.outbox.is_under_way("StartTransaction")):
            return False
        if len(self._calls) >= _MOST:
            return False
        self._calls.append(call)
        return True

    def answer(self) -> None:
        """Answer what waits, where the id is known by now, or the time is over."""
        if self._is_id_unknown() and self._charge_point.now_ms < (self._until_ms or 0):
            return
        calls, self._calls = self._calls, []
        for call in calls:
            self._take(call)
        self._until_ms = None  # only now, so that none waits twice

    def tick(self) -> None:
        """Let time pass."""
        if self._until_ms is not None:
            self.answer()

    def next_due_ms(self) -> int | None:
        """When `tick` has something to do."""
        return self._until_ms

    def clear(self) -> None:
        """The connection is gone: nobody waits for an answer any more."""
        self._calls, self._until_ms = [], None

    def _is_id_unknown(self) -> bool:
        """A transaction runs whose id the CSMS has not told."""
        connectors = self._charge_point.connectors
        running = [each.transaction for each in connectors if each.transaction is not None]
        return any(each.transaction_id is None for each in running)
