# SPDX-License-Identifier: GPL-3.0-or-later
"""A unit's own certificate and key: what is refused, and in which form they go into its image."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from functools import cache

import pytest
from certificates import Authority, Issued, Key
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from evtool.errors import ConfigError
from evtool.project import Can, ChargePoint, Limits, Secret
from evtool.protocol.nvs import parse_image
from evtool.protocol.partition_table import Partition
from evtool.provision.client_certificate import (
    ClientReport,
    as_pkcs8,
    read_client_certificate,
)
from evtool.provision.evcfg import evcfg_entries, evcfg_image
from evtool.provision.identity import Identity, IdentityInput, check_identity
from evtool.provision.secrets.fingerprint import key_fingerprint

NOW = datetime(2030, 1, 1, tzinfo=UTC)
UNIT = ChargePoint("CP-0001", "Example", "EV-CAN-1", "SN-0001", "LOCAL")
AUTHORITY = Authority(NOW, days=3650)
OWN = AUTHORITY.issue("CP-0001", NOW, days=365)
FORMS = [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL]
CURVES: dict[str, ec.EllipticCurve] = {
    "P-256": ec.SECP256R1(),
    "P-384": ec.SECP384R1(),
    "P-521": ec.SECP521R1(),
    "P-192": ec.SECP192R1(),
    "P-224": ec.SECP224R1(),
    "secp256k1": ec.SECP256K1(),
}


@cache
def key_of(kind: str) -> Key:
    if kind in CURVES:
        return ec.generate_private_key(CURVES[kind])
    if kind == "Ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    return rsa.generate_private_key(65537, int(kind.removeprefix("RSA-")))


def issued(kind: str = "P-256", name: str = "CP-0001", days: int = 365) -> Issued:
    return AUTHORITY.issue(name, NOW, days=days, key=key_of(kind))


def judged(own: Issued, *, pem: bytes | None = None, key: str | None = None) -> ClientReport:
    text = own.key_pem() if key is None else key
    return read_client_certificate(own.pem() if pem is None else pem, Secret(text), UNIT, NOW)


def rules(report: ClientReport) -> str:
    return "\n".join(f"{name}: {rule}" for name, rule in report.problems)


@pytest.mark.parametrize("kind", ["P-256", "P-384", "P-521", "RSA-2048"])
@pytest.mark.parametrize("name", ["CP-0001", "SN-0001"])
def test_what_a_units_tls_knows_is_taken(kind: str, name: str) -> None:
    own = issued(kind, name)
    report = judged(own)
    assert report.client is not None, rules(report)
    assert report.client.pem.encode() == own.pem()
    assert load_pem_private_key(report.client.key.reveal().encode(), None) == own.key or (
        report.client.key.reveal() == own.key_pem()
    )


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("P-192", "its key is too short"),
        ("RSA-1024", "its key is too short"),
        ("P-224", "knows keys of RSA up to 4096 bits, and EC on P-256, P-384 or P-521 only"),
        ("secp256k1", "knows keys of RSA"),
        ("Ed25519", "knows keys of RSA"),
    ],
)
def test_what_it_does_not_know_is_refused(kind: str, said: str) -> None:
    report = judged(issued(kind))
    assert report.client is None
    assert len(report.problems) == 1
    assert said in rules(report)


def test_a_large_key_is_refused() -> None:
    assert "knows keys of RSA up to 4096 bits" in rules(judged(issued("RSA-4104")))


def test_each_mistake_has_its_sentence_and_no_key_in_it() -> None:
    other, encrypted = (
        issued("P-384"),
        OWN.key.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"pass")
        ).decode(),
    )
    expired = AUTHORITY.issue("CP-0001", NOW - timedelta(days=9), days=8)
    for report, name, said in (
        (judged(OWN, key=other.key_pem()), "client_certificate", "the private key is another one"),
        (judged(OWN, key=encrypted), "client_certificate", "the private key is encrypted"),
        (judged(OWN, key="s3cret"), "client_certificate", "holds no PEM private key"),
        (judged(OWN, key="s3cret\udcff"), "client_certificate", "holds no PEM private key"),
        (judged(OWN, pem=b"s3cret"), "client_certificate", "no PEM certificate"),
        (
            judged(OWN, pem=OWN.pem() + OWN.key_pem().encode()),
            "client_certificate",
            "a private key",
        ),
        (
            judged(issued(name="CP-0002")),
            "client_certificate",
            "neither the identity 'CP-0001' nor",
        ),
        (judged(OWN, pem=OWN.pem() + other.pem()), "client_certificate", "was not issued by"),
        (
            judged(OWN, pem=OWN.pem() + AUTHORITY.root.pem() * 8),
            "client_certificate",
            "room for 3999",
        ),
        (judged(expired), "client_certificate", "expired on 2029-12-31"),
        (read_client_certificate(OWN.pem(), None, UNIT, NOW), "client_key", "missing"),
    ):
        assert report.client is None
        assert report.problems[0][0] == name
        assert said in rules(report)
        assert "s3cret" not in rules(report)
        for line in [*OWN.key_pem().splitlines()[1:-1], *other.key_pem().splitlines()[1:-1]]:
            assert line not in rules(report)


def test_a_chain_that_ends_soon_is_warned_of() -> None:
    report = judged(issued(days=80))
    assert report.client is not None
    assert [rule for _, rule in report.warnings] == [
        "expires on 2030-03-22",
        "no organisation (O) in its subject",
    ]


@pytest.mark.parametrize("kind", ["P-256", "RSA-2048"])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_key_becomes_the_one_that_the_unit_reads(
    kind: str, form: PrivateFormat
) -> None:
    own = issued(kind)
    report = judged(own, key="# the unit's\n" + own.key_pem(form))
    assert report.client is not None, rules(report)
    assert report.client.key.reveal() == own.key_pem()
    assert report.client.key.reveal().startswith("-----BEGIN PRIVATE KEY-----\n")
    assert key_fingerprint(own.key_pem(form)) == key_fingerprint(own.key_pem())


def test_what_stands_around_the_certificates_is_left_out() -> None:
    report = judged(OWN, pem=b"# ours\r\n" + OWN.pem() + b"\nand its root\n" + AUTHORITY.root.pem())
    assert report.client is not None
    assert report.client.pem.encode() == OWN.pem() + AUTHORITY.root.pem()


def test_fingerprints_tell_keys_apart_and_survive_what_is_none() -> None:
    assert key_fingerprint(OWN.key_pem()) != key_fingerprint(issued("P-384").key_pem())
    broken = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"
    assert key_fingerprint(broken) != key_fingerprint(broken.replace("AAAA", "AAAB"))


def test_what_is_no_key_has_no_other_form() -> None:
    assert as_pkcs8(Secret("s3cret")) is None


def identity(own: Issued, profile: int = 3) -> Identity:
    return check_identity(
        IdentityInput(
            UNIT, "bench", Secret("correct horse battery"), "wss://host/ocpp",
            Secret("kEy-for-tests-0001zZ"), profile, AUTHORITY.root.pem(), own.pem(),
            Secret(own.key_pem()),
        ),
        now=NOW,
    )  # fmt: skip


LIMITS = Limits(56_000, 85_500, 300_000, 85_400, 100_000)
CAN = Can(250_000, 2, "charged_minus_discharged", 30_000, "1/10", "deci")
EVCFG = Partition("evcfg", 1, 2, 0x390000, 0x6000)


def test_the_image_holds_the_pair() -> None:
    found = identity(OWN)
    image = parse_image(evcfg_image(evcfg_entries(found, CAN, LIMITS), EVCFG))
    assert image.get("evcfg", "sec_profile") == 3
    assert image.get("evcfg", "client_cert") == OWN.pem().decode()
    assert image.get("evcfg", "client_key") == OWN.key_pem()
    assert image.get("evcfg", "schema") == 1
    fields = found.certificate_fields()
    assert fields["certificate_not_after"] == "2031-01-01T00:00:00+00:00"
    assert len(str(fields["certificate_sha256"])) == 64
    assert found.secrets()["client_key"] == OWN.key_pem()
    assert OWN.key_pem().splitlines()[1] not in repr(found)


def test_the_largest_of_all_fit_into_the_partition() -> None:
    found = identity(OWN)
    assert found.client is not None
    assert found.ca_certificate is not None
    large = dataclasses.replace(
        found,
        ca_certificate=dataclasses.replace(found.ca_certificate, pem="A" * 3999),
        client=dataclasses.replace(found.client, pem="B" * 3999, key=Secret("C" * 3999)),
    )
    image = parse_image(evcfg_image(evcfg_entries(large, CAN, LIMITS), EVCFG))
    assert image.problems == ()
    assert image.get("evcfg", "client_key") == "C" * 3999


def test_a_profile_without_it_gives_the_unit_none() -> None:
    with pytest.raises(ConfigError, match="client_key: goes with security_profile 3; this is 2"):
        identity(OWN, profile=2)
