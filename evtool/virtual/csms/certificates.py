# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's certificate authority: servers, charge points, signing requests, firmware.

Sources: OCPP 1.6 security whitepaper edition 2, 2.4 to 2.6 (subjects and key lengths), 4.1
(SignCertificate), 4.6 (signed firmware). Keys are P-256; what is signed says SHA-256.
"""

from __future__ import annotations

import base64
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAYS = 365
_AUTHORITY_DAYS = 3650
_MIN_RSA_BITS = 2048
_MIN_EC_BITS = 224

SigningKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate and its key, both as PEM."""

    certificate: bytes
    key: bytes = field(repr=False)


class Authority:
    """Signs what it is asked to, as a lab's root.

    Args:
        issued: its own certificate and key.
        cpo: what a charge point's certificate says as O; None leaves that to the request.

    Raises:
        ValueError: certificate and key cannot be read, or the key is of another kind than EC
            and RSA.
    """

    def __init__(self, issued: Issued, cpo: str | None = None) -> None:
        self.certificate_pem = issued.certificate
        self.cpo = cpo
        self._certificate = x509.load_pem_x509_certificate(issued.certificate)
        try:
            key = serialization.load_pem_private_key(issued.key, password=None)
        except (TypeError, UnsupportedAlgorithm) as error:
            raise ValueError("the authority's key has a passphrase, or is unknown") from error
        if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
            raise ValueError("the authority's key is neither EC nor RSA")  # noqa: TRY004
        self._key: SigningKey = key

    def sign_request(self, csr: str, common_name: str, now_ms: int) -> str:
        """The certificate chain for a charge point's SignCertificate.req.

        Raises:
            ValueError: the request is none, or not that station's; the message says why.
        """
        try:
            request = x509.load_pem_x509_csr(csr.encode())
            is_valid = request.is_signature_valid
            public_key = request.public_key()
        except (
            ValueError,
            UnsupportedAlgorithm,
            InvalidSignature,
            x509.InvalidVersion,
        ) as error:
            raise ValueError(f"no PEM certificate signing request: {error}") from error
        if not is_valid:
            raise ValueError("the request is not signed by its own key")
        given = _first(request.subject, NameOID.COMMON_NAME)
        if given != common_name:
            raise ValueError(f"its commonName is {given!a}, not {common_name!a}")
        organization = _first(request.subject, NameOID.ORGANIZATION_NAME)
        if self.cpo is not None and organization not in (None, self.cpo):
            raise ValueError(f"its organizationName is {organization!a}, not {self.cpo!a}")
        if isinstance(public_key, rsa.RSAPublicKey):
            long_enough = public_key.key_size >= _MIN_RSA_BITS
        elif isinstance(public_key, ec.EllipticCurvePublicKey):
            long_enough = public_key.key_size >= _MIN_EC_BITS
        else:
            raise ValueError("its key is neither EC nor RSA")  # noqa: TRY004 - input
        if not long_enough:
            raise ValueError(f"its key has {public_key.key_size} bits only")
        subject = _name(common_name, self.cpo or organization)
        builder = self._builder(subject, now_ms, DAYS).public_key(public_key)
        builder = _for_use(builder, ExtendedKeyUsageOID.CLIENT_AUTH)
        return self._signed(builder).decode()

    def issue_client(self, common_name: str, now_ms: int) -> Issued:
        """Certificate and key for a charge point that has none yet."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = self._builder(_name(common_name, self.cpo), now_ms, DAYS)
        builder = _for_use(builder.public_key(key.public_key()), ExtendedKeyUsageOID.CLIENT_AUTH)
        return Issued(self._signed(builder), _key_pem(key))

    def issue_server(self, names: Sequence[str], now_ms: int) -> Issued:
        """Certificate and key for the central system itself, under these names or addresses."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = self._builder(_name(names[0], self.cpo), now_ms, DAYS)
        builder = _for_use(builder.public_key(key.public_key()), ExtendedKeyUsageOID.SERVER_AUTH)
        alternatives = x509.SubjectAlternativeName([_general_name(name) for name in names])
        return Issued(
            self._signed(builder.add_extension(alternatives, critical=False)), _key_pem(key)
        )

    def stands_for(self, issued: Issued, names: Sequence[str], moment_ms: int) -> bool:
        """Whether it issued that certificate, which belongs to its key, has all those names and
        is good until then at least."""
        try:
            certificate = x509.load_pem_x509_certificate(issued.certificate)
            certificate.verify_directly_issued_by(self._certificate)
            key = serialization.load_pem_private_key(issued.key, password=None)
            if key.public_key() != certificate.public_key():
                return False
            extensions = certificate.extensions
            if names:
                kind = x509.SubjectAlternativeName
                there = set(extensions.get_extension_for_class(kind).value)
                if not there.issuperset(_general_name(name) for name in names):
                    return False
        except (ValueError, TypeError, UnsupportedAlgorithm, InvalidSignature):
            return False
        except (x509.ExtensionNotFound, x509.InvalidVersion, x509.DuplicateExtension):
            return False
        return days_left(issued.certificate, moment_ms) > 0

    def sign_firmware(self, image: bytes) -> str:
        """The signature of a firmware image (base64), by the key of `certificate_pem`."""
        if isinstance(self._key, rsa.RSAPrivateKey):
            scheme = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH)
            signature = self._key.sign(image, scheme, hashes.SHA256())
        else:
            signature = self._key.sign(image, ec.ECDSA(hashes.SHA256()))
        return base64.b64encode(signature).decode("ascii")

    def _builder(self, subject: x509.Name, now_ms: int, days: int) -> x509.CertificateBuilder:
        return _builder(subject, self._certificate.subject, now_ms, days)

    def _signed(self, builder: x509.CertificateBuilder) -> bytes:
        certificate = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()),
            critical=False,
        ).sign(self._key, hashes.SHA256())
        return certificate.public_bytes(serialization.Encoding.PEM)


def make_authority(name: str, organization: str | None, now_ms: int) -> Issued:
    """A root certificate and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _name(name, organization)
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        crl_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    certificate = (
        _builder(subject, subject, now_ms, _AUTHORITY_DAYS)
        .public_key(key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Issued(certificate.public_bytes(serialization.Encoding.PEM), _key_pem(key))


def days_left(certificate: bytes, now_ms: int) -> float:
    """How long a PEM certificate is good for; negative where it was.

    Raises:
        ValueError: it is none.
    """
    ends = x509.load_pem_x509_certificate(certificate).not_valid_after_utc
    return (ends.timestamp() - now_ms / 1000) / 86_400


def _builder(
    subject: x509.Name, issuer: x509.Name, now_ms: int, days: int
) -> x509.CertificateBuilder:
    # An hour ago: a charge point's clock may be behind.
    begin = datetime.fromtimestamp(now_ms / 1000, UTC) - timedelta(hours=1)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + timedelta(days=days))
    )


def _for_use(
    builder: x509.CertificateBuilder, usage: x509.ObjectIdentifier
) -> x509.CertificateBuilder:
    basic = x509.BasicConstraints(ca=False, path_length=None)
    return builder.add_extension(basic, critical=True).add_extension(
        x509.ExtendedKeyUsage([usage]), critical=False
    )


def _name(common_name: str, organization: str | None) -> x509.Name:
    parts = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
    if organization is not None:
        parts.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization))
    return x509.Name(parts)


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _first(name: x509.Name, oid: x509.ObjectIdentifier) -> str | None:
    for attribute in name.get_attributes_for_oid(oid):
        return str(attribute.value)
    return None


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
