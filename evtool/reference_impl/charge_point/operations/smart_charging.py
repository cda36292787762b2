# SPDX-License-Identifier: GPL-3.0-or-later
"""The SmartCharging profile (OCPP 1.6 edition 2, 3.13, 5.5, 5.7 and 5.16)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from evtool.protocol import ocpp16
from evtool.reference_impl.charge_point.operations.handler import (
    LATER,
    Answer,
    Handler,
    is_connector,
    no_such_connector,
    nothing,
    status,
)
from evtool.reference_impl.charge_point.smart_charging import (
    RECURS_UNSAID,
    Profile,
    read_profile,
)

if TYPE_CHECKING:
    from evtool.reference_impl.charge_point.machine import ChargePoint

_ANOTHER_PURPOSE = "chargingProfile: TxProfile"
_OF_ANOTHER = "chargingProfile: no transactionId before there is a transaction"
_UNITS = (("A", "Current"), ("W", "Power"))


def install_profile(
    charge_point: ChargePoint, connector_id: int, payload: ocpp16.Payload
) -> str | ocpp16.Violation:
    """Install a charging profile: the status of SetChargingProfile.conf, or what is wrong."""
    profile = _read(charge_point, connector_id, payload)
    if not isinstance(profile, Profile):
        return profile
    connector = charge_point.find_connector(connector_id)
    transaction = connector.transaction if connector is not None else None
    if profile.purpose == "TxProfile" and (
        transaction is None or profile.transaction_id not in (None, transaction.transaction_id)
    ):
        return "Rejected"
    return "Accepted" if charge_point.profiles.install(profile) else "Rejected"


def refuse_tx_profile(charge_point: ChargePoint, payload: ocpp16.Payload) -> Answer | None:
    """What is wrong with the profile of a RemoteStartTransaction; None where nothing is."""
    read = _read(charge_point, 1, payload)
    if isinstance(read, Profile) and read.purpose != "TxProfile":
        read = _refusal(charge_point, _ANOTHER_PURPOSE)
    elif charge_point.profiles.rules.refuses_early_id and "transactionId" in payload:
        read = _refusal(charge_point, _OF_ANOTHER)  # OCPP 1.6, 5.16.2
    if isinstance(read, ocpp16.Violation):
        return read, nothing
    return status(read) if isinstance(read, str) else None


def _read(
    charge_point: ChargePoint, connector_id: int, payload: ocpp16.Payload
) -> Profile | str | ocpp16.Violation:
    """A profile, or the status or the CallError that refuses it."""
    rules = charge_point.profiles.rules
    allowed = charge_point.configuration.text("ChargingScheduleAllowedChargingRateUnit")
    units = tuple(unit for unit, name in _UNITS if name in allowed.split(","))
    if payload["chargingSchedule"]["chargingRateUnit"] not in units:
        return "Rejected"
    read = read_profile(connector_id, payload, charge_point.unix_now(), rules, units)
    return _refusal(charge_point, read.description) if isinstance(read, ocpp16.Violation) else read


def _refusal(charge_point: ChargePoint, rule: str) -> str | ocpp16.Violation:
    rules = charge_point.profiles.rules
    before = rules.refuses_before and rule in (_ANOTHER_PURPOSE, RECURS_UNSAID)
    if rules.refuses_with_status or before:
        charge_point.notice("charging profile refused", rule)
        return "Rejected"
    return ocpp16.Violation("PropertyConstraintViolation", rule)


def _set(charge_point: ChargePoint, call: ocpp16.Call) -> Answer:
    if not charge_point.configuration.has_profile("SmartCharging"):
        return status("NotSupported")
    connector_id = call.payload["connectorId"]
    if not is_connector(charge_point, connector_id):
        return no_such_connector(charge_point, "Rejected")
    profile = call.payload["csChargingProfiles"]
    if _is_early(charge_point, connector_id, profile) and charge_point.held.hold(call):
        return LATER, nothing
    result = install_profile(charge_point, connector_id, profile)
    return (result, nothing) if isinstance(result, ocpp16.Violation) else status(result)


def _is_early(charge_point: ChargePoint, connector_id: int, profile: ocpp16.Payload) -> bool:
    """Whether it is for a transaction whose id the CSMS has told, but not to us yet."""
    connector = charge_point.find_connector(connector_id)
    transaction = connector.transaction if connector is not None else None
    return (
        "transactionId" in profile
        and transaction is not None
        and transaction.transaction_id is None
    )


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
    if charge_point.unix_offset_ms is None or duration_s < 0:
        return status("Rejected")
    connector = charge_point.find_connector(connector_id)
    transaction = connector.transaction if connector is not None else None
    composite = charge_point.profiles.composite(
        connector_id,
        charge_point.unix_now(),
        duration_s,
        transaction.started_unix_ms if transaction is not None else None,
        charge_point.supply(),
        call.payload.get("chargingRateUnit"),
    )
    if composite is None:
        return status("Rejected")
    return {
        "status": "Accepted",
        "connectorId": connector_id,
        "scheduleStart": charge_point.timestamp(charge_point.now_ms),
        "chargingSchedule": composite.payload(),
    }, nothing


HANDLERS: Mapping[str, Handler] = MappingProxyType(
    {
        "ClearChargingProfile": _clear,
        "GetCompositeSchedule": _get_composite,
        "SetChargingProfile": _set,
    }
)
