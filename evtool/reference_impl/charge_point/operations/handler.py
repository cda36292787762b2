# SPDX-License-Identifier: GPL-3.0-or-later
"""What every file of `operations` is made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from evtool.protocol import ocpp16

if TYPE_CHECKING:
    from evtool.reference_impl.charge_point.machine import ChargePoint

Then = Callable[[], None]
Answer = tuple[ocpp16.Payload | ocpp16.Violation, Then]
Handler = Callable[["ChargePoint", ocpp16.Call], Answer]

LATER: ocpp16.Payload = {}
"""Stands for an answer that is not known yet; compared by identity."""


def nothing() -> None:
    """Nothing is left to do after the answer."""


def status(text: str, then: Then = nothing) -> Answer:
    """An answer that is only a status."""
    return {"status": text}, then


def no_such_connector(charge_point: ChargePoint, otherwise: str) -> Answer:
    """The answer to a connectorId beyond the last one: `otherwise`, or the mode's CallError."""
    code = charge_point.mode.unknown_connector
    if not code:
        return status(otherwise)
    last = len(charge_point.connectors)
    return ocpp16.Violation(code, f"connectorId 0 to {last}"), nothing


def is_connector(charge_point: ChargePoint, connector_id: int) -> bool:
    """Whether there is such a connector; 0 is the charge point as a whole."""
    return 0 <= connector_id <= len(charge_point.connectors)
