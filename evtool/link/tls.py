# SPDX-License-Identifier: GPL-3.0-or-later
"""TLS at both ends: security profile 2 (the server shows a certificate) and 3 (both do).

One context serves many connections: it costs a megabyte, a connection on it a few kilobytes.
"""

from __future__ import annotations

import ssl
from pathlib import Path

from evtool.errors import ConfigError
from evtool.link.files import write_atomically


def client_tls(
    ca_certificate: Path | None = None,
    certificate: Path | None = None,
    key: Path | None = None,
) -> ssl.SSLContext:
    """What a charge point trusts and shows.

    Args:
        ca_certificate: PEM of the only authorities to trust; None trusts the system's.
        certificate: PEM of the client's certificate and its chain; None shows none.
        key: PEM of its private key, not encrypted; None where `certificate` holds it.

    Raises:
        ConfigError: a file cannot be read, or does not hold what it should.
    """
    try:
        context = ssl.create_default_context(cafile=ca_certificate)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"{ca_certificate}: not a readable PEM certificate: {error}",
            fix="name the PEM file of the central system's root certificate",
        ) from error
    # A charge point does not insist on what only browsers insist on.
    context.verify_flags &= ~getattr(ssl, "VERIFY_X509_STRICT", ssl.VerifyFlags(0))
    if certificate is not None:
        _load(context, certificate, key)
    return context


def client_tls_of_texts(
    roots_pem: str, pair: tuple[str, str] | None, folder: Path, *, any_host: bool = False
) -> ssl.SSLContext:
    """What a charge point trusts and shows, from texts that no file of the user's holds.

    Args:
        roots_pem: the only authorities to trust; "" trusts the system's.
        pair: certificate chain and private key of the client, PEM; None shows none.
        folder: where the pair is for the moment that OpenSSL needs to read it, mode 0600.
        any_host: the server's certificate may be for another host.

    Raises:
        ConfigError: the texts are no certificates, or the pair does not fit.
    """
    try:
        context = ssl.create_default_context(cadata=roots_pem or None)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"the installed root certificates cannot be used: {error}",
            fix="start the charge point with another --storage folder",
        ) from error
    context.verify_flags &= ~getattr(ssl, "VERIFY_X509_STRICT", ssl.VerifyFlags(0))
    context.check_hostname = not any_host
    if pair is not None:
        path = folder / ".client.pem"
        write_atomically(path, "".join(pair), 0o600)
        try:
            _load(context, path, None)
        finally:
            path.unlink(missing_ok=True)
    return context


# What the security whitepaper asks of a central system (2.4.4): AES-GCM with ECDHE or RSA. Which
# of them can be is up to the key of the certificate.
_CIPHERS = "ECDHE+AESGCM:AES128-GCM-SHA256:AES256-GCM-SHA384"


def server_tls(
    certificate: Path,
    key: Path | None = None,
    client_ca: Path | None = None,
    *,
    insist: bool = True,
) -> ssl.SSLContext:
    """What a central system shows, and which clients it lets in.

    Args:
        certificate: PEM of the server's certificate and its chain.
        key: PEM of its private key, not encrypted; None where `certificate` holds it.
        client_ca: PEM of the authorities of client certificates: a client without one of
            theirs is refused in the handshake. None asks for none.
        insist: False lets a client without any in too, for stations of profile 2 beside those
            of profile 3; one that it does show must be theirs.

    Raises:
        ConfigError: a file cannot be read, or does not hold what it should.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.verify_flags &= ~getattr(ssl, "VERIFY_X509_STRICT", ssl.VerifyFlags(0))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    _load(context, certificate, key)
    if client_ca is not None:
        try:
            context.load_verify_locations(cafile=client_ca)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(
                f"{client_ca}: not a readable PEM certificate: {error}",
                fix="name the PEM file of the authority that issues the clients' certificates",
            ) from error
        context.verify_mode = ssl.CERT_REQUIRED if insist else ssl.CERT_OPTIONAL
    return context


def _load(context: ssl.SSLContext, certificate: Path, key: Path | None) -> None:
    try:
        # An encrypted key must not make OpenSSL ask at the terminal.
        context.load_cert_chain(certificate, key, password=lambda: "")
    except (OSError, ssl.SSLError, ValueError) as error:
        names = str(certificate) if key is None else f"{certificate}, {key}"
        raise ConfigError(
            f"{names}: not a certificate with its private key: {error}",
            fix="name PEM files of a certificate and of its private key, which is not encrypted",
        ) from error
