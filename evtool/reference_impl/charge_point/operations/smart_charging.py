# SPDX-License-Identifier: GPL-3.0-or-later
"""The SmartCharging profile (OCPP 1.6 edition 2, 3.13, 5.5, 5.7 and 5.16)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from evtool.protocol import ocpp16
from evtool.reference_impl.charge_point.operations.handler import (
    Answer,
    Handler,
    is_connector,
    no_such_connector,
    nothing,
    status,
)
from evtool.reference_impl.charge_point.smart_charging import read_profile

if TYPE_CHECKING:
    from evtool.reference_impl.charge_point.machine import ChargePoint

_MAX_COMPOSITE_S = 31 * 86_400


def install_profile(
    charge_point: ChargePoint, connector_id: int, payload: ocpp16.Payload
) -> str | ocpp16.Violation:
    """Install a charging profile: the status of SetChargingProfile.conf, or what is wrong."""
    profile = read_profile(connector_id, payload, charge_point.unix_now())
    if isinstance(profile, ocpp16.Violation):
        return profile
    connector = charge_point.find_connector(connector_id)
    transaction = connector.transaction if connector is not None else None
    if profile.purpose == "TxProfile" and (
        transaction is None or profile.transaction_id not in (None, transaction.transaction_id)
    ):
        return "Rejected"
    if payload["chargingSchedule"]["chargingRateUnit"] != "A":
        return "Rejected"
    return "Accepted" if charge_point.profiles.install(profile) else "Rejected"


def refuse_tx_profile(charge_point: ChargePoint, payload: ocpp16.Payload) -> Answer | None:
    """What is wrong with the profile of a RemoteStartTransaction; None where nothing is."""
    if payload["chargingProfilePurpose"] != "TxProfile":
        code = charge_point.mode.wrong_purpose
        if not code:
            return status("Rejected")
        return ocpp16.Violation(code, "chargingProfile: TxProfile"), nothing
    read = read_profile(1, payload, charge_point.unix_now())
    if isinstance(read, ocpp16.Violation):
        return read, nothing
    return status("Rejected") if payload["chargingSchedule"]["chargingRateUnit"] != "A" else None


def _set(charge_point: ChargePoint, call: ocpp16.Call) -> Answer:
    connector_id = call.payload["connectorId"]
    if not is_connector(charge_point, connector_id):
        return no_such_connector(charge_point, "Rejected")
    result = install_profile(charge_point, connector_id, call.payload["csChargingProfiles"])
    return (result, nothing) if isinstance(result, ocpp16.Violation) else status(result)


def _clear(charge_point: ChargePoint, call: ocpp16.Call) -> Answer:
    removed = charge_point.profiles.clear(
        call.payload.get("id"),
        call.payload.get("connectorId"),
        call.payload.get("chargingProfilePurpose"),
        call.payload.get("stackLevel"),
    )
    return status("Accepted" if removed else "Unknown")


def _get_composite(charge_point: ChargePoint, call: ocpp16.Call) -> Answer:
    connector_id, duration_s = call.payload["connectorId"], call.payload["duration"]
    if not is_connector(charge_point, connector_id):
        return no_such_connector(charge_point, "Rejected")
    if call.payload.get("chargingRateUnit", "A") != "A" or charge_point.unix_offset_ms is None:
        return status("Rejected")
    duration_s = min(max(duration_s, 0), _MAX_COMPOSITE_S)
    connector = charge_point.find_connector(connector_id)
    transaction = connector.transaction if connector is not None else None
    periods = charge_point.profiles.composite(
        connector_id,
        charge_point.unix_now(),
        duration_s * 1000,
        transaction.started_unix_ms if transaction is not None else None,
        charge_point.settings.max_current_ma,
    )
    schedule = {
        "duration": duration_s,
        "chargingRateUnit": "A",
        "chargingSchedulePeriod": [
            # the schema allows tenths of an ampere; rounded down, never above the limit
            {"startPeriod": offset_s, "limit": limit_ma // 100 / 10}
            for offset_s, limit_ma in periods
        ],
    }
    return {
        "status": "Accepted",
        "connectorId": connector_id,
        "scheduleStart": charge_point.timestamp(charge_point.now_ms),
        "chargingSchedule": schedule,
    }, nothing


HANDLERS: Mapping[str, Handler] = MappingProxyType(
    {
        "ClearChargingProfile": _clear,
        "GetCompositeSchedule": _get_composite,
        "SetChargingProfile": _set,
    }
)
