# SPDX-License-Identifier: GPL-3.0-or-later
"""The central system's side of every Call that a charge point makes.

Each handler takes the payload, which conforms to its schema, and returns the answer's.

Sources: OCPP 1.6 edition 2, chapter 4; security whitepaper edition 2, chapter 4.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from evtool.errors import DeviceError
from evtool.protocol import ocpp16
from evtool.protocol.ocpp16 import Payload, Violation

if TYPE_CHECKING:
    from evtool.virtual.csms.station import Station

Handler = Callable[["Station", Payload], Payload]

_KEPT = frozenset({"StartTransaction", "StopTransaction"})
_BEYOND = 1 << 63

_MAX_CONNECTORS = 256
"""Whose statuses are kept; a hostile station may count on."""


def _boot_notification(station: Station, payload: Payload) -> Payload:
    station.boot.clear()
    station.boot.update(payload)
    account, csms = station.account, station.csms
    interval = account.interval_s if account.interval_s is not None else csms.heartbeat_s
    return {
        "currentTime": csms.now(),
        "interval": interval,
        "status": account.registration,
    }


def _heartbeat(station: Station, _: Payload) -> Payload:
    return {"currentTime": station.csms.now()}


def _authorize(station: Station, payload: Payload) -> Payload:
    return {"idTagInfo": station.csms.id_tag_info(payload["idTag"])}


def _status_notification(station: Station, payload: Payload) -> Payload:
    statuses, connector_id = station.statuses, payload["connectorId"]
    if connector_id in statuses or len(statuses) < _MAX_CONNECTORS:
        statuses[connector_id] = payload["status"]
    return {}


def _start_transaction(station: Station, payload: Payload) -> Payload:
    """Recorded whatever the id_tag is worth (4.8)."""
    csms = station.csms
    id_tag = payload["idTag"]
    info = csms.id_tag_info(id_tag)
    record, is_new = csms.ledger.begin(
        station.identity,
        payload["connectorId"],
        id_tag,
        payload["meterStart"],
        payload["timestamp"],
    )
    for lost in csms.ledger.abandon(station.identity):
        csms.report({"event": "transaction", "state": "abandoned"} | lost.describe())
    if not is_new and info["status"] == "ConcurrentTx":
        info = csms.id_tag_info(id_tag, alone=False)
    if "reservationId" in payload:
        csms.end_reservation(station.identity, payload["reservationId"], "Used")
    csms.report(
        {"event": "transaction", "state": "started" if is_new else "start_repeated"}
        | record.describe()
    )
    return {"transactionId": record.transaction_id, "idTagInfo": info}


def _stop_transaction(station: Station, payload: Payload) -> Payload:
    """An unknown transaction is accepted too, or the station would repeat it for ever (4.10)."""
    csms = station.csms
    number = payload["transactionId"]
    result = csms.ledger.end(
        station.identity,
        number,
        payload["meterStop"],
        payload["timestamp"],
        payload.get("reason", "Local"),
        payload.get("transactionData", ()),
    )
    event = {"event": "transaction", "state": result, "station": station.identity}
    record = csms.ledger.records.get(number) if result != "unknown" else None
    csms.report(event | (record.describe() if record else {"transaction_id": number}))
    id_tag = payload.get("idTag")
    return {} if id_tag is None else {"idTagInfo": csms.id_tag_info(id_tag, alone=False)}


def _meter_values(station: Station, payload: Payload) -> Payload:
    number = payload.get("transactionId")
    if number is not None:
        _keep_meter_values(station, number, payload["meterValue"])
    return {}


def _keep_meter_values(station: Station, number: int, meter_values: list[Payload]) -> None:
    csms = station.csms
    known = csms.ledger.records.get(number)
    was_full = known is not None and known.is_full
    record = csms.ledger.add_meter_values(station.identity, number, meter_values)
    if record is not None and record.is_full and not was_full:
        csms.report({"event": "transaction", "state": "full"} | record.describe())


def _data_transfer(station: Station, payload: Payload) -> Payload:
    status = station.csms.data_transfer.get(payload["vendorId"], "UnknownVendorId")
    return {"status": status}


def _sign_certificate(station: Station, payload: Payload) -> Payload:
    csms = station.csms
    if csms.authority is None:
        return {"status": "Rejected"}
    try:
        chain = csms.authority.sign_request(
            payload["csr"], station.account.common_name, csms.clock()
        )
    except ValueError as error:
        csms.report({"event": "csr_refused", "station": station.identity, "reason": str(error)})
        return {"status": "Rejected"}
    csms.signed[station.identity] = chain
    return {"status": "Accepted"}


def _heard(_: Station, __: Payload) -> Payload:
    return {}


HANDLERS: dict[str, Handler] = {
    "Authorize": _authorize,
    "BootNotification": _boot_notification,
    "DataTransfer": _data_transfer,
    "DiagnosticsStatusNotification": _heard,
    "FirmwareStatusNotification": _heard,
    "Heartbeat": _heartbeat,
    "LogStatusNotification": _heard,
    "MeterValues": _meter_values,
    "SecurityEventNotification": _heard,
    "SignCertificate": _sign_certificate,
    "SignedFirmwareStatusNotification": _heard,
    "StartTransaction": _start_transaction,
    "StatusNotification": _status_notification,
    "StopTransaction": _stop_transaction,
}


def find_unkeepable(action: str, payload: Payload) -> Violation | None:
    """What no database keeps of a transaction, though the schema allows it: numbers of more
    than 64 bits, and texts that are no Unicode (half a surrogate pair)."""
    if action not in _KEPT:
        return None
    for name, value in payload.items():
        if isinstance(value, int) and not -_BEYOND <= value < _BEYOND:
            return Violation("PropertyConstraintViolation", f"{name}: more than 64 bits")
        if isinstance(value, str) and not value.isascii() and not ocpp16.is_unicode(value):
            return Violation("PropertyConstraintViolation", f"{name}: no Unicode")
    return None


def after_answer(station: Station, action: str, _: Payload, answer: Payload) -> None:
    """What follows an answer: a signed certificate goes to the station that asked for it."""
    if action == "SignCertificate" and answer.get("status") == "Accepted":
        chain = station.csms.signed.pop(station.identity, None)
        if chain is not None:
            station.tasks.spawn(_send_certificate(station, chain))


async def _send_certificate(station: Station, chain: str) -> None:
    try:
        await station.csms.ask(station.identity, "CertificateSigned", {"certificateChain": chain})
    except DeviceError as error:
        station.csms.report(
            {
                "event": "refused",
                "command": "CertificateSigned",
                "station": station.identity,
                "reason": error.message,
            }
        )
