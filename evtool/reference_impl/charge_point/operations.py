# SPDX-License-Identifier: GPL-3.0-or-later
"""What the CSMS may ask of the charge point, and what it hears.

Every request is checked against its schema first. A handler returns the payload of the
answer, or a Violation that becomes a CallError; what must happen after the answer is sent
(a triggered message, a transaction that ends) is returned beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from evtool.protocol import ocpp16
from evtool.reference_impl.charge_point.metering import sampled_values
from evtool.reference_impl.charge_point.outbox import Lane, Request
from evtool.reference_impl.charge_point.session import Phase
from evtool.reference_impl.charge_point.smart_charging import read_profile
from evtool.reference_impl.charge_point.values import CONNECTOR
from evtool.reference_impl.controller_types import Report

if TYPE_CHECKING:
    from evtool.reference_impl.charge_point.machine import ChargePoint

Then = Callable[[], None]
Answer = tuple[ocpp16.Payload | ocpp16.Violation, Then]

_MAX_COMPOSITE_S = 31 * 86_400


def nothing() -> None:
    """Nothing is left to do after the answer."""


def answer(
    charge_point: ChargePoint, call: ocpp16.Call
) -> tuple[ocpp16.CallResult | ocpp16.CallError, Then]:
    """The answer to `call`, and what to do once it is on its way."""
    if call.action not in ocpp16.ACTIONS:
        return ocpp16.CallError(call.unique_id, "NotImplemented", "unknown action"), nothing
    handler = HANDLERS.get(call.action)
    if handler is None:
        return ocpp16.CallError(call.unique_id, "NotSupported", "not offered here"), nothing
    result: ocpp16.Payload | ocpp16.Violation | None
    result, then = ocpp16.find_violation(call.action, call.payload), nothing
    if result is None:
        result, then = handler(charge_point, call.payload)
    if isinstance(result, ocpp16.Violation):
        return ocpp16.CallError(call.unique_id, result.code, result.description), nothing
    return ocpp16.CallResult(call.unique_id, result), then


def install_profile(
    charge_point: ChargePoint, connector_id: int, payload: ocpp16.Payload
) -> str | ocpp16.Violation:
    """Install a charging profile: the status of SetChargingProfile.conf, or what is wrong."""
    if not 0 <= connector_id <= CONNECTOR:
        return _no_such_connector()
    profile = read_profile(connector_id, payload, charge_point.unix_ms(charge_point.now_ms))
    if isinstance(profile, ocpp16.Violation):
        return profile
    transaction = charge_point.session.transaction
    if profile.purpose == "TxProfile" and (
        transaction is None or profile.transaction_id not in (None, transaction.transaction_id)
    ):
        return "Rejected"
    if payload["chargingSchedule"]["chargingRateUnit"] != "A":
        return "Rejected"
    return "Accepted" if charge_point.profiles.install(profile) else "Rejected"


def _status(status: str, then: Then = nothing) -> Answer:
    return {"status": status}, then


def _no_such_connector() -> ocpp16.Violation:
    return ocpp16.Violation("PropertyConstraintViolation", f"connectorId 0 to {CONNECTOR}")


def _remote_start(charge_point: ChargePoint, payload: ocpp16.Payload) -> Answer:
    profile = payload.get("chargingProfile")
    if profile is not None and profile["chargingProfilePurpose"] != "TxProfile":
        return ocpp16.Violation(
            "PropertyConstraintViolation", "chargingProfile: TxProfile"
        ), nothing
    if payload.get("connectorId", CONNECTOR) != CONNECTOR or not charge_point.may_start():
        return _status("Rejected")
    if profile is not None:
        read = read_profile(CONNECTOR, profile, charge_point.unix_ms(charge_point.now_ms))
        if isinstance(read, ocpp16.Violation):
            return read, nothing
        if profile["chargingSchedule"]["chargingRateUnit"] != "A":
            return _status("Rejected")
    authorize = charge_point.configuration.boolean("AuthorizeRemoteTxRequests")
    id_tag = payload["idTag"]
    if not id_tag:
        return ocpp16.Violation("PropertyConstraintViolation", "idTag: 1 to 20 characters"), nothing

    def begin() -> None:
        charge_point.begin_session(id_tag, authorize=authorize, tx_profile=profile)

    return _status("Accepted", begin)


def _remote_stop(charge_point: ChargePoint, payload: ocpp16.Payload) -> Answer:
    transaction = charge_point.session.transaction
    if transaction is None or transaction.transaction_id != payload["transactionId"]:
        return _status("Rejected")
    return _status("Accepted", lambda: charge_point.end_transaction("Remote"))


def _change_availability(charge_point: ChargePoint, payload: ocpp16.Payload) -> Answer:
    connector_id, kind = payload["connectorId"], payload["type"]
    if connector_id not in charge_point.operative:
        return _no_such_connector(), nothing
    # Connector 0 stands for all of them.
    for number in charge_point.operative if connector_id == 0 else (connector_id,):
        charge_point.operative[number] = kind == "Operative"
        charge_point.persist(f"availability.{number}", kind)
    running = charge_point.session.phase is Phase.RUNNING
    return _status("Scheduled" if running and kind == "Inoperative" else "Accepted")


def _change_configuration(charge_point: ChargePoint, payload: ocpp16.Payload) -> Answer:
    status, changed = charge_point.configuration.change(payload["key"], payload["value"])
    if changed is not None:
        charge_point.persist(changed, charge_point.configuration.text(changed))
    return _status(status)


def _get_configuration(charge_point: ChargePoint, payload: ocpp16.Payload) -> Answer:
    return charge_point.configuration.describe(payload.get("key")), nothing


def _reset(charge_point: ChargePoint, payload: ocpp16.Payload) -> Answer:
    return _status("Accepted", lambda: charge_point.restart_later(payload["type"]))


def _trigger(charge_point: ChargePoint, payload: ocpp16.Payload) -> Answer:
    connector_id = payload.get("connectorId")
    if connector_id is not None and not 0 <= connector_id <= CONNECTOR:
        return _no_such_connector(), nothing
    requests: list[Request] = []
    match payload["requestedMessage"]:
        case "BootNotification":
            requests = [charge_point.boot_request()]
        case "Heartbeat":
            requests = [Request("Heartbeat", dict)]
        case "StatusNotification":
            numbers = (0, CONNECTOR) if connector_id is None else (connector_id,)
            requests = [charge_point.status_request(number) for number in numbers]
        case "MeterValues":
            return _trigger_meter_values(charge_point, connector_id)
        case "DiagnosticsStatusNotification" | "FirmwareStatusNotification" as action:
            requests = [Request(action, lambda: {"status": "Idle"})]

    def send() -> None:
        for request in requests:
            charge_point.outbox.put(request)

    # Before it is accepted the charge point sends nothing but BootNotification.
    if not charge_point.registered and payload["requestedMessage"] != "BootNotification":
        return _status("Rejected")
    return _status("Accepted", send) if requests else _status("NotImplemented")


def _trigger_meter_values(charge_point: ChargePoint, connector_id: int | None) -> Answer:
    key, context = "MeterValuesSampledData", "Trigger"
    named = charge_point.configuration.measurands(key)
    if (
        connector_id == 0
        or not charge_point.registered
        or not sampled_values(charge_point.inputs, named, context)
    ):
        return _status("Rejected")

    def send() -> None:
        charge_point.once_stored(
            Report.SAMPLE, lambda: charge_point.queue_sample(key, context, Lane.VOLATILE)
        )

    return _status("Accepted", send)


def _set_charging_profile(charge_point: ChargePoint, payload: ocpp16.Payload) -> Answer:
    result = install_profile(charge_point, payload["connectorId"], payload["csChargingProfiles"])
    return (result, nothing) if isinstance(result, ocpp16.Violation) else _status(result)


def _clear_charging_profile(charge_point: ChargePoint, payload: ocpp16.Payload) -> Answer:
    removed = charge_point.profiles.clear(
        payload.get("id"),
        payload.get("connectorId"),
        payload.get("chargingProfilePurpose"),
        payload.get("stackLevel"),
    )
    return _status("Accepted" if removed else "Unknown")


def _get_composite_schedule(charge_point: ChargePoint, payload: ocpp16.Payload) -> Answer:
    connector_id, duration_s = payload["connectorId"], payload["duration"]
    if not 0 <= connector_id <= CONNECTOR:
        return _no_such_connector(), nothing
    if payload.get("chargingRateUnit", "A") != "A" or charge_point.unix_offset_ms is None:
        return _status("Rejected")
    duration_s = min(max(duration_s, 0), _MAX_COMPOSITE_S)
    transaction = charge_point.session.transaction
    now_ms = charge_point.now_ms
    periods = charge_point.profiles.composite(
        connector_id,
        charge_point.unix_ms(now_ms),
        duration_s * 1000,
        charge_point.unix_ms(transaction.started_ms) if transaction is not None else None,
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
        "scheduleStart": charge_point.timestamp(now_ms),
        "chargingSchedule": schedule,
    }, nothing


HANDLERS: Mapping[str, Callable[[ChargePoint, ocpp16.Payload], Answer]] = MappingProxyType(
    {
        "ChangeAvailability": _change_availability,
        "ChangeConfiguration": _change_configuration,
        "ClearCache": lambda _, __: _status("Accepted"),  # there is none to clear
        "ClearChargingProfile": _clear_charging_profile,
        "DataTransfer": lambda _, __: _status("UnknownVendorId"),
        "GetCompositeSchedule": _get_composite_schedule,
        "GetConfiguration": _get_configuration,
        "RemoteStartTransaction": _remote_start,
        "RemoteStopTransaction": _remote_stop,
        "Reset": _reset,
        "SetChargingProfile": _set_charging_profile,
        "TriggerMessage": _trigger,
        "UnlockConnector": lambda _, __: _status("NotSupported"),  # the plug has no lock
    }
)
