# SPDX-License-Identifier: GPL-3.0-or-later
"""How a charge point's connection is opened, as its security profile says.

Profile 0 needs nothing, 1 says the key by HTTP Basic, 2 does so over TLS, 3 shows a certificate
in the place of the key. A key that is there is said under profile 0 too: many a central system
wants one and never sets the profile.
"""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass, field
from pathlib import Path

from evtool.cli.charge_point_identity import Endpoint, read_certificate
from evtool.errors import ConfigError, DeviceError
from evtool.link.tls import client_tls_of_texts
from evtool.protocol import ocpp16
from evtool.reference_impl.charge_point import ChargePoint
from evtool.reference_impl.charge_point.security.certificates import read_certificates
from evtool.reference_impl.charge_point.security.root_store import CENTRAL_SYSTEM

TLS_PROFILE, CERTIFICATE_PROFILE = 2, 3

_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n?", re.DOTALL)
_OLD_VERSION = ("UNSUPPORTED_PROTOCOL", "WRONG_VERSION_NUMBER", "PROTOCOL_VERSION")
_NO_CIPHER = ("NO_SHARED_CIPHER", "HANDSHAKE_FAILURE", "NO_CIPHERS_AVAILABLE")


@dataclass(frozen=True)
class Opening:
    """What `open_websocket` needs.

    Attributes:
        url: with the scheme that the profile asks for.
        authorization: the Authorization header; None for none.
        tls: for wss.
    """

    url: str
    authorization: str | None = field(repr=False)
    tls: ssl.SSLContext | None


def opening(charge_point: ChargePoint, endpoint: Endpoint, folder: Path) -> Opening:
    """How to connect now.

    Args:
        charge_point: whose profile, key, roots and certificate are used.
        endpoint: whose host, port and path are kept.
        folder: see `client_tls_of_texts`.

    Raises:
        ConfigError: a stored certificate cannot be used.
    """
    maintenance = charge_point.maintenance
    settings = maintenance.settings()
    url = endpoint.url
    secured = url.startswith("wss://") or settings.security_profile >= TLS_PROFILE
    rest = url.partition("://")[2]
    pair = maintenance.client.installed() if secured else None
    shows_certificate = settings.security_profile >= CERTIFICATE_PROFILE
    authorization = None
    if settings.authorization_key and not shows_certificate:
        key = ocpp16.decode_authorization_key(settings.authorization_key)
        authorization = ocpp16.render_basic_authorization(endpoint.identity, key)
    tls = None
    if secured:
        roots = maintenance.roots.pem(CENTRAL_SYSTEM)
        shown = pair if shows_certificate else None
        tls = client_tls_of_texts(roots, shown, folder, any_host=endpoint.any_host)
    return Opening(f"{'wss' if secured else 'ws'}://{rest}", authorization, tls)


def provide_roots(charge_point: ChargePoint, ca_certificate: Path | None) -> None:
    """Install what `--ca-certificate` names, unless roots are installed already.

    What an earlier start or the CSMS has installed stays; where that is something else, a notice
    says so.

    Raises:
        ConfigError: the file cannot be read, or holds no certificate: then the system's roots
            would be trusted.
    """
    maintenance = charge_point.maintenance
    if ca_certificate is None:
        return
    given = _CERTIFICATE.findall(read_certificate(ca_certificate))
    if maintenance.trusts_a_root():
        installed = maintenance.roots.certificates(CENTRAL_SYSTEM)
        named = [root for pem in given for root in read_certificates(pem)]
        if not all(root in installed for root in named) or not named:
            charge_point.notice(
                "--ca-certificate is not used",
                "the storage holds other roots of the central system; InstallCertificate or "
                "another --storage brings this one in",
            )
        return
    for pem in given:
        maintenance.roots.install(CENTRAL_SYSTEM, pem, None)
    if not maintenance.trusts_a_root():
        raise ConfigError(
            f"--ca-certificate {ca_certificate}: no certificate in it",
            fix="name the PEM file of the root certificate (BEGIN CERTIFICATE)",
        )


def security_event(error: DeviceError) -> tuple[str, str] | None:
    """The security event that a connection's failure is, with its technical information."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return "InvalidCentralSystemCertificate", cause.verify_message
        if isinstance(cause, ssl.SSLError):
            reason = cause.reason or ""
            if reason.endswith(_OLD_VERSION):
                return "InvalidTLSVersion", reason
            if reason.endswith(_NO_CIPHER):
                return "InvalidTLSCipherSuite", reason
        cause = cause.__cause__
    if "HTTP 401" in error.message:
        return "FailedToAuthenticateAtCentralSystem", "HTTP 401"
    return None
