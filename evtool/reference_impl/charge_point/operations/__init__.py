# SPDX-License-Identifier: GPL-3.0-or-later
"""What the CSMS may ask of the charge point, and what it hears; one file a feature profile.

Every request is checked against its schema first. A handler returns the payload of the
answer, a Violation that becomes a CallError, or `LATER` where the answer follows by itself;
what must happen after the answer is sent (a triggered message, a transaction that ends) is
returned beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from evtool.protocol import ocpp16
from evtool.reference_impl.charge_point.operations import (
    configuration,
    core,
    firmware,
    local_auth_list,
    remote_trigger,
    reservation,
    security,
    smart_charging,
)
from evtool.reference_impl.charge_point.operations.handler import LATER, Handler, Then, nothing
from evtool.reference_impl.charge_point.operations.smart_charging import install_profile

if TYPE_CHECKING:
    from evtool.reference_impl.charge_point.machine import ChargePoint

__all__ = ["HANDLERS", "answer", "install_profile"]

HANDLERS: Mapping[str, Handler] = MappingProxyType(
    {
        **configuration.HANDLERS,
        **core.HANDLERS,
        **firmware.HANDLERS,
        **local_auth_list.HANDLERS,
        **remote_trigger.HANDLERS,
        **reservation.HANDLERS,
        **security.HANDLERS,
        **smart_charging.HANDLERS,
    }
)


_PROFILES: Mapping[str, str] = MappingProxyType(
    # The others have an answer of their own where they are not offered.
    dict.fromkeys(smart_charging.HANDLERS, "SmartCharging")
    | dict.fromkeys(remote_trigger.HANDLERS, "RemoteTrigger")
)


def answer(
    charge_point: ChargePoint, call: ocpp16.Call
) -> tuple[ocpp16.CallResult | ocpp16.CallError | None, Then]:
    """The answer to `call`, None where it follows later, and what to do once it is on its way."""
    handler = HANDLERS.get(call.action)
    refusal = _refusal(charge_point, call)
    if refusal is not None or handler is None:
        code, description = refusal or ("NotSupported", "not offered here")
        return ocpp16.CallError(call.unique_id, code, description), nothing
    result, then = handler(charge_point, call)
    if result is LATER:
        return None, then
    if isinstance(result, ocpp16.Violation):
        return ocpp16.CallError(call.unique_id, result.code, result.description), nothing
    return ocpp16.CallResult(call.unique_id, result), then


def _refusal(charge_point: ChargePoint, call: ocpp16.Call) -> tuple[str, str] | None:
    """(code, description) of the CallError that `call` earns before it is looked at."""
    if call.action not in ocpp16.ACTIONS:
        return "NotImplemented", "unknown action"
    if call.action in security.HANDLERS and not charge_point.mode.has_security:
        return "NotImplemented", "no security extensions"
    profile = _PROFILES.get(call.action)
    if call.action not in HANDLERS or (
        profile is not None and not charge_point.configuration.has_profile(profile)
    ):
        return "NotSupported", "not offered here"
    violation = ocpp16.find_violation(call.action, call.payload) or ocpp16.find_no_unicode(
        call.payload
    )
    if violation is None:
        return None
    too_long = violation.description.endswith(": maxLength")
    code = charge_point.mode.too_long if too_long else violation.code
    return code, violation.description
