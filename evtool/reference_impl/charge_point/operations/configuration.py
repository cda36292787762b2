# SPDX-License-Identifier: GPL-3.0-or-later
"""GetConfiguration and ChangeConfiguration (OCPP 1.6 edition 2, 5.3 and 5.8)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from evtool.protocol import ocpp16
from evtool.reference_impl.charge_point.kept_attempts import on_interval_changed
from evtool.reference_impl.charge_point.operations.handler import Answer, Handler, nothing, status
from evtool.reference_impl.charge_point.security.connection_change import may_raise
from evtool.reference_impl.charge_point.values import Reconnect

if TYPE_CHECKING:
    from evtool.reference_impl.charge_point.machine import ChargePoint

_PROFILES = ("0", "1", "2", "3")
_OF_THE_CONNECTION = frozenset({"AuthorizationKey", "SecurityProfile"})


def _change(charge_point: ChargePoint, call: ocpp16.Call) -> Answer:
    key, value = call.payload["key"], call.payload["value"]
    known = charge_point.configuration.find(key)
    if known == "SecurityProfile" and not _may_raise_profile(charge_point, value):
        return status("Rejected")
    maintenance = charge_point.maintenance
    before = maintenance.settings()
    result, changed = charge_point.configuration.change(key, value)
    if changed is None:
        return status(result)
    charge_point.persist(changed, charge_point.configuration.text(changed))
    if changed == "TransactionMessageRetryInterval":
        on_interval_changed(charge_point)
    if changed not in _OF_THE_CONNECTION or maintenance.settings() == before:
        return status(result)
    maintenance.on_settings_changed(before)
    reason = changed

    def reconnect() -> None:
        charge_point.emit(Reconnect(reason))

    return status(result, reconnect)


def _may_raise_profile(charge_point: ChargePoint, value: str) -> bool:
    """Whether SecurityProfile may become `value` (whitepaper ed. 2, A05)."""
    maintenance = charge_point.maintenance
    settings = maintenance.settings()
    return value in _PROFILES and may_raise(
        settings.security_profile,
        int(value),
        has_key=bool(settings.authorization_key),
        has_root=maintenance.trusts_a_root(),
        has_certificate=maintenance.client.installed() is not None,
    )


def _get(charge_point: ChargePoint, call: ocpp16.Call) -> Answer:
    return charge_point.configuration.describe(call.payload.get("key")), nothing


HANDLERS: Mapping[str, Handler] = MappingProxyType(
    {"ChangeConfiguration": _change, "GetConfiguration": _get}
)
