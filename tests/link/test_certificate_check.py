# SPDX-License-Identifier: GPL-3.0-or-later
"""A central system with the wrong certificate hears nothing from us: a real mbedTLS handshake.

The firmware's own check of dates, on the mbedTLS 2.28 that Arduino-ESP32 2.0.x has too, against
Python's TLS server on the loopback. Debian: apt-get install libmbedtls-dev. What is not run here is
WiFiClientSecure; its settings are repeated in handshake_main.cpp.
"""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from certificates import Authority, Issued
from once import Once

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


def shake(
    program: Path, folder: Path, shown: Issued, trusted: Issued, now: datetime, *, told: bool
) -> tuple[str, int, int, bytes]:
    """Outcome, mbedTLS's flags, end of the first certificate, and what the server got to read."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(shown.write(folder / "server.pem"))
    ca = folder / "ca.pem"
    ca.write_bytes(trusted.pem())
    heard = bytearray()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(30)

        def serve() -> None:
            plain, _ = listener.accept()
            plain.settimeout(30)
            try:
                with context.wrap_socket(plain, server_side=True) as tls:
                    heard.extend(tls.recv(100))
            except (ssl.SSLError, OSError):
                plain.close()

        server = threading.Thread(target=serve)
        server.start()
        port = str(listener.getsockname()[1])
        arguments = [port, HOST, str(ca), str(int(now.timestamp())), str(int(told))]
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
