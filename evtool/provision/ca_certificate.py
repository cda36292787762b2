# SPDX-License-Identifier: GPL-3.0-or-later
"""The CSMS's root certificate: read, judged, and written again without anything around it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

_WARN_BEFORE = timedelta(days=90)
_LONGEST = 3999  # a string in NVS
_LEAST_RSA_BITS = 2048
_LEAST_EC_BITS = 224


@dataclass(frozen=True, slots=True)
class CaCertificate:
    """What the unit will trust.

    Attributes:
        pem: one or more certificates and nothing else.
        fingerprint: SHA-256 of the first one, hex.
        not_after: when the first of them expires.
    """

    pem: str
    fingerprint: str
    not_after: datetime


@dataclass(frozen=True, slots=True)
class CertificateReport:
    """The certificate where it may be used, and what is to be said about it."""

    certificate: CaCertificate | None
    problems: tuple[str, ...]
    warnings: tuple[str, ...]


@lru_cache(maxsize=64)  # a fleet has one root, or few
def read_ca_certificate(data: bytes, now: datetime) -> CertificateReport:
    """Read and judge a PEM file; whitepaper ed. 3, A00.FR.501-511. Never raises."""
    if b"PRIVATE KEY" in data:
        return _refused("the file holds a private key; name the root certificate's file")
    try:
        certificates = x509.load_pem_x509_certificates(data)
    except (ValueError, UnsupportedAlgorithm):
        return _refused("is not a PEM certificate (-----BEGIN CERTIFICATE-----)")
    problems: list[str] = []
    warnings: list[str] = []
    for certificate in certificates:
        _judge(certificate, now, problems, warnings)
    pem = "".join(certificate.public_bytes(Encoding.PEM).decode() for certificate in certificates)
    if len(pem) > _LONGEST:
        problems.append(f"is {len(pem)} bytes of PEM; there is room for {_LONGEST}")
    checked = CaCertificate(
        pem=pem,
        fingerprint=certificates[0].fingerprint(SHA256()).hex(),
        not_after=min(certificate.not_valid_after_utc for certificate in certificates),
    )
    return CertificateReport(None if problems else checked, tuple(problems), tuple(warnings))


def _refused(problem: str) -> CertificateReport:
    return CertificateReport(None, (problem,), ())


def _judge(
    certificate: x509.Certificate, now: datetime, problems: list[str], warnings: list[str]
) -> None:
    until, since = certificate.not_valid_after_utc, certificate.not_valid_before_utc
    if until < now:
        problems.append(f"expired on {until:%Y-%m-%d}: the unit would never connect")
    elif until < now + _WARN_BEFORE:
        warnings.append(f"expires on {until:%Y-%m-%d}; a unit with an expired root is offline")
    if since > now:
        problems.append(f"is not valid before {since:%Y-%m-%d} (is this computer's clock right?)")
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        problems.append("has a public key of a kind that is not known here")
        return
    is_short_rsa = isinstance(key, rsa.RSAPublicKey) and key.key_size < _LEAST_RSA_BITS
    is_short_ec = isinstance(key, ec.EllipticCurvePublicKey) and key.key_size < _LEAST_EC_BITS
    if is_short_rsa or is_short_ec:
        problems.append(f"RSA needs {_LEAST_RSA_BITS} bits, EC {_LEAST_EC_BITS}")
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
        is_authority = constraints.value.ca
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        is_authority = False
    if not is_authority:
        warnings.append("is no certificate authority (basicConstraints CA); is it the root?")
