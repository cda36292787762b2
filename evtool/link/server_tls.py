# SPDX-License-Identifier: GPL-3.0-or-later
"""TLS for a central system, as the OCPP 1.6 security whitepaper wants it (2.4, table 5)."""

from __future__ import annotations

import ssl
from pathlib import Path

from evtool.errors import ConfigError

# ECDHE-ECDSA and RSA with AES-GCM; the key of the certificate decides which of them can be.
_CIPHERS = "ECDHE+AESGCM:AES128-GCM-SHA256:AES256-GCM-SHA384"


def server_tls(certificate: Path, key: Path, client_ca: Path | None) -> ssl.SSLContext:
    """A server's context: TLS 1.2 at least.

    Args:
        certificate, key: PEM files; the certificate with its chain.
        client_ca: who signs charge points' certificates. One that a client offers is verified;
            none is needed, because profile 2 has none. None asks for no certificate.

    Raises:
        ConfigError: a file cannot be read, or the key is not the certificate's.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"{certificate}, {key}: no certificate with its key: {error}",
            fix="name PEM files with --tls-certificate and --tls-key",
        ) from error
    if client_ca is not None:
        try:
            context.load_verify_locations(client_ca)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(
                f"{client_ca}: no certificate of an authority: {error}",
                fix="name a PEM file with --client-ca",
            ) from error
        context.verify_mode = ssl.CERT_OPTIONAL
    return context
