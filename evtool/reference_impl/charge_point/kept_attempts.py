# SPDX-License-Identifier: GPL-3.0-or-later
"""Attempts to tell a transaction's start or end that a restart does not forget.

MicroOcpp counts an attempt when it sends, and keeps its number and its time: after a power cut
the pause that follows it is waited out, and the last one is not made again. Only where the mode
says so; else a message whose answer had not come by then is sent at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from evtool.reference_impl.charge_point.outbox import Request

if TYPE_CHECKING:
    from evtool.reference_impl.charge_point.machine import ChargePoint

_ACTIONS = frozenset({"StartTransaction", "StopTransaction"})


def begin_attempt(charge_point: ChargePoint, request: Request) -> bool:
    """Keep that a message is sent now; False where it has been sent too often already."""
    if not charge_point.mode.keeps_attempts or request.action not in _ACTIONS:
        return True
    if request.attempts >= _most(charge_point):
        return False
    request.attempted_unix_ms = charge_point.unix_now()
    charge_point.transactions.keep_message(request, request.attempts + 1)
    return True


def wait_out(charge_point: ChargePoint, unix_offset_ms: int) -> None:
    """The time is known for the first time since the start: no message before its pause is over."""
    for request in charge_point.outbox.of_transactions():
        if request.attempted_unix_ms is not None and request.attempts < _most(charge_point):
            request.paused_ms = request.attempted_unix_ms - unix_offset_ms
            pause(charge_point, request)


def counted_from(charge_point: ChargePoint, request: Request, since_ms: int) -> int:
    """From when a pause is counted: the moment, or the whole second that it is in."""
    if not charge_point.mode.whole_seconds or request.action not in _ACTIONS:
        return since_ms
    return since_ms - (since_ms + (charge_point.unix_offset_ms or 0)) % 1000


def pause(charge_point: ChargePoint, request: Request) -> None:
    """Have a message wait as many intervals as it has had attempts (OCPP 1.6, 3.7.1)."""
    if request.paused_ms is not None:
        interval_s = charge_point.configuration.integer("TransactionMessageRetryInterval")
        request.not_before_ms = request.paused_ms + interval_s * 1000 * request.attempts


def on_interval_changed(charge_point: ChargePoint) -> None:
    """Another TransactionMessageRetryInterval holds for what pauses already, too."""
    for request in charge_point.outbox.of_transactions():
        pause(charge_point, request)


def _most(charge_point: ChargePoint) -> int:
    return charge_point.configuration.integer("TransactionMessageAttempts")
