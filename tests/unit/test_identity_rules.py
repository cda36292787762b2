# SPDX-License-Identifier: GPL-3.0-or-later
"""Every rule of an identity: the sentence that names the key, and no secret in it."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from evtool.errors import ConfigError
from evtool.project import Can, ChargePoint, Limits, Secret
from evtool.protocol.nvs import parse_image
from evtool.protocol.partition_table import Partition
from evtool.provision.evcfg import evcfg_entries, evcfg_image, find_evcfg
from evtool.provision.identity import IdentityInput, check_identity

NOW = datetime(2030, 1, 1, tzinfo=UTC)
KEY = "kEy-for-tests-0001zZ"
PASSPHRASE = "correct horse battery"
UNIT = ChargePoint("CP-0001", "Example", "EV-CAN-1", "SN-0001", "LOCAL")
GOOD = IdentityInput(
    UNIT, "bench", Secret(PASSPHRASE), "ws://host:9000/ocpp/", Secret(KEY), 1, None
)
CAN = Can(250_000, 2, "charged_minus_discharged", 30_000, "1/10", "deci")
LIMITS = Limits(56_000, 85_500, 300_000, 85_400, 100_000)
EVCFG = Partition("evcfg", 1, 2, 0x390000, 0x6000)


def certificate(
    days: int = 365, *, since: int = -1, authority: bool = True, bits: int | None = None
) -> bytes:
    """A self-signed certificate that ends `days` after NOW; `bits` for RSA."""
    key = (
        ec.generate_private_key(ec.SECP256R1())
        if bits is None
        else rsa.generate_private_key(65537, bits)
    )
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test root")])
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW + timedelta(days=min(since, days - 1)))
        .not_valid_after(NOW + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .sign(key, SHA256())
        .public_bytes(Encoding.PEM)
    )


def with_unit(**changes: str) -> IdentityInput:
    return dataclasses.replace(GOOD, charge_point=dataclasses.replace(UNIT, **changes))


def tls(ca: bytes | None) -> IdentityInput:
    return dataclasses.replace(
        GOOD, csms_url="wss://host/ocpp", security_profile=2, ca_certificate=ca
    )


def test_a_good_identity_is_made_ready() -> None:
    identity = check_identity(GOOD, now=NOW)
    assert identity.csms_url == "ws://host:9000/ocpp"
    assert identity.full_url == "ws://host:9000/ocpp/CP-0001"
    assert identity.authorization_key.reveal() == KEY.encode().hex()
    assert identity.warnings == ()


@pytest.mark.parametrize("length", [1, 25, 48])
def test_identities_of_these_lengths_are_good(length: int) -> None:
    check_identity(with_unit(identity="x" * length), now=NOW)


BAD = [
    (with_unit(identity=""), "identity: '' must be 1 to 48 characters"),
    (with_unit(identity="x" * 49), "(49 characters) must be 1 to 48"),
    (with_unit(identity="-"), "identity: '-' must be"),
    (with_unit(identity=".."), "identity: '..' must be"),
    (with_unit(identity="A B"), "identity: 'A B' must be"),
    (with_unit(identity="A:B"), "identity: 'A:B' must be"),
    (with_unit(identity="A/B"), "identity: 'A/B' must be"),
    (with_unit(identity="CP-0001\n"), "identity: 'CP-0001\\n' must be"),
    (with_unit(identity="Säule"), "identity: 'S\\xe4ule' must be"),
    (with_unit(vendor="x" * 21), "vendor: 'xxxxxxxxxxxxxxxxxxxxx' must be 1 to 20"),
    (with_unit(vendor=""), "vendor: '' must be 1 to 20"),
    (with_unit(model="é"), "model: '\\xe9' must be 1 to 20 printable ASCII"),
    (with_unit(serial_number="x" * 26), "must be 1 to 25 printable ASCII characters"),
    (with_unit(local_id_tag="x" * 21), "local_id_tag: 'xxxxxxxxxxxxxxxxxxxxx' must be 0 to 20"),
    (dataclasses.replace(GOOD, wifi_ssid=""), "[wifi] ssid: is 0 bytes"),
    (dataclasses.replace(GOOD, wifi_ssid="ü" * 17), "[wifi] ssid: is 34 bytes of UTF-8"),
    (dataclasses.replace(GOOD, wifi_passphrase=Secret("s3cret!")), "(7 characters) must be 8"),
    (dataclasses.replace(GOOD, wifi_passphrase=Secret("s3cret!é")), "[wifi] passphrase"),
    (dataclasses.replace(GOOD, wifi_passphrase=Secret("s3cret!g" * 8)), "64 hex digits"),
    (dataclasses.replace(GOOD, authorization_key=Secret("s3cret!")), "16 to 20 printable"),
    (dataclasses.replace(GOOD, authorization_key=Secret("s3cret!" * 3)), "32 to 40 hex digits"),
    (dataclasses.replace(GOOD, authorization_key=Secret("a" * 33)), "authorization_key: (33 "),
    (dataclasses.replace(GOOD, csms_url="http://host"), "[csms] url: must be ws://host"),
    (dataclasses.replace(GOOD, csms_url="ws://"), "[csms] url: must be"),
    (dataclasses.replace(GOOD, csms_url="ws://u:pw@host/"), "a user name or password"),
    (dataclasses.replace(GOOD, csms_url="ws://host:70000"), "port of 1 to 65535"),
    (dataclasses.replace(GOOD, csms_url="ws://host/x?y=1"), "must not hold a query"),
    (dataclasses.replace(GOOD, csms_url="ws://host/CP-0001"), "ends in the identity already"),
    (dataclasses.replace(GOOD, csms_url="ws://host/CP-0001/"), "ends in the identity already"),
    (dataclasses.replace(GOOD, security_profile=2), "security_profile 2 needs wss://"),
    (dataclasses.replace(GOOD, security_profile=4), "must be 0, 1, 2 or 3"),
    (dataclasses.replace(GOOD, security_profile=3), "security_profile 3 needs wss://"),
    (dataclasses.replace(GOOD, security_profile=3), "client_certificate: missing; security_pro"),
    (dataclasses.replace(GOOD, security_profile=3), "client_key: missing; security_profile 3 n"),
    (dataclasses.replace(GOOD, client_certificate=b""), "goes with security_profile 3; this is 1"),
    (dataclasses.replace(GOOD, client_key=Secret("s3cret")), "client_key: goes with security_p"),
    (dataclasses.replace(tls(certificate()), security_profile=1), "wss:// url needs security"),
    (tls(None), "ca_certificate: missing; a wss:// url needs"),
    (tls(b"no certificate"), "ca_certificate: is not a PEM certificate"),
    (tls(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), "not a PEM"),
    (tls(certificate(-1)), "expired on 2029-12-31"),
    (tls(certificate(since=2)), "is not valid before 2030-01-03"),
    (tls(certificate(bits=1024)), "RSA needs 2048 bits"),
    (tls(b"".join(certificate() for _ in range(9))), "there is room for 3999"),
]


@pytest.mark.parametrize(("values", "sentence"), BAD, ids=[words for _, words in BAD])
def test_each_bad_value_has_its_sentence(values: IdentityInput, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_identity(values, now=NOW)
    assert sentence in caught.value.message
    assert "s3cret" not in str(caught.value)


def test_a_private_key_in_the_certificates_file_is_refused() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(ConfigError, match="holds a private key"):
        check_identity(tls(certificate() + pem), now=NOW)


def test_all_problems_come_at_once_each_with_its_place() -> None:
    values = dataclasses.replace(
        with_unit(identity="a b", model=""), wifi_passphrase=Secret("s3"), csms_url="x"
    )
    with pytest.raises(ConfigError) as caught:
        check_identity(values, now=NOW, locate=lambda table, key: f"evtool.toml:{len(key)}")
    lines = caught.value.message.splitlines()
    assert [line.split(":", 3)[2].strip() for line in lines] == [
        "[charge_point] identity",
        "[charge_point] model",
        "[wifi] passphrase",
        "[csms] url",
    ]
    assert all(line.startswith("evtool.toml:") for line in lines)


WARNED = [
    (with_unit(identity="x" * 26), "some central systems keep only 25"),
    (dataclasses.replace(GOOD, authorization_key=Secret("ab" * 20)), "not 20 printable"),
    (dataclasses.replace(GOOD, security_profile=0), "sends no password"),
    (dataclasses.replace(GOOD, ca_certificate=certificate()), "not used by a ws:// url"),
    (dataclasses.replace(GOOD, wifi_ssid="depot "), "'depot ' has blanks around it"),
    (dataclasses.replace(GOOD, wifi_ssid="a\x1b[m"), r"'a\x1b[m' has blanks around it, or char"),
    (dataclasses.replace(GOOD, wifi_ssid="de\u200bpot"), "characters that do not print"),
    (tls(certificate(80)), "expires on 2030-03-22"),
    (tls(certificate(authority=False)), "is no certificate authority"),
]


@pytest.mark.parametrize(("values", "words"), WARNED, ids=[words for _, words in WARNED])
def test_what_is_allowed_but_risky_is_said(values: IdentityInput, words: str) -> None:
    assert any(words in warning for warning in check_identity(values, now=NOW).warnings)


def test_the_certificate_is_kept_without_what_stands_around_it() -> None:
    pem = certificate()
    found = check_identity(tls(b"# our root\r\n" + pem + b"trailing"), now=NOW).ca_certificate
    assert found is not None
    assert found.pem.encode() == pem
    assert found.not_after == NOW + timedelta(days=365)
    assert len(found.fingerprint) == 64


@given(st.text(), st.text(), st.text(), st.binary(), st.integers())
def test_nothing_but_a_config_error_comes_of_any_values(
    identity: str, secret: str, url: str, ca: bytes, profile: int
) -> None:
    unit = ChargePoint(identity, identity, identity, identity, identity)
    values = IdentityInput(unit, identity, Secret(secret), url, Secret(secret), profile, ca)
    with pytest.raises(ConfigError):
        check_identity(values, now=NOW)


def test_the_image_holds_what_the_firmware_reads() -> None:
    identity = check_identity(tls(certificate()), now=NOW)
    image = parse_image(evcfg_image(evcfg_entries(identity, CAN, LIMITS), EVCFG))
    assert image.problems == ()
    values = {entry.key: entry.value for entry in image.entries}
    assert {entry.namespace for entry in image.entries} == {"evcfg"}
    assert identity.ca_certificate is not None
    assert values == {
        "schema": 1,
        "cp_id": "CP-0001",
        "vendor": "Example",
        "model": "EV-CAN-1",
        "serial": "SN-0001",
        "csms_url": "wss://host/ocpp",
        "auth_key": KEY.encode().hex(),
        "sec_profile": 2,
        "wifi_ssid": "bench",
        "wifi_pass": PASSPHRASE,
        "ca_cert": identity.ca_certificate.pem,
        "id_tag": "LOCAL",
        "can_buses": 2,
        "cap_source": 1,
        "i_scale": 1,
        "t_scale": 1,
        "battery_mah": 30_000,
        "req_min_mv": 56_000,
        "req_max_mv": 85_500,
        "req_max_ma": 300_000,
        "max_mv": 85_400,
        "max_ma": 100_000,
    }


def test_a_table_without_a_place_for_it_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"has no partition 'evcfg' \(it has: nvs\)"):
        find_evcfg((Partition("nvs", 1, 2, 0x9000, 0x5000),), "the board")
    with pytest.raises(ConfigError, match="is data/spiffs, not data/nvs"):
        find_evcfg((Partition("evcfg", 1, 0x82, 0x9000, 0x5000),), "the board")


def test_a_partition_that_is_too_small_is_refused() -> None:
    entries = evcfg_entries(check_identity(GOOD, now=NOW), CAN, LIMITS)
    with pytest.raises(ConfigError, match=r"partition 'evcfg' \(4096 bytes"):
        evcfg_image(entries, dataclasses.replace(EVCFG, size=0x1000))
