# SPDX-License-Identifier: GPL-3.0-or-later
"""The RemoteTrigger profile (OCPP 1.6 edition 2, 5.17)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from evtool.protocol import ocpp16
from evtool.reference_impl.charge_point.operations.handler import (
    Answer,
    Handler,
    is_connector,
    no_such_connector,
    status,
)
from evtool.reference_impl.charge_point.outbox import Lane, Request
from evtool.reference_impl.controller_types import Report

if TYPE_CHECKING:
    from evtool.reference_impl.charge_point.connector import Connector
    from evtool.reference_impl.charge_point.machine import ChargePoint

_OF_FIRMWARE_MANAGEMENT = frozenset({"DiagnosticsStatusNotification", "FirmwareStatusNotification"})
_KEY, _CONTEXT = "MeterValuesSampledData", "Trigger"


def trigger(charge_point: ChargePoint, call: ocpp16.Call) -> Answer:
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
    make = _MAKERS.get(wanted)
    offered = charge_point.configuration.has_profile("FirmwareManagement")
    if make is None or (wanted in _OF_FIRMWARE_MANAGEMENT and not offered):
        return status("NotImplemented")

    def send() -> None:
        for request in make(charge_point, connector_id):
            if request.lane is not Lane.BOOT:
                request.lane = Lane.TRIGGERED
            charge_point.outbox.put(request)

    return status("Accepted", send)


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

    def send_of(connector: Connector) -> None:
        connector.once_stored(
            Report.SAMPLE, lambda: connector.sampling.queue(_KEY, _CONTEXT, Lane.TRIGGERED)
        )

    def send() -> None:
        for connector in able:
            send_of(connector)

    return status("Accepted", send)


_MAKERS: Mapping[str, Callable[[ChargePoint, int | None], list[Request]]] = MappingProxyType(
    {
        "BootNotification": lambda charge_point, _: [charge_point.registration.request()],
        "Heartbeat": lambda _, __: [Request("Heartbeat")],
        "StatusNotification": _statuses,
        "DiagnosticsStatusNotification": lambda _, __: [
            Request("DiagnosticsStatusNotification", {"status": "Idle"})
        ],
        "FirmwareStatusNotification": lambda _, __: [
            Request("FirmwareStatusNotification", {"status": "Idle"})
        ],
    }
)

HANDLERS: Mapping[str, Handler] = MappingProxyType({"TriggerMessage": trigger})
