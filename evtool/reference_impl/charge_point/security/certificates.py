# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates as OCPP handles them: read, hashed as OCSP hashes them, verified to a root."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

from evtool.protocol import ocpp16

HASHES: Mapping[str, hashes.HashAlgorithm] = MappingProxyType(
    {"SHA256": hashes.SHA256(), "SHA384": hashes.SHA384(), "SHA512": hashes.SHA512()}
)
_LONGEST_CHAIN = 10
_LISTS = re.compile(r"-----BEGIN X509 CRL-----.*?-----END X509 CRL-----\n?", re.DOTALL)


def read_certificates(pem: str) -> list[x509.Certificate]:
    """The certificates of a PEM text, in its order; none for a text that holds no such thing."""
    try:
        certificates = x509.load_pem_x509_certificates(pem.encode())
        for certificate in certificates:
            # Some faults show only when a part is looked at.
            certificate.public_key()
            _ = (certificate.extensions, certificate.subject, certificate.issuer)
            _ = (certificate.not_valid_before_utc, certificate.not_valid_after_utc)
    except (ValueError, UnsupportedAlgorithm, x509.DuplicateExtension, x509.InvalidVersion):
        return []
    return certificates


def is_valid_at(certificate: x509.Certificate, unix_ms: int) -> bool:
    """Whether the moment is within the certificate's validity."""
    moment = datetime.fromtimestamp(unix_ms / 1000, UTC)
    return certificate.not_valid_before_utc <= moment <= certificate.not_valid_after_utc


def is_issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether the issuer's key signed the certificate, and the names agree."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, ValueError, TypeError, UnsupportedAlgorithm):
        return False
    return True


def is_trusted(
    chain: Sequence[x509.Certificate], roots: Sequence[x509.Certificate], unix_ms: int
) -> bool:
    """Whether the first of `chain` leads to a root, over others of the chain.

    Every certificate on the way must be valid at `unix_ms`, every issuer an authority. A root
    may itself be the first.
    """
    if not chain:
        return False
    current, others = chain[0], list(chain[1:_LONGEST_CHAIN])
    while is_valid_at(current, unix_ms):
        if current in roots:
            return True
        root = next((root for root in roots if is_issued_by(current, root)), None)
        if root is not None:
            return is_valid_at(root, unix_ms)
        issuer = next(
            (other for other in others if _is_authority(other) and is_issued_by(current, other)),
            None,
        )
        if issuer is None:
            return False
        others.remove(issuer)
        current = issuer
    return False


def read_revocation_lists(pem: str) -> list[x509.CertificateRevocationList]:
    """The certificate revocation lists of a PEM text (BEGIN X509 CRL), in its order.

    Raises:
        ValueError: one of them cannot be read.
    """
    try:
        lists = [x509.load_pem_x509_crl(each.encode()) for each in _LISTS.findall(pem)]
        for each in lists:
            _ = (each.issuer, [revoked.serial_number for revoked in each])
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ValueError("a certificate revocation list cannot be read") from error
    return lists


def is_revoked(
    chain: Sequence[x509.Certificate],
    roots: Sequence[x509.Certificate],
    lists: Sequence[x509.CertificateRevocationList],
) -> bool:
    """Whether a list that its issuer has signed names a certificate of `chain`.

    A list past its next update still says what it says; one that another has signed says nothing.
    """
    issuers = [*roots, *chain]
    return any(
        each.get_revoked_certificate_by_serial_number(certificate.serial_number) is not None
        and any(
            is_issued_by(certificate, issuer) and _is_signed_by(each, issuer) for issuer in issuers
        )
        for certificate in chain[:_LONGEST_CHAIN]
        for each in lists
        if each.issuer == certificate.issuer
    )


def _is_signed_by(each: x509.CertificateRevocationList, issuer: x509.Certificate) -> bool:
    key = issuer.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey):
        return False
    try:
        return each.is_signature_valid(key)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return False


def hash_data(
    certificate: x509.Certificate, issuers: Sequence[x509.Certificate], algorithm: str = "SHA256"
) -> ocpp16.Payload:
    """CertificateHashData (RFC 6960, 4.1.1).

    Args:
        certificate: whose.
        issuers: among which its issuer may be; else its own key stands for the issuer's.
        algorithm: SHA256, SHA384 or SHA512.
    """
    issuer = next((one for one in issuers if is_issued_by(certificate, one)), certificate)
    return {
        "hashAlgorithm": algorithm,
        "issuerNameHash": _digest(algorithm, certificate.issuer.public_bytes()),
        "issuerKeyHash": _digest(algorithm, _key_bits(issuer.public_key())),
        "serialNumber": f"{certificate.serial_number:x}",
    }


def is_same_hash(one: ocpp16.Payload, other: ocpp16.Payload) -> bool:
    """Compare two CertificateHashData; hex digits in any case, zeros in front or not."""
    return all(
        str(one[name]).lower().lstrip("0") == str(other[name]).lower().lstrip("0")
        for name in ("issuerNameHash", "issuerKeyHash", "serialNumber")
    )


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    except (x509.ExtensionNotFound, ValueError):
        return False
    return constraints.value.ca


def _digest(algorithm: str, data: bytes) -> str:
    digest = hashes.Hash(HASHES[algorithm])
    digest.update(data)
    return digest.finalize().hex()


def _key_bits(key: CertificatePublicKeyTypes) -> bytes:
    """What subjectPublicKey's BIT STRING holds."""
    encoding, form = serialization.Encoding.Raw, serialization.PublicFormat.Raw
    if isinstance(key, ec.EllipticCurvePublicKey):
        encoding = serialization.Encoding.X962
        form = serialization.PublicFormat.UncompressedPoint
    elif isinstance(key, rsa.RSAPublicKey):
        encoding, form = serialization.Encoding.DER, serialization.PublicFormat.PKCS1
    try:
        return key.public_bytes(encoding, form)
    except (ValueError, TypeError):  # a kind that has no such form, such as DSA
        return key.public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
