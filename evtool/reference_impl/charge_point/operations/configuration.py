# SPDX-License-Identifier: GPL-3.0-or-later
"""GetConfiguration and ChangeConfiguration (OCPP 1.6 edition 2, 5.3 and 5.8)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from evtool.protocol import ocpp16
from evtool.reference_impl.charge_point.operations.handler import Answer, Handler, nothing, status
from evtool.reference_impl.charge_point.values import Reconnect

if TYPE_CHECKING:
    from evtool.reference_impl.charge_point.machine import ChargePoint

_OF_THE_CONNECTION = frozenset({"AuthorizationKey"})


def _change(charge_point: ChargePoint, call: ocpp16.Call) -> Answer:
    key, value = call.payload["key"], call.payload["value"]
    known = charge_point.configuration.find(key)
    rule = charge_point.configuration_rules.get(known) if known is not None else None
    if rule is not None:
        refused = rule(value)
        if refused is not None:
            return status(refused)
    result, changed = charge_point.configuration.change(key, value)
    if changed is None:
        return status(result)
    charge_point.persist(changed, charge_point.configuration.text(changed))
    reason = changed

    def reconnect() -> None:
        charge_point.emit(Reconnect(reason))

    return status(result, reconnect if changed in _OF_THE_CONNECTION else nothing)


def _get(charge_point: ChargePoint, call: ocpp16.Call) -> Answer:
    return charge_point.configuration.describe(call.payload.get("key")), nothing


HANDLERS: Mapping[str, Handler] = MappingProxyType(
    {"ChangeConfiguration": _change, "GetConfiguration": _get}
)
