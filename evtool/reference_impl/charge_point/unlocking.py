# SPDX-License-Identifier: GPL-3.0-or-later
"""UnlockConnector, which is answered when the lock has moved (OCPP 1.6 edition 2, 5.18)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evtool.protocol import ocpp16
from evtool.reference_impl.charge_point.values import Send, Unlock

if TYPE_CHECKING:
    from evtool.reference_impl.charge_point.machine import ChargePoint

TIMEOUT_MS = 10_000


class Unlocking:
    """The requests whose lock has not moved yet, one of a connector at most."""

    __slots__ = ("_charge_point", "_waiting")

    def __init__(self, charge_point: ChargePoint) -> None:
        self._charge_point = charge_point
        self._waiting: dict[int, tuple[str, int]] = {}  # connector: (unique id, deadline)

    def is_under_way(self, connector_id: int) -> bool:
        """An `Unlock` of a connector has not been carried out yet."""
        return connector_id in self._waiting

    def begin(self, connector_id: int, unique_id: str) -> None:
        """End what runs on a connector and unlock it; the answer follows."""
        charge_point = self._charge_point
        charge_point.connectors[connector_id - 1].end("UnlockCommand")
        self._waiting[connector_id] = (unique_id, charge_point.now_ms + TIMEOUT_MS)
        charge_point.emit(Unlock(connector_id))

    def end(self, connector_id: int, *, is_unlocked: bool) -> None:
        """The lock has moved, or will not; answer who asked, if anybody did."""
        waiting = self._waiting.pop(connector_id, None)
        if waiting is not None:
            status = "Unlocked" if is_unlocked else "UnlockFailed"
            answer = ocpp16.CallResult(waiting[0], {"status": status})
            self._charge_point.emit(Send(ocpp16.render_message(answer)))

    def tick(self) -> None:
        """Give up the locks that have not moved in time."""
        now_ms = self._charge_point.now_ms
        for connector_id in [each for each, (_, end) in self._waiting.items() if now_ms >= end]:
            self.end(connector_id, is_unlocked=False)

    def next_due_ms(self) -> int | None:
        """When `tick` gives up the next one."""
        return min((end for _, end in self._waiting.values()), default=None)

    def clear(self) -> None:
        """The connection is gone: nobody waits for an answer any more."""
        self._waiting.clear()
