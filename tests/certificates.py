# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates as a central system could show them: of this authority, or another, or stale."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


@dataclass(frozen=True)
class Issued:
    """A certificate and its private key."""

    certificate: x509.Certificate
    key: Any  # a Key; on P-256 where none was asked for

    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def key_pem(self, form: serialization.PrivateFormat = serialization.PrivateFormat.PKCS8) -> str:
        """The private key, not encrypted."""
        made: bytes = self.key.private_bytes(
            serialization.Encoding.PEM, form, serialization.NoEncryption()
        )
        return made.decode()

    def write(self, path: Path) -> Path:
        """Certificate and key in one file, as Python's ssl wants them."""
        key = self.key_pem(serialization.PrivateFormat.TraditionalOpenSSL)
        path.write_bytes(self.pem() + key.encode())
        return path


class Authority:
    """A root certificate that can issue others; valid for `days` from `begin`."""

    def __init__(self, begin: datetime, *, days: int, name: str = "Test root") -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(name, name, key, begin, days).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        )
        self.root = Issued(builder.sign(key, hashes.SHA256()), key)
        self._key = key
        self._name = name

    def revoke(self, *issued: Issued, begin: datetime) -> bytes:
        """A revocation list of certificates of this authority, PEM."""
        builder = x509.CertificateRevocationListBuilder(
            self.root.certificate.subject, begin, begin + timedelta(days=1)
        )
        for each in issued:
            serial = each.certificate.serial_number
            entry = x509.RevokedCertificateBuilder(serial, begin).build()
            builder = builder.add_revoked_certificate(entry)
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def issue(self, host: str, begin: datetime, *, days: int, key: Key | None = None) -> Issued:
        key = ec.generate_private_key(ec.SECP256R1()) if key is None else key
        builder = _builder(host, self._name, key, begin, days).add_extension(
            x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False
        )
        return Issued(builder.sign(self._key, hashes.SHA256()), key)


def _builder(
    subject: str, issuer: str, key: Key, begin: datetime, days: int
) -> x509.CertificateBuilder:
    def name(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    return (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + timedelta(days=days))
    )
