# SPDX-License-Identifier: GPL-3.0-or-later
"""The RemoteTrigger profile (OCPP 1.6 edition 2, 5.17)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING

from evtool.protocol import ocpp16
from evtool.reference_impl.charge_point.diagnostics import DIAGNOSTICS_KEY, LOG_KEY
from evtool.reference_impl.charge_point.operations.handler import (
    Answer,
    Handler,
    is_connector,
    no_such_connector,
    status,
)
from evtool.reference_impl.charge_point.outbox import DEFAULT_TIMEOUT_MS, Lane, Request
from evtool.reference_impl.controller_types import Report

if TYPE_CHECKING:
    from evtool.reference_impl.charge_point.connector import Connector
    from evtool.reference_impl.charge_point.machine import ChargePoint

_OF_FIRMWARE_MANAGEMENT = frozenset({"DiagnosticsStatusNotification", "FirmwareStatusNotification"})
_KEY = "MeterValuesSampledData"


Makers = Mapping[str, Callable[["ChargePoint", int | None], list[Request]]]


def trigger_with(makers: Makers, charge_point: ChargePoint, call: ocpp16.Call) -> Answer:
    """Answer TriggerMessage or ExtendedTriggerMessage, and send what is asked for."""
    wanted, connector_id = call.payload["requestedMessage"], call.payload.get("connectorId")
    if connector_id is not None and not is_connector(charge_point, connector_id):
        return no_such_connector(charge_point, "Rejected")
    if charge_point.registration.status not in ("Accepted", "Pending"):
        # Nothing but BootNotification before that (OCPP 1.6, 4.2).
        if wanted != "BootNotification":
            return status("Rejected")
    if wanted == "MeterValues":
        return _meter_values(charge_point, connector_id)
    make = makers.get(wanted)
    offered = charge_point.configuration.has_profile("FirmwareManagement")
    if make is None or (wanted in _OF_FIRMWARE_MANAGEMENT and not offered):
        return status("NotImplemented")

    def send() -> None:
        for request in make(charge_point, connector_id):
            if request.lane is not Lane.BOOT:
                request.lane = Lane.TRIGGERED
                request.expires_ms = triggered_until_ms(charge_point, request.action)
            charge_point.outbox.put(request)

    return status("Accepted", send)


def triggered_until_ms(charge_point: ChargePoint, action: str) -> int | None:
    """When the time of a triggered message is over, sent or not; None where only one that was
    sent has a limit."""
    mode = charge_point.mode
    if not mode.expires_in_queue:
        return None
    return charge_point.now_ms + mode.triggered_limits_ms.get(action, DEFAULT_TIMEOUT_MS)


def _statuses(charge_point: ChargePoint, connector_id: int | None) -> list[Request]:
    every = range(len(charge_point.connectors) + 1)
    numbers = every if connector_id is None else (connector_id,)
    requests = [charge_point.status_request(number) for number in numbers]
    for request in requests:
        if charge_point.mode.triggers_tell_now and "timestamp" in request.payload:
            request.payload["timestamp"] = charge_point.timestamp(charge_point.now_ms)
    return requests


def _meter_values(charge_point: ChargePoint, connector_id: int | None) -> Answer:
    asked = [
        connector
        for connector in charge_point.connectors
        if connector_id in (None, connector.number)
    ]
    able = [connector for connector in asked if connector.sampling.can_tell(_KEY)]
    if not able or charge_point.unix_offset_ms is None:
        return status("Rejected")

    until_ms = triggered_until_ms(charge_point, "MeterValues")

    def send_of(connector: Connector) -> None:
        connector.once_stored(Report.SAMPLE, lambda: connector.sampling.trigger(_KEY, until_ms))

    def send() -> None:
        for connector in able:
            send_of(connector)

    return status("Accepted", send)


def _firmware(charge_point: ChargePoint, _: int | None) -> list[Request]:
    """An unsigned update's status; a signed one tells by itself."""
    firmware = charge_point.maintenance.firmware
    told = firmware.status if firmware.request_id is None else "Idle"
    return [Request("FirmwareStatusNotification", {"status": told})]


def _signed_firmware(charge_point: ChargePoint, _: int | None) -> list[Request]:
    firmware = charge_point.maintenance.firmware
    payload: ocpp16.Payload = {"status": "Idle"}
    if firmware.request_id is not None:
        payload = {"status": firmware.status, "requestId": firmware.request_id}
    return [Request("SignedFirmwareStatusNotification", payload)]


def _diagnostics(charge_point: ChargePoint, _: int | None) -> list[Request]:
    told = charge_point.maintenance.upload(DIAGNOSTICS_KEY).status
    return [Request("DiagnosticsStatusNotification", {"status": told})]


def _log(charge_point: ChargePoint, _: int | None) -> list[Request]:
    upload = charge_point.maintenance.upload(LOG_KEY)
    payload: ocpp16.Payload = {"status": upload.status}
    if upload.request_id is not None:
        payload["requestId"] = upload.request_id
    return [Request("LogStatusNotification", payload)]


_PLAIN: Makers = {
    "BootNotification": lambda charge_point, _: [charge_point.registration.request()],
    "Heartbeat": lambda _, __: [Request("Heartbeat")],
    "StatusNotification": _statuses,
}
BASIC: Makers = MappingProxyType(
    {
        **_PLAIN,
        "DiagnosticsStatusNotification": _diagnostics,
        "FirmwareStatusNotification": _firmware,
    }
)
EXTENDED: Makers = MappingProxyType(
    {**_PLAIN, "LogStatusNotification": _log, "FirmwareStatusNotification": _signed_firmware}
)
"""Of ExtendedTriggerMessage (security whitepaper ed. 2, 5.4)."""

HANDLERS: Mapping[str, Handler] = MappingProxyType({"TriggerMessage": partial(trigger_with, BASIC)})
