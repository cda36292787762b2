# SPDX-License-Identifier: GPL-3.0-or-later
"""Roots and the charge point's own certificate: installed, hashed, verified, kept."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Any

import pytest
from certificates import Authority
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509 import ocsp
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from evtool.link.private_key import new_private_key_pem
from evtool.protocol.ocpp16 import find_violation
from evtool.reference_impl.charge_point.effects import Happened, MakeKey, Notify
from evtool.reference_impl.charge_point.security.certificates import (
    hash_data,
    is_trusted,
    read_certificates,
)
from evtool.reference_impl.charge_point.security.client_certificate import (
    NEW_KEY,
    ClientCertificate,
)
from evtool.reference_impl.charge_point.security.firmware_signature import is_signed_by
from evtool.reference_impl.charge_point.security.root_store import (
    CENTRAL_SYSTEM,
    MANUFACTURER,
    RootStore,
)
from evtool.reference_impl.charge_point.values import Persist

BEGIN = datetime(2024, 1, 1, tzinfo=UTC)
NOW = 1_714_564_800_000
YEAR_MS = 366 * 86_400_000
ROOT, OTHER = (Authority(BEGIN, days=365, name=name) for name in ("one", "two"))
BROKEN = "-----BEGIN CERTIFICATE-----\nMIHgMIGaAgEBMA0GCSqG-----END CERTIFICATE-----"


def pem(authority: Authority) -> str:
    return authority.root.pem().decode()


def keep(machine: RootStore | ClientCertificate, kept: dict[str, str]) -> list[Any]:
    """Carry out what is to be kept; the rest is returned."""
    others = []
    for effect in machine.drain():
        if isinstance(effect, Persist):
            kept.pop(effect.key, None)
            if effect.value is not None:
                kept[effect.key] = effect.value
        else:
            others.append(effect)
    return others


def test_roots_are_installed_listed_and_deleted() -> None:
    kept: dict[str, str] = {}
    store = RootStore()
    assert store.identifiers(CENTRAL_SYSTEM) == {"status": "NotFound"}
    assert store.install(CENTRAL_SYSTEM, pem(ROOT), NOW) == "Accepted"
    assert store.install(CENTRAL_SYSTEM, pem(ROOT), NOW) == "Accepted", "again"
    assert store.install(MANUFACTURER, pem(OTHER), NOW) == "Accepted"
    assert keep(store, kept) == []
    again = RootStore(kept)
    assert len(again) == 2
    answer = again.identifiers(CENTRAL_SYSTEM)
    assert find_violation("GetInstalledCertificateIds", answer, answer=True) is None
    (identifier,) = answer["certificateHashData"]
    assert again.delete(identifier, keep_last=True) == "Failed"
    shouted = {name: value.upper() for name, value in identifier.items()}
    assert again.delete(shouted) == "Accepted"
    assert again.delete(identifier) == "NotFound"
    keep(again, kept)
    third = RootStore(kept)
    assert (len(third), third.pem(MANUFACTURER)) == (1, pem(OTHER))


@pytest.mark.parametrize("algorithm", ["SHA256", "SHA384", "SHA512"])
@pytest.mark.parametrize("kind", ["ec", "rsa"])
def test_hashes_are_those_of_ocsp(algorithm: str, kind: str) -> None:
    """Against the library's own OCSP requests."""
    issuer: Any = ROOT.root
    if kind == "rsa":
        key = rsa.generate_private_key(65537, 2048)
        like = ROOT.root.certificate
        builder = x509.CertificateBuilder(
            like.subject,
            like.subject,
            key.public_key(),
            7,
            like.not_valid_before_utc,
            like.not_valid_after_utc,
        )
        certificate = builder.sign(key, hashes.SHA256())
    else:
        certificate = issuer.certificate
    request = (
        ocsp.OCSPRequestBuilder()
        .add_certificate(certificate, certificate, getattr(hashes, algorithm)())
        .build()
    )
    ours = hash_data(certificate, [certificate], algorithm)
    assert ours == {
        "hashAlgorithm": algorithm,
        "issuerNameHash": request.issuer_name_hash.hex(),
        "issuerKeyHash": request.issuer_key_hash.hex(),
        "serialNumber": f"{request.serial_number:x}",
    }
    store = RootStore()
    store.install(
        CENTRAL_SYSTEM, certificate.public_bytes(serialization.Encoding.PEM).decode(), NOW
    )
    assert store.delete(ours) == "Accepted"


@pytest.mark.parametrize(
    ("text", "unix_ms"),
    [
        (BROKEN, NOW),
        ("", NOW),
        (pem(ROOT) + pem(OTHER), NOW),
        (pem(ROOT), NOW + YEAR_MS),
        (pem(ROOT), 0),
    ],
)
def test_bad_roots_are_refused(text: str, unix_ms: int) -> None:
    store = RootStore()
    assert store.install(CENTRAL_SYSTEM, text, unix_ms) == "Rejected"
    assert store.drain() == [Happened("InvalidCentralSystemCertificate")]
    assert store.install(MANUFACTURER, text, unix_ms) == "Rejected"
    assert len(store) == 0


def test_a_full_store() -> None:
    store = RootStore(max_length=1)
    assert store.install(CENTRAL_SYSTEM, pem(ROOT), NOW) == "Accepted"
    assert store.install(CENTRAL_SYSTEM, pem(OTHER), NOW) == "Rejected"


def test_a_new_root_may_have_to_come_from_the_old_one() -> None:
    kept: dict[str, str] = {}
    store = RootStore()
    store.install(CENTRAL_SYSTEM, pem(ROOT), NOW, signed_by_old=True)
    assert store.install(CENTRAL_SYSTEM, pem(OTHER), NOW, signed_by_old=True) == "Rejected"
    second = _authority(ROOT, "second").root
    third = _authority(_Named(second, "second"), "third").root
    texts = [one.pem().decode() for one in (second, third)]
    assert store.install(CENTRAL_SYSTEM, texts[0], NOW, signed_by_old=True) == "Accepted"
    assert len(store) == 2, "the old one is the fall-back"
    assert store.install(CENTRAL_SYSTEM, texts[1], NOW, signed_by_old=True) == "Accepted"
    keep(store, kept)
    assert RootStore(kept).pem(CENTRAL_SYSTEM) == "".join(texts)


class _Named:
    def __init__(self, root: Any, name: str) -> None:
        self.root, self._name = root, name


def _authority(issuer: Any, name: str) -> Any:
    """An authority whose certificate another one has signed."""
    made = Authority(BEGIN, days=365, name=name)
    builder = x509.CertificateBuilder(
        issuer.root.certificate.subject,
        made.root.certificate.subject,
        made.root.key.public_key(),
        x509.random_serial_number(),
        made.root.certificate.not_valid_before_utc,
        made.root.certificate.not_valid_after_utc,
    ).add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    signed = builder.sign(issuer.root.key, hashes.SHA256())
    object.__setattr__(made.root, "certificate", signed)
    return made


def test_chains() -> None:
    middle = _authority(ROOT, "middle")
    leaf = middle.issue("cp", BEGIN, days=365).certificate
    root, between = ROOT.root.certificate, middle.root.certificate
    assert is_trusted([leaf, between], [root], NOW)
    assert is_trusted([leaf, OTHER.root.certificate, between], [root], NOW)
    assert is_trusted([root], [root], NOW)
    assert not is_trusted([leaf], [root], NOW)
    assert not is_trusted([], [root], NOW)
    assert not is_trusted([leaf, between], [OTHER.root.certificate], NOW)
    assert not is_trusted([leaf, between], [root], NOW + YEAR_MS)
    no_authority = ROOT.issue("middle", BEGIN, days=365)
    forged = _authority(_Named(no_authority, "middle"), "leaf").root.certificate
    assert not is_trusted([forged, no_authority.certificate], [root], NOW)


def sign(request_pem: str, authority: Authority, days: int = 365) -> str:
    request = x509.load_pem_x509_csr(request_pem.encode())
    assert request.is_signature_valid
    root = authority.root.certificate
    builder = x509.CertificateBuilder(
        root.subject,
        request.subject,
        request.public_key(),
        1,
        root.not_valid_before_utc,
        root.not_valid_after_utc,
    )
    signed = builder.sign(authority.root.key, hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.PEM).decode()


def request_of(machine: ClientCertificate, kept: dict[str, str]) -> str:
    machine.request()
    assert keep(machine, kept) == [MakeKey()]
    machine.on_key(new_private_key_pem(), "CP-0001", "An operator")
    (notify,) = keep(machine, kept)
    assert isinstance(notify, Notify)
    assert find_violation(notify.action, notify.payload) is None
    return str(notify.payload["csr"])


def test_the_charge_points_certificate() -> None:
    kept: dict[str, str] = {}
    machine = ClientCertificate()
    csr = request_of(machine, kept)
    subject = x509.load_pem_x509_csr(csr.encode()).subject
    assert {name.oid: name.value for name in subject} == {
        NameOID.ORGANIZATION_NAME: "An operator",
        NameOID.COMMON_NAME: "CP-0001",
    }
    machine = ClientCertificate(kept)  # a power cut before the answer
    roots = [ROOT.root.certificate]
    chain = sign(csr, ROOT)
    assert machine.on_signed(chain, roots, NOW, 10_000) == "Accepted"
    assert keep(machine, kept) == []
    installed = ClientCertificate(kept).installed()
    assert installed is not None
    assert installed[0] == chain
    assert NEW_KEY not in kept
    assert "PRIVATE" not in "".join(map(repr, machine.drain()))
    first = installed[1]
    request_of(machine, kept)
    machine.on_refused()
    keep(machine, kept)
    assert ClientCertificate(kept).installed() is not None
    assert ClientCertificate(kept).installed()[1] == first  # type: ignore[index]


@pytest.mark.parametrize("fault", ["none", "root", "key", "size", "stale", "broken"])
def test_only_a_certificate_for_the_key_from_the_root_is_taken(fault: str) -> None:
    kept: dict[str, str] = {}
    machine = ClientCertificate()
    csr = request_of(machine, kept)
    chain = sign(csr, OTHER if fault == "root" else ROOT)
    if fault == "key":
        chain = ROOT.issue("CP-0001", BEGIN, days=365).pem().decode()
    if fault == "broken":
        chain = BROKEN
    moment = NOW + YEAR_MS if fault == "stale" else NOW
    size = 100 if fault == "size" else 10_000
    expected = "Accepted" if fault == "none" else "Rejected"
    assert machine.on_signed(chain, [ROOT.root.certificate], moment, size) == expected
    events = keep(machine, kept)
    assert events == ([] if fault == "none" else [Happened("InvalidChargePointCertificate")])
    assert (machine.installed() is None) == (fault != "none")


def test_a_certificate_from_the_factory() -> None:
    issued = ROOT.issue("CP-0001", BEGIN, days=365)
    key = issued.key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()
    machine = ClientCertificate()
    with pytest.raises(ValueError, match="private key"):
        machine.provide(pem(ROOT), key)
    machine.provide(issued.pem().decode(), key)
    assert machine.installed() == (issued.pem().decode(), key)


def test_private_keys_differ() -> None:
    one, other = new_private_key_pem(), new_private_key_pem()
    assert one != other
    key = serialization.load_pem_private_key(one.encode(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)


@given(st.text(max_size=100), st.text(max_size=20))
def test_hostile_texts(text: str, key: str) -> None:
    wrapped = f"-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----"
    store = RootStore({"root.x": text, f"root.{key}": wrapped})
    assert len(store) == 0
    assert store.install(CENTRAL_SYSTEM, wrapped, NOW) == "Rejected"
    machine = ClientCertificate({"client.key": text, "client.certificate": wrapped})
    assert machine.installed() is None
    machine.request()
    machine.on_key(text, key, key)
    assert machine.on_signed(wrapped, [], NOW, 10_000) == "Rejected"
    hashes_of = {"hashAlgorithm": "SHA256", "issuerNameHash": text, "issuerKeyHash": key}
    assert store.delete(hashes_of | {"serialNumber": ""}) == "NotFound"


@pytest.mark.parametrize(
    ("sound", "broken"),
    [
        # version 3 becomes 10; 2050 becomes the year 0
        (bytes.fromhex("a003020102"), bytes.fromhex("a003020109")),
        (b"20500101000000Z", b"00000101000000Z"),
    ],
)
def test_faults_that_only_a_closer_look_finds(sound: bytes, broken: bytes) -> None:
    far = Authority(BEGIN, days=(datetime(2050, 1, 1, tzinfo=UTC) - BEGIN).days).root.certificate
    content = far.public_bytes(serialization.Encoding.DER)
    assert sound in content
    body = base64.encodebytes(content.replace(sound, broken, 1)).decode()
    text = f"-----BEGIN CERTIFICATE-----\n{body}-----END CERTIFICATE-----\n"
    assert read_certificates(text) == []
    assert not is_signed_by(text, "AAAA", bytes(32))
    assert RootStore().install(CENTRAL_SYSTEM, text, NOW) == "Rejected"
