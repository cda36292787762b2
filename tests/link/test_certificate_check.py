# SPDX-License-Identifier: GPL-3.0-or-later
"""A central system with the wrong certificate hears nothing from us: a real mbedTLS handshake.

The firmware's own check of dates, on the mbedTLS 2.28 that Arduino-ESP32 2.0.x has too, against
Python's TLS server on the loopback. Debian: apt-get install libmbedtls-dev. What is not run here is
WiFiClientSecure; its settings are repeated in handshake_main.cpp.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from certificates import Authority, Issued, Key
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import PrivateFormat
from once import Once

from evtool.project import ChargePoint, Secret
from evtool.provision.client_certificate import read_client_certificate
from evtool.resources import firmware_dir

FIRMWARE = firmware_dir()
EXPIRED, FUTURE, WRONG_HOST, UNTRUSTED = 0x01, 0x0200, 0x04, 0x08
# Debian's mbedTLS looks at this computer's clock as well, so the certificates are valid by it, and
# the time that the firmware takes it to be is what moves.
BEGIN = datetime.now(UTC).replace(microsecond=0) - timedelta(days=10)
HOST = "csms.example"


@pytest.fixture(scope="module")
def program(once: Once) -> Path:
    gxx = shutil.which("g++")
    if gxx is None or not Path("/usr/include/mbedtls/ssl.h").exists():
        pytest.skip("needs g++ and mbedTLS (Debian: apt-get install g++ libmbedtls-dev)")
    return once("handshake", lambda folder: _build(gxx, folder)) / "program"


def _build(gxx: str, folder: Path) -> None:
    sources = [
        Path(__file__).with_name("handshake_main.cpp"),
        FIRMWARE / "src" / "chain_dates.cpp",
        FIRMWARE / "lib" / "evnet" / "src" / "known_time.cpp",
    ]
    includes = [f"-I{FIRMWARE / 'src'}", f"-I{FIRMWARE / 'lib' / 'evnet' / 'include'}"]
    libraries = ["-lmbedtls", "-lmbedx509", "-lmbedcrypto"]
    command = [gxx, "-std=c++17", *includes, *map(str, sources), *libraries]
    subprocess.run([*command, "-o", folder / "program"], check=True, timeout=110)


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority(BEGIN, days=100)


def _common_name(tls: ssl.SSLSocket) -> bytes:
    shown = x509.load_der_x509_certificate(tls.getpeercert(binary_form=True) or b"")
    return shown.subject.rfc4514_string().removeprefix("CN=").encode()


def _serve(listener: socket.socket, context: ssl.SSLContext, heard: bytearray) -> None:
    plain, _ = listener.accept()
    plain.settimeout(30)
    tls = context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False)
    try:
        tls.do_handshake()
        heard.extend(tls.recv(100))
        if context.verify_mode == ssl.CERT_REQUIRED:
            heard.extend(_common_name(tls))
    except (ssl.SSLError, OSError):
        # To the end: a socket that is closed on unread bytes takes its own alert back.
        with socket.socket(fileno=tls.detach()) as rest, contextlib.suppress(OSError):
            rest.settimeout(30)
            rest.shutdown(socket.SHUT_WR)
            while rest.recv(4096):
                pass
    else:
        tls.close()


def shake(  # noqa: PLR0913 - each is of one handshake
    program: Path,
    folder: Path,
    shown: Issued,
    trusted: Issued,
    now: datetime,
    *,
    told: bool,
    clients: Issued | None = None,
    own: tuple[Path, Path] | None = None,
) -> tuple[str, int, int, bytes]:
    """Outcome, mbedTLS's flags, end of the first certificate, and what the server got to read.

    Args:
        clients: the server insists on a certificate of this authority.
        own: files with the chain and the key that the client shows.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(shown.write(folder / "server.pem"))
    if clients is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=clients.pem().decode())
    ca = folder / "ca.pem"
    ca.write_bytes(trusted.pem())
    heard = bytearray()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(30)

        server = threading.Thread(target=_serve, args=(listener, context, heard))
        server.start()
        port = str(listener.getsockname()[1])
        arguments = [port, HOST, str(ca), str(int(now.timestamp())), str(int(told))]
        arguments += map(str, own or ())
        done = subprocess.run(
            [program, *arguments], check=True, capture_output=True, text=True, timeout=60
        )
        server.join(timeout=60)
    outcome, flags, ends, dates = done.stdout.split()
    verdicts = {EXPIRED: "expired", FUTURE: "not_yet_valid"}
    assert dates == f"dates={verdicts.get(int(flags.split('=')[1], 16), 'valid')}"
    return outcome, int(flags.split("=")[1], 16), int(ends.split("=")[1]), bytes(heard)


def test_the_right_certificate_gets_the_credentials(
    program: Path, tmp_path: Path, authority: Authority
) -> None:
    leaf = authority.issue(HOST, BEGIN, days=50)
    outcome = shake(program, tmp_path, leaf, authority.root, BEGIN, told=True)
    ends = int((BEGIN + timedelta(days=50)).timestamp())
    assert outcome == ("open", 0, ends, b"credentials")


@pytest.mark.parametrize(
    ("leaf_days", "now_day", "told", "flags"),
    [
        pytest.param(50, 50.001, True, EXPIRED, id="expired"),
        pytest.param(50, 50.001, False, EXPIRED, id="expired-before-the-earliest-time-it-can-be"),
        pytest.param(200, 100.001, True, EXPIRED, id="root-expired"),
        pytest.param(50, -0.001, True, FUTURE, id="not-yet-valid"),
    ],
)
def test_a_date_that_is_wrong_gets_nothing(
    program: Path,
    tmp_path: Path,
    authority: Authority,
    leaf_days: int,
    now_day: float,
    told: bool,
    flags: int,
) -> None:
    leaf = authority.issue(HOST, BEGIN, days=leaf_days)
    now = BEGIN + timedelta(days=now_day)
    outcome, found, _, heard = shake(program, tmp_path, leaf, authority.root, now, told=told)
    assert (outcome, found, heard) == ("refused", flags, b"")


def test_not_yet_valid_passes_where_nobody_told_the_time(
    program: Path, tmp_path: Path, authority: Authority
) -> None:
    leaf = authority.issue(HOST, BEGIN, days=50)
    now = BEGIN - timedelta(days=400)
    outcome, flags, _, _ = shake(program, tmp_path, leaf, authority.root, now, told=False)
    assert (outcome, flags) == ("open", 0)


def test_another_authority_gets_nothing(
    program: Path, tmp_path: Path, authority: Authority
) -> None:
    leaf = Authority(BEGIN, days=100, name="Another root").issue(HOST, BEGIN, days=50)
    outcome, flags, _, heard = shake(program, tmp_path, leaf, authority.root, BEGIN, told=True)
    assert (outcome, flags & UNTRUSTED, heard) == ("refused", UNTRUSTED, b"")


def test_another_authority_of_the_same_name_gets_nothing(
    program: Path, tmp_path: Path, authority: Authority
) -> None:
    leaf = Authority(BEGIN, days=100).issue(HOST, BEGIN, days=50)
    outcome, flags, _, heard = shake(program, tmp_path, leaf, authority.root, BEGIN, told=True)
    assert (outcome, flags & UNTRUSTED, heard) == ("refused", UNTRUSTED, b"")


@pytest.mark.parametrize("host", ["other.example", "csms.example.org", "x.csms.example"])
def test_another_host_gets_nothing(
    program: Path, tmp_path: Path, authority: Authority, host: str
) -> None:
    leaf = authority.issue(host, BEGIN, days=50)
    outcome, flags, _, heard = shake(program, tmp_path, leaf, authority.root, BEGIN, told=True)
    assert (outcome, flags, heard) == ("refused", WRONG_HOST, b"")


KEYS: dict[str, Callable[[], Key]] = {
    "P-256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "P-384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "P-521": lambda: ec.generate_private_key(ec.SECP521R1()),
    "RSA-2048": lambda: rsa.generate_private_key(65537, 2048),
}
UNIT = ChargePoint("CP-0001", "Example", "EV-CAN-1", "SN-0001", "")


def given_to_a_unit(folder: Path, own: Issued, form: PrivateFormat) -> tuple[Path, Path]:
    """The files of chain and key as provisioning writes the two texts into the flash."""
    report = read_client_certificate(own.pem(), Secret(own.key_pem(form)), UNIT, BEGIN)
    assert report.client is not None, report.problems
    chain, key = folder / "own.pem", folder / "own.key"
    chain.write_text(report.client.pem)
    key.write_text(report.client.key.reveal())
    return chain, key


@pytest.mark.parametrize("kind", KEYS)
@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
def test_what_provisioning_writes_is_shown_to_a_server_that_insists(
    program: Path, tmp_path: Path, authority: Authority, kind: str, form: PrivateFormat
) -> None:
    leaf = authority.issue(HOST, BEGIN, days=50)
    operator = Authority(BEGIN, days=100, name="Operator")
    own = operator.issue("CP-0001", BEGIN, days=50, key=KEYS[kind]())
    outcome, flags, _, heard = shake(
        program, tmp_path, leaf, authority.root, BEGIN, told=True,
        clients=operator.root, own=given_to_a_unit(tmp_path, own, form),
    )  # fmt: skip
    assert (outcome, flags, heard) == ("open", 0, b"credentialsCP-0001")


def test_a_server_that_does_not_take_ours_says_so_by_an_alert(
    program: Path, tmp_path: Path, authority: Authority
) -> None:
    leaf = authority.issue(HOST, BEGIN, days=50)
    operator, other = (Authority(BEGIN, days=100, name=name) for name in ("Operator", "Other"))
    own = given_to_a_unit(tmp_path, other.issue("CP-0001", BEGIN, days=50), PrivateFormat.PKCS8)
    for pair in (None, own):
        outcome, flags, _, heard = shake(
            program, tmp_path, leaf, authority.root, BEGIN, told=True,
            clients=operator.root, own=pair,
        )  # fmt: skip
        assert (outcome, flags, heard) == ("alert", 0, b"")


def test_ours_is_shown_to_no_server_of_another_authority(
    program: Path, tmp_path: Path, authority: Authority
) -> None:
    leaf = Authority(BEGIN, days=100, name="Another root").issue(HOST, BEGIN, days=50)
    operator = Authority(BEGIN, days=100, name="Operator")
    own = operator.issue("CP-0001", BEGIN, days=50)
    outcome, flags, _, heard = shake(
        program, tmp_path, leaf, authority.root, BEGIN, told=True,
        clients=operator.root, own=given_to_a_unit(tmp_path, own, PrivateFormat.PKCS8),
    )  # fmt: skip
    assert (outcome, flags & UNTRUSTED, heard) == ("refused", UNTRUSTED, b"")
