# SPDX-License-Identifier: GPL-3.0-or-later
"""The LocalAuthListManagement profile (OCPP 1.6 edition 2, 5.10 and 5.15)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from evtool.protocol import ocpp16
from evtool.reference_impl.charge_point.local_list import KEY
from evtool.reference_impl.charge_point.operations.handler import Answer, Handler, nothing, status

if TYPE_CHECKING:
    from evtool.reference_impl.charge_point.machine import ChargePoint

_NO_LIST = -1


def _get_version(charge_point: ChargePoint, _: ocpp16.Call) -> Answer:
    authorization = charge_point.authorization
    if not authorization.has_list():
        return {"listVersion": _NO_LIST}, nothing
    return {"listVersion": authorization.local_list.version}, nothing


def _send(charge_point: ChargePoint, call: ocpp16.Call) -> Answer:
    authorization, configuration = charge_point.authorization, charge_point.configuration
    if not authorization.has_list():
        return status("NotSupported")
    entries = call.payload.get("localAuthorizationList", [])
    if len(entries) > configuration.integer("SendLocalListMaxLength"):
        return ocpp16.Violation(
            "OccurenceConstraintViolation", "localAuthorizationList: SendLocalListMaxLength"
        ), nothing
    result = authorization.local_list.update(
        call.payload, configuration.integer("LocalAuthListMaxLength")
    )
    if result == "Accepted":
        charge_point.persist(KEY, authorization.local_list.render())
    return status(result)


HANDLERS: Mapping[str, Handler] = MappingProxyType(
    {"GetLocalListVersion": _get_version, "SendLocalList": _send}
)
