# SPDX-License-Identifier: GPL-3.0-or-later
"""The FirmwareManagement profile (OCPP 1.6 edition 2, 5.9 and 5.19)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from evtool.protocol import ocpp16
from evtool.reference_impl.charge_point.diagnostics import DIAGNOSTICS_KEY
from evtool.reference_impl.charge_point.operations.handler import Answer, Handler, nothing

if TYPE_CHECKING:
    from evtool.reference_impl.charge_point.machine import ChargePoint


def not_offered(charge_point: ChargePoint) -> ocpp16.Violation | None:
    """The CallError that a charge point without this profile answers with."""
    if charge_point.configuration.has_profile("FirmwareManagement"):
        return None
    return ocpp16.Violation("NotSupported", "no FirmwareManagement here")


def _update(charge_point: ChargePoint, call: ocpp16.Call) -> Answer:
    refusal = not_offered(charge_point)
    if refusal is None and ocpp16.parse_timestamp(call.payload["retrieveDate"]) is None:
        refusal = ocpp16.Violation("PropertyConstraintViolation", "retrieveDate: no date")
    if refusal is not None:
        return refusal, nothing
    return {}, lambda: charge_point.maintenance.firmware.on_update_firmware(call.payload)


def _get_diagnostics(charge_point: ChargePoint, call: ocpp16.Call) -> Answer:
    refusal = not_offered(charge_point)
    if refusal is not None:
        return refusal, nothing
    upload = charge_point.maintenance.upload(DIAGNOSTICS_KEY)
    answer = upload.on_get_diagnostics(call.payload, charge_point.now_ms, charge_point.unix_now())
    return answer, nothing


HANDLERS: Mapping[str, Handler] = MappingProxyType(
    {"GetDiagnostics": _get_diagnostics, "UpdateFirmware": _update}
)
