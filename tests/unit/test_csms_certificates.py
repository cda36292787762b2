# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's certificate authority."""

from __future__ import annotations

import base64
import contextlib

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evtool.virtual.csms.certificates import Authority, Issued, make_authority

# A busy machine is no fault.
SLOWLY = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

NOON_MS = 1_714_564_800_000
ROOT = make_authority("lab", "Operator", NOON_MS)


def request(
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey,
    common_name: str = "CP-1",
    organization: str | None = "Operator",
) -> str:
    names = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
    if organization is not None:
        names.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization))
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    csr = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(names))
    return csr.sign(key, algorithm).public_bytes(serialization.Encoding.PEM).decode()


@pytest.mark.parametrize("organization", ["Operator", None])
def test_a_request_becomes_a_certificate_of_its_key(organization: str | None) -> None:
    authority = Authority(ROOT, "Operator")
    key = ec.generate_private_key(ec.SECP256R1())
    chain = authority.sign_request(request(key, organization=organization), "CP-1", NOON_MS)
    assert len(chain) < 10_000, "CertificateSigned.req takes no more"
    certificate = x509.load_pem_x509_certificate(chain.encode())
    root = x509.load_pem_x509_certificate(ROOT.certificate)
    certificate.verify_directly_issued_by(root)
    assert certificate.public_key() == key.public_key()
    assert certificate.subject.rfc4514_string() == "O=Operator,CN=CP-1"


@pytest.mark.parametrize(
    ("csr", "reason"),
    [
        ("nonsense", "no PEM"),
        (request(ec.generate_private_key(ec.SECP256R1()), "CP-2"), "commonName"),
        (request(ec.generate_private_key(ec.SECP256R1()), organization="X"), "organizationName"),
        (request(ec.generate_private_key(ec.SECP192R1())), "192 bits"),
        (request(rsa.generate_private_key(65537, 1024)), "1024 bits"),  # noqa: S505 - too weak
        (request(ed25519.Ed25519PrivateKey.generate()), "neither EC nor RSA"),
    ],
)
def test_a_request_that_is_not_the_stations_is_refused(csr: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Authority(ROOT, "Operator").sign_request(csr, "CP-1", NOON_MS)


def test_a_request_that_was_tampered_with_is_refused() -> None:
    csr = request(ec.generate_private_key(ec.SECP256R1()))
    der = bytearray(x509.load_pem_x509_csr(csr.encode()).public_bytes(serialization.Encoding.DER))
    at = der.index(b"CP-1")
    der[at : at + 4] = b"CP-9"
    text = base64.encodebytes(bytes(der)).decode()
    forged = f"-----BEGIN CERTIFICATE REQUEST-----\n{text}-----END CERTIFICATE REQUEST-----\n"
    with pytest.raises(ValueError, match="not signed by its own key"):
        Authority(ROOT).sign_request(forged, "CP-9", NOON_MS)


@SLOWLY
@given(st.text(max_size=200))
def test_no_request_breaks_it(csr: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Authority(ROOT).sign_request(csr, "CP-1", NOON_MS)


def tampered(changes: list[tuple[int, int]]) -> str:
    """A request with other bytes at some places; negative ones count from the end."""
    csr = request(ec.derive_private_key(7, ec.SECP256R1()))
    der = bytearray(x509.load_pem_x509_csr(csr.encode()).public_bytes(serialization.Encoding.DER))
    for at, value in changes:
        der[at % len(der)] = value
    text = base64.encodebytes(bytes(der)).decode()
    return f"-----BEGIN CERTIFICATE REQUEST-----\n{text}-----END CERTIFICATE REQUEST-----\n"


def test_a_request_of_another_version_is_refused() -> None:
    plain = x509.load_pem_x509_csr(tampered([]).encode())
    at = plain.public_bytes(serialization.Encoding.DER).index(b"\x02\x01\x00") + 2
    with pytest.raises(ValueError, match="not a valid CSR version"):
        Authority(ROOT).sign_request(tampered([(at, 5)]), "CP-1", NOON_MS)


@SLOWLY
@given(st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 255)), min_size=1, max_size=3))
def test_no_tampered_request_breaks_it(changes: list[tuple[int, int]]) -> None:
    with contextlib.suppress(ValueError):  # what was changed may be as it was
        Authority(ROOT).sign_request(tampered(changes), "CP-1", NOON_MS)


def test_signed_firmware_can_be_verified() -> None:
    authority = Authority(ROOT)
    signature = base64.b64decode(authority.sign_firmware(b"image"))
    public_key = x509.load_pem_x509_certificate(authority.certificate_pem).public_key()
    assert isinstance(public_key, ec.EllipticCurvePublicKey)
    public_key.verify(signature, b"image", ec.ECDSA(hashes.SHA256()))


def test_an_authority_with_an_rsa_key_signs_too() -> None:
    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    authority = Authority(Issued(ROOT.certificate, pem))
    assert len(base64.b64decode(authority.sign_firmware(b"image"))) == 256


def test_what_is_no_authority_is_refused() -> None:
    other = ed25519.Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    with pytest.raises(ValueError, match="neither EC nor RSA"):
        Authority(Issued(ROOT.certificate, other))
    with pytest.raises(ValueError, match=r"."):
        Authority(Issued(b"", ROOT.key))
    assert b"PRIVATE" not in repr(ROOT).encode()
