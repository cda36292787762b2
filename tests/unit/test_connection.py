# SPDX-License-Identifier: GPL-3.0-or-later
"""A connection judged without a network: URL, identity, key, profile, certificates."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from certificates import Authority
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evtool.project import Secret
from evtool.protocol.connect_step import ConnectStep
from evtool.provision.connect_meaning import meaning_of
from evtool.provision.connection import Connection, ConnectionInput, judge_connection

# A busy machine is no fault.
SLOWLY = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

NOW = datetime(2026, 6, 1, tzinfo=UTC)
KEY = b"Zbcdefghijklmnopqrst".hex()
AUTHORITY = Authority(NOW - timedelta(days=10), days=1000)
OTHER = Authority(NOW - timedelta(days=10), days=1000)  # the same name, another key
STRANGER = Authority(NOW - timedelta(days=10), days=1000, name="Stranger")
SERVER = AUTHORITY.issue("csms.example.com", NOW - timedelta(days=1), days=400)
CLIENT = AUTHORITY.issue("CP-0001", NOW - timedelta(days=1), days=400)
PLAIN = ConnectionInput("CP-0001", "ws://csms.example.com/ocpp", Secret(KEY), 1)
SECURE = replace(PLAIN, url="wss://csms.example.com/ocpp", profile=2, ca=AUTHORITY.root.pem())
CLIENT_KEY = CLIENT.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
MUTUAL = replace(
    SECURE, profile=3, client_certificate=CLIENT.pem(), client_key=CLIENT_KEY, key=None
)


def judge(values: ConnectionInput, **changes: object) -> Connection:
    return judge_connection(replace(values, **changes), NOW)  # type: ignore[arg-type]


def problems(values: ConnectionInput, **changes: object) -> str:
    return "\n".join(judge(values, **changes).remarks.problems)


def warnings(values: ConnectionInput, **changes: object) -> str:
    return "\n".join(judge(values, **changes).remarks.warnings)


@pytest.mark.parametrize("values", [PLAIN, SECURE, MUTUAL])
def test_what_is_well_has_no_problem(values: ConnectionInput) -> None:
    assert not problems(values)


@pytest.mark.parametrize(
    ("identity", "url", "exact"),
    [
        ("RDAM 123", "wss://h/ocppj", "wss://h/ocppj/RDAM%20123"),
        ("CP-1", "wss://h/ocppj/", "wss://h/ocppj/CP-1"),
        ("CP-1", "wss://h/ocppj/CP-1", "wss://h/ocppj/CP-1"),
        ("CP-1", "ws://h:9000", "ws://h:9000/CP-1"),
        ("a/b", "ws://h", "ws://h/a%2Fb"),
        ("ü", "ws://h", "ws://h/%C3%BC"),
    ],
)
def test_the_identity_stands_once_and_encoded(identity: str, url: str, exact: str) -> None:
    assert judge(PLAIN, identity=identity, url=url).url == exact


def test_the_header_is_that_of_the_bytes_in_either_form() -> None:
    typed = judge(PLAIN, key=Secret(bytes.fromhex(KEY).decode()))
    hexed = judge(PLAIN)
    assert typed.authorization is not None
    assert hexed.authorization is not None
    assert typed.authorization.reveal() == hexed.authorization.reveal()
    assert list(typed.key_readings) == ["as given", "as hex digits"]
    assert list(hexed.key_readings) == ["as given"]
    assert "28 bytes" not in hexed.authorization_form
    assert "20 bytes of key" in hexed.authorization_form


@pytest.mark.parametrize("profile", [0, 3])
def test_profiles_without_a_password_send_no_header(profile: int) -> None:
    assert judge(PLAIN, profile=profile).authorization is None


def test_disagreement_is_a_warning_with_the_stack_named() -> None:
    told = warnings(PLAIN, key=Secret("00" * 20))
    assert "EVerest" in told
    assert "MicroOcpp" not in told
    assert not problems(PLAIN, key=Secret("00" * 20))


@pytest.mark.parametrize(
    ("values", "changes", "words"),
    [
        (PLAIN, {"identity": ""}, "not empty"),
        (PLAIN, {"identity": "a:b"}, "colon"),
        (PLAIN, {"identity": "x" * 49}, "at most 48"),
        (PLAIN, {"identity": ".."}, "vanish"),
        (PLAIN, {"url": "http://h"}, "must be ws://"),
        (PLAIN, {"url": "ws://h/x?y=1"}, "query"),
        (PLAIN, {"url": "wss://h/x"}, "profile 2 or 3"),
        (PLAIN, {"key": None}, "needs one"),
        (PLAIN, {"key": Secret("short")}, "16 to 20"),
        (SECURE, {"url": "ws://h/x"}, "needs wss://"),
        (SECURE, {"ca": None}, "needs the root"),
        (SECURE, {"ca": b"nonsense"}, "no PEM certificate"),
        (SECURE, {"ca": AUTHORITY.root.pem() + CLIENT_KEY}, "must stay at the CA"),
        (SECURE, {"ca": SERVER.pem()}, "is no authority"),
        (SECURE, {"server": STRANGER.issue("csms.example.com", NOW, days=9).pem()}, "not in"),
        (SECURE, {"server": OTHER.issue("csms.example.com", NOW, days=9).pem()}, "another key"),
        (
            SECURE,
            {"server": AUTHORITY.issue("csms.example.com", NOW - timedelta(9), days=8).pem()},
            "expired on",
        ),
        (
            SECURE,
            {"server": AUTHORITY.issue("csms.example.com", NOW + timedelta(9), days=8).pem()},
            "not valid before",
        ),
        (
            SECURE,
            {"server": AUTHORITY.issue("other.example.com", NOW, days=400).pem()},
            "not for csms.example.com, but for other.example.com",
        ),
        (MUTUAL, {"client_certificate": None}, "needs one"),
        (MUTUAL, {"client_key": b"nonsense"}, "no PEM private key"),
        (MUTUAL, {"client_certificate": SERVER.pem()}, "another one's"),
        (
            MUTUAL,
            {
                "client_key": CLIENT.key.private_bytes(
                    Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")
                )
            },
            "encrypted",
        ),
    ],
)  # fmt: skip
def test_each_problem_is_named(
    values: ConnectionInput, changes: dict[str, object], words: str
) -> None:
    assert words in problems(values, **changes)


@pytest.mark.parametrize(
    ("pattern", "host", "covered"),
    [
        ("*.example.com", "csms.example.com", True),
        ("*.example.com", "a.csms.example.com", False),
        ("*.example.com", "example.com", False),
        ("CSMS.Example.com", "csms.example.com", True),
        ("c*.example.com", "csms.example.com", False),
        ("*.com", "example.com", False),
    ],
)
def test_wildcards(pattern: str, host: str, covered: bool) -> None:
    shown = AUTHORITY.issue(pattern, NOW, days=400).pem()
    told = problems(SECURE, url=f"wss://{host}/x", server=shown)
    assert ("not for" not in told) is covered


def test_a_chain_whose_intermediate_is_sent_is_trusted() -> None:
    found = judge(SECURE, server=SERVER.pem())
    assert any("trusted: csms.example.com < Test root" in each for each in found.remarks.facts)


def pem_of(der: bytes) -> bytes:
    body = base64.encodebytes(der)
    return b"-----BEGIN CERTIFICATE-----\n" + body + b"-----END CERTIFICATE-----\n"


def test_a_key_of_an_unknown_curve_is_a_problem() -> None:
    der = SERVER.certificate.public_bytes(Encoding.DER)
    curve = bytes.fromhex("06082a8648ce3d030107")
    assert der.count(curve) == 1
    broken = pem_of(der.replace(curve, curve[:-1] + b"\x63"))
    told = problems(SECURE, server=broken)
    assert "server certificate: a certificate that cannot be read" in told
    assert "cannot be read" in problems(MUTUAL, client_certificate=broken)


def test_a_certificate_of_an_unknown_version_is_a_problem() -> None:
    der = SERVER.certificate.public_bytes(Encoding.DER)
    version = bytes.fromhex("a003020102")
    broken = pem_of(der.replace(version, version[:-1] + b"\x20", 1))
    assert "server certificate: no PEM certificate" in problems(SECURE, server=broken)


@SLOWLY
@given(st.data())
def test_no_certificate_breaks_it(data: st.DataObject) -> None:
    der = bytearray(
        (SERVER if data.draw(st.booleans()) else AUTHORITY.root).certificate.public_bytes(
            Encoding.DER
        )
    )
    for _ in range(data.draw(st.integers(1, 3))):
        der[data.draw(st.integers(0, len(der) - 1))] = data.draw(st.integers(0, 255))
    broken = pem_of(bytes(der))
    judge(SECURE, server=broken)
    judge(MUTUAL, client_certificate=broken, ca=broken)


def test_a_root_that_expires_soon_is_a_warning() -> None:
    soon = Authority(NOW - timedelta(days=10), days=40)
    assert "expires on" in warnings(SECURE, ca=soon.root.pem())


def test_nothing_that_is_told_holds_the_key() -> None:
    for key in (KEY, bytes.fromhex(KEY).decode(), "00" * 20, "short"):
        found = judge(PLAIN, key=Secret(key))
        assert key not in str(found)
        assert key not in repr(found)


def test_every_failure_has_a_meaning_and_a_fix() -> None:
    steps = [
        ConnectStep("dns", "no_such_host"), ConnectStep("tcp", "refused"),
        ConnectStep("tls", "unknown_authority"), ConnectStep("tls", "wrong_host"),
        ConnectStep("subprotocol", "missing"),
        *[ConnectStep("http", "status", status=n) for n in (200, 302, 400, 401, 404, 418, 503)],
    ]  # fmt: skip
    meanings = [meaning_of(step) for step in steps]
    assert all(meaning and fix for meaning, fix in meanings)
    assert len({meaning for meaning, _ in meanings}) == len(steps)
