# SPDX-License-Identifier: GPL-3.0-or-later
"""The convenient commands: words into one of OCPP's operations.

Every operation that a central system can send has one; `call` sends any with any payload.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from evtool.protocol import ocpp16
from evtool.virtual.csms.central import Csms
from evtool.virtual.csms.ports import Files

_DAY_MS = 86_400_000
_RESERVED_MINUTES = 15


@dataclass(frozen=True, slots=True)
class Order:
    """One Call to a station."""

    station: str
    action: str
    payload: ocpp16.Payload


@dataclass(frozen=True, slots=True)
class Desk:
    """Where commands are written: the central system, and the files that they may name."""

    csms: Csms
    files: Files


Words = Sequence[str]
Maker = Callable[[Desk, Words], tuple[str, ocpp16.Payload]]


@dataclass(frozen=True, slots=True)
class Command:
    """A command: what follows its name, how many words that may be, what it becomes."""

    usage: str
    least: int
    most: int
    make: Maker


def _remote_start(desk: Desk, words: Words) -> tuple[str, ocpp16.Payload]:
    payload: ocpp16.Payload = {"idTag": words[1], "connectorId": 1}
    if len(words) > 2:
        if words[2] == "any":
            del payload["connectorId"]
        else:
            payload["connectorId"] = _number(words[2])
    if len(words) > 3:
        payload["chargingProfile"] = _profile(desk, words[3])
    return "RemoteStartTransaction", payload


def _remote_stop(desk: Desk, words: Words) -> tuple[str, ocpp16.Payload]:
    number = _number(words[1]) if len(words) > 1 else desk.csms.latest_running(words[0])
    return "RemoteStopTransaction", {"transactionId": number}


def _reset(_: Desk, words: Words) -> tuple[str, ocpp16.Payload]:
    return "Reset", {"type": words[1] if len(words) > 1 else "Soft"}


def _unlock(_: Desk, words: Words) -> tuple[str, ocpp16.Payload]:
    return "UnlockConnector", {"connectorId": _number(words[1]) if len(words) > 1 else 1}


def _change_availability(_: Desk, words: Words) -> tuple[str, ocpp16.Payload]:
    return "ChangeAvailability", {"connectorId": _number(words[1]), "type": words[2]}


def _get_configuration(_: Desk, words: Words) -> tuple[str, ocpp16.Payload]:
    return "GetConfiguration", {"key": list(words[1:])} if len(words) > 1 else {}


def _set_configuration(_: Desk, words: Words) -> tuple[str, ocpp16.Payload]:
    return "ChangeConfiguration", {"key": words[1], "value": " ".join(words[2:])}


def _trigger(_: Desk, words: Words) -> tuple[str, ocpp16.Payload]:
    return "TriggerMessage", _requested(words)


def _extended_trigger(_: Desk, words: Words) -> tuple[str, ocpp16.Payload]:
    return "ExtendedTriggerMessage", _requested(words)


def _renew_certificate(_: Desk, __: Words) -> tuple[str, ocpp16.Payload]:
    return "ExtendedTriggerMessage", {"requestedMessage": "SignChargePointCertificate"}


def _send_local_list(desk: Desk, words: Words) -> tuple[str, ocpp16.Payload]:
    kind = words[1] if len(words) > 1 else "Full"
    known = desk.csms.local_lists.get(words[0])
    version = known.version if known is not None else 0
    number = _number(words[2]) if len(words) > 2 else version + 1
    entries = desk.csms.id_tags.local_list(desk.csms.clock())
    if kind == "Differential" and known is not None:
        entries = known.difference(entries)
    return "SendLocalList", {
        "listVersion": number,
        "localAuthorizationList": entries,
        "updateType": kind,
    }


def _set_charging_profile(desk: Desk, words: Words) -> tuple[str, ocpp16.Payload]:
    profile = _profile(desk, words[2])
    return "SetChargingProfile", {
        "connectorId": _number(words[1]),
        "csChargingProfiles": profile,
    }


def _clear_charging_profile(_: Desk, words: Words) -> tuple[str, ocpp16.Payload]:
    return "ClearChargingProfile", {"id": _number(words[1])} if len(words) > 1 else {}


def _composite(_: Desk, words: Words) -> tuple[str, ocpp16.Payload]:
    payload: ocpp16.Payload = {"connectorId": _number(words[1]), "duration": _number(words[2])}
    if len(words) > 3:
        payload["chargingRateUnit"] = words[3]
    return "GetCompositeSchedule", payload


def _reserve(desk: Desk, words: Words) -> tuple[str, ocpp16.Payload]:
    minutes = _number(words[3]) if len(words) > 3 else _RESERVED_MINUTES
    payload: ocpp16.Payload = {
        "connectorId": _number(words[1]),
        "idTag": words[2],
        "expiryDate": ocpp16.render_timestamp(desk.csms.clock() + minutes * 60_000),
        "reservationId": _number(words[4]) if len(words) > 4 else 1,
    }
    parent = desk.csms.id_tags.find(words[2]).parent
    return "ReserveNow", payload | ({} if parent is None else {"parentIdTag": parent})


def _cancel(_: Desk, words: Words) -> tuple[str, ocpp16.Payload]:
    return "CancelReservation", {"reservationId": _number(words[1]) if len(words) > 1 else 1}


def _update_firmware(desk: Desk, words: Words) -> tuple[str, ocpp16.Payload]:
    return "UpdateFirmware", {
        "location": _firmware_url(desk, words[1]),
        "retrieveDate": desk.csms.now(),
    }


def _signed_update(desk: Desk, words: Words) -> tuple[str, ocpp16.Payload]:
    if desk.csms.authority is None:
        raise ValueError("nobody signs here: a lab authority is needed")
    firmware: ocpp16.Payload = {
        "location": desk.files.firmware_url(words[1]),
        "retrieveDateTime": desk.csms.now(),
        "signingCertificate": desk.csms.authority.certificate_pem.decode(),
        "signature": desk.csms.authority.sign_firmware(desk.files.firmware(words[1])),
    }
    number = _number(words[2]) if len(words) > 2 else _request_id(desk)
    return "SignedUpdateFirmware", {"requestId": number, "firmware": firmware}


def _get_diagnostics(desk: Desk, words: Words) -> tuple[str, ocpp16.Payload]:
    return "GetDiagnostics", {"location": _upload_url(desk, words, 1)}


def _get_log(desk: Desk, words: Words) -> tuple[str, ocpp16.Payload]:
    return "GetLog", {
        "logType": words[1] if len(words) > 1 else "DiagnosticsLog",
        "requestId": _request_id(desk),
        "log": {"remoteLocation": _upload_url(desk, words, 2)},
    }


def _data_transfer(_: Desk, words: Words) -> tuple[str, ocpp16.Payload]:
    payload: ocpp16.Payload = {"vendorId": words[1]}
    if len(words) > 2:
        payload["messageId"] = words[2]
    if len(words) > 3:
        payload["data"] = " ".join(words[3:])
    return "DataTransfer", payload


def _install_certificate(desk: Desk, words: Words) -> tuple[str, ocpp16.Payload]:
    if len(words) > 2:
        pem = desk.files.read(words[2])
    elif desk.csms.authority is not None:
        pem = desk.csms.authority.certificate_pem
    else:
        raise ValueError("name the PEM file of the certificate")
    return "InstallCertificate", {"certificateType": words[1], "certificate": pem.decode("ascii")}


def _certificates(_: Desk, words: Words) -> tuple[str, ocpp16.Payload]:
    return "GetInstalledCertificateIds", {"certificateType": words[1]}


def _delete_certificate(_: Desk, words: Words) -> tuple[str, ocpp16.Payload]:
    names = ("hashAlgorithm", "issuerNameHash", "issuerKeyHash", "serialNumber")
    return "DeleteCertificate", {"certificateHashData": dict(zip(names, words[1:], strict=True))}


def _plain(action: str) -> Maker:
    return lambda _, __: (action, {})


COMMANDS: Mapping[str, Command] = {
    "remote_start": Command("STATION ID_TAG [CONNECTOR|any [PROFILE]]", 2, 4, _remote_start),
    "remote_stop": Command("STATION [TRANSACTION]", 1, 2, _remote_stop),
    "reset": Command("STATION [Soft|Hard]", 1, 2, _reset),
    "unlock": Command("STATION [CONNECTOR]", 1, 2, _unlock),
    "change_availability": Command(
        "STATION CONNECTOR Operative|Inoperative", 3, 3, _change_availability
    ),
    "get_configuration": Command("STATION [KEY ...]", 1, 200, _get_configuration),
    "set_configuration": Command("STATION KEY VALUE", 3, 200, _set_configuration),
    "clear_cache": Command("STATION", 1, 1, _plain("ClearCache")),
    "trigger": Command("STATION MESSAGE [CONNECTOR]", 2, 3, _trigger),
    "extended_trigger": Command("STATION MESSAGE [CONNECTOR]", 2, 3, _extended_trigger),
    "renew_certificate": Command("STATION", 1, 1, _renew_certificate),
    "get_local_list_version": Command("STATION", 1, 1, _plain("GetLocalListVersion")),
    "send_local_list": Command("STATION [Full|Differential [VERSION]]", 1, 3, _send_local_list),
    "set_charging_profile": Command("STATION CONNECTOR PROFILE", 3, 3, _set_charging_profile),
    "clear_charging_profile": Command("STATION [PROFILE_ID]", 1, 2, _clear_charging_profile),
    "composite": Command("STATION CONNECTOR SECONDS [A|W]", 3, 4, _composite),
    "reserve": Command("STATION CONNECTOR ID_TAG [MINUTES [RESERVATION]]", 3, 5, _reserve),
    "cancel": Command("STATION [RESERVATION]", 1, 2, _cancel),
    "update_firmware": Command("STATION NAME|URL", 2, 2, _update_firmware),
    "signed_update": Command("STATION NAME [REQUEST]", 2, 3, _signed_update),
    "get_diagnostics": Command("STATION [URL]", 1, 2, _get_diagnostics),
    "get_log": Command("STATION [DiagnosticsLog|SecurityLog [URL]]", 1, 3, _get_log),
    "data_transfer": Command("STATION VENDOR [MESSAGE [DATA]]", 2, 200, _data_transfer),
    "install_certificate": Command("STATION TYPE [FILE]", 2, 3, _install_certificate),
    "certificates": Command("STATION TYPE", 2, 2, _certificates),
    "delete_certificate": Command(
        "STATION ALGORITHM ISSUER_NAME_HASH ISSUER_KEY_HASH SERIAL", 5, 5, _delete_certificate
    ),
}


def make_order(desk: Desk, name: str, words: Words) -> Order:
    """What a command orders.

    Raises:
        ValueError: its words are not what it takes; the message shows what it does.
    """
    command = COMMANDS[name]
    if not command.least <= len(words) <= command.most:
        raise ValueError(f"{name} {command.usage}")
    action, payload = command.make(desk, words)
    return Order(words[0], action, payload)


def _number(word: str) -> int:
    if not (word.isascii() and word.lstrip("-").isdigit() and len(word) <= 12):
        raise ValueError(f"{word!a}: expected a whole number")
    return int(word)


def _requested(words: Words) -> ocpp16.Payload:
    payload: ocpp16.Payload = {"requestedMessage": words[1]}
    return payload | ({"connectorId": _number(words[2])} if len(words) > 2 else {})


def _profile(desk: Desk, name: str) -> ocpp16.Payload:
    """A ChargingProfile by its name or in its file; `now` as startSchedule is the present."""
    try:
        profile = json.loads(desk.files.read(name))
    except ValueError as error:
        raise ValueError(f"{name}: no charging profile: {error}") from error
    if isinstance(profile, dict):
        profile = profile.get("csChargingProfiles", profile)
    if not isinstance(profile, dict):
        raise ValueError(f"{name}: a ChargingProfile is an object")  # noqa: TRY004 - input
    schedule = profile.get("chargingSchedule")
    if isinstance(schedule, dict) and schedule.get("startSchedule") == "now":
        profile["chargingSchedule"] = schedule | {"startSchedule": desk.csms.now()}
    return profile


def _firmware_url(desk: Desk, name: str) -> str:
    return name if "://" in name else desk.files.firmware_url(name)


def _upload_url(desk: Desk, words: Words, at: int) -> str:
    return words[at] if len(words) > at else desk.files.upload_url(words[0])


def _request_id(desk: Desk) -> int:
    """One that no earlier run has used: the seconds of the day."""
    return desk.csms.clock() // 1000 % (_DAY_MS // 1000) + 1
