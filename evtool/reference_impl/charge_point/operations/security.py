# SPDX-License-Identifier: GPL-3.0-or-later
"""The security extensions (whitepaper "Improved security for OCPP 1.6-J", edition 2, 5)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from evtool.protocol import ocpp16
from evtool.reference_impl.charge_point.diagnostics import LOG_KEY
from evtool.reference_impl.charge_point.maintenance import RECONFIGURED
from evtool.reference_impl.charge_point.operations.firmware import not_offered
from evtool.reference_impl.charge_point.operations.handler import (
    Answer,
    Handler,
    nothing,
    status,
)
from evtool.reference_impl.charge_point.operations.remote_trigger import (
    EXTENDED,
    trigger_with,
)
from evtool.reference_impl.charge_point.security.certificates import (
    is_revoked,
    is_trusted,
    read_certificates,
    read_revocation_lists,
)
from evtool.reference_impl.charge_point.security.root_store import CENTRAL_SYSTEM, MANUFACTURER
from evtool.reference_impl.charge_point.values import Reconnect

if TYPE_CHECKING:
    from evtool.reference_impl.charge_point.machine import ChargePoint

_TLS_PROFILE, _CERTIFICATE_PROFILE = 2, 3


def _install(charge_point: ChargePoint, call: ocpp16.Call) -> Answer:
    result = charge_point.maintenance.roots.install(
        call.payload["certificateType"],
        call.payload["certificate"],
        _unix_ms(charge_point),
        signed_by_old=charge_point.configuration.boolean("AdditionalRootCertificateCheck"),
    )
    if result == "Accepted":
        charge_point.maintenance.happened(RECONFIGURED, "a root certificate installed")
    return status(result)


def _delete(charge_point: ChargePoint, call: ocpp16.Call) -> Answer:
    profile = charge_point.maintenance.settings().security_profile
    depends = profile >= _TLS_PROFILE or charge_point.settings.over_tls
    result = charge_point.maintenance.roots.delete(
        call.payload["certificateHashData"], keep_last=depends
    )
    if result == "Accepted":
        charge_point.maintenance.happened(RECONFIGURED, "a root certificate deleted")
    return status(result)


def _get_identifiers(charge_point: ChargePoint, call: ocpp16.Call) -> Answer:
    return charge_point.maintenance.roots.identifiers(call.payload["certificateType"]), nothing


def _certificate_signed(charge_point: ChargePoint, call: ocpp16.Call) -> Answer:
    maintenance = charge_point.maintenance
    result = maintenance.client.on_signed(
        call.payload["certificateChain"],
        maintenance.roots.certificates(CENTRAL_SYSTEM),
        charge_point.unix_now(),
        charge_point.configuration.integer("CertificateSignedMaxChainSize"),
    )
    if result != "Accepted":
        return status(result)
    maintenance.happened(RECONFIGURED, "a new certificate of the charge point's own")

    def reconnect() -> None:
        if maintenance.settings().security_profile == _CERTIFICATE_PROFILE:
            charge_point.emit(Reconnect("client certificate"))

    return status(result, reconnect)


def _get_log(charge_point: ChargePoint, call: ocpp16.Call) -> Answer:
    upload = charge_point.maintenance.upload(LOG_KEY)
    return upload.on_get_log(call.payload, charge_point.now_ms, charge_point.unix_now()), nothing


def _update(charge_point: ChargePoint, call: ocpp16.Call) -> Answer:
    refusal = not_offered(charge_point)
    if refusal is not None:
        return refusal, nothing
    maintenance = charge_point.maintenance
    chain = read_certificates(call.payload["firmware"]["signingCertificate"])
    roots = maintenance.roots.certificates(MANUFACTURER)
    lists = charge_point.settings.revocation_lists
    refused = ""
    if not is_trusted(chain, roots, charge_point.unix_now()):
        refused = "InvalidCertificate"
    elif lists and is_revoked(chain, roots, read_revocation_lists(lists)):
        refused = "RevokedCertificate"
    return status(maintenance.firmware.on_signed_update_firmware(call.payload, refused))


def _trigger(charge_point: ChargePoint, call: ocpp16.Call) -> Answer:
    if call.payload["requestedMessage"] == "SignChargePointCertificate":
        if not charge_point.registered:
            return status("Rejected")
        return status("Accepted", charge_point.maintenance.client.request)
    return trigger_with(EXTENDED, charge_point, call)


def _unix_ms(charge_point: ChargePoint) -> int | None:
    return charge_point.unix_now() if charge_point.unix_offset_ms is not None else None


HANDLERS: Mapping[str, Handler] = MappingProxyType(
    {
        "CertificateSigned": _certificate_signed,
        "DeleteCertificate": _delete,
        "ExtendedTriggerMessage": _trigger,
        "GetInstalledCertificateIds": _get_identifiers,
        "GetLog": _get_log,
        "InstallCertificate": _install,
        "SignedUpdateFirmware": _update,
    }
)
