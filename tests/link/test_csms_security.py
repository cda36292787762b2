# SPDX-License-Identifier: GPL-3.0-or-later
"""Security profiles 1 to 3 over real TLS on loopback, and what changes them."""

from __future__ import annotations

import asyncio
import json
import ssl
import subprocess
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from csms_rig import BOOT, KEY, Central, Peer, basic, station, until
from websockets.exceptions import InvalidMessage, InvalidStatus

from evtool.cli.csms_files import Lab
from evtool.errors import ConfigError, DeviceError
from evtool.link.clock import unix_ms
from evtool.link.tls import server_tls
from evtool.link.workspace import Workspace
from evtool.virtual.csms import Account
from evtool.virtual.csms.certificates import days_left


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    made = Lab(tmp_path_factory.mktemp("lab") / "ca", "Operator")
    made.issue_client("CP", "SN-1")
    return made


def server(lab: Lab) -> ssl.SSLContext:
    return server_tls(lab.server, lab.server_key, lab.ca, insist=False)


def client(lab: Lab, certificate: Path | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=lab.ca)
    if certificate is not None:
        context.load_cert_chain(certificate, certificate.with_suffix(".key"))
    return context


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(main())


async def status_of(url: str, header: str | None, tls: ssl.SSLContext | None = None) -> int:
    """The HTTP status that a connection is refused with: 101 where it is not,
    0 where TLS already fails."""
    try:
        async with station(url, header, tls):
            return 101
    except InvalidStatus as error:
        return error.response.status_code
    except (InvalidMessage, OSError, EOFError):
        return 0


def test_private_files_are_private(lab: Lab) -> None:
    keys = list(lab.folder.rglob("*.key"))
    assert len(keys) == 3
    assert all(key.stat().st_mode & 0o077 == 0 for key in keys)
    again = Lab(lab.folder, "Operator")
    assert again.authority.certificate_pem == lab.authority.certificate_pem


def test_processes_that_share_a_folder_wait_for_each_other(tmp_path: Path) -> None:
    script = "import sys; from pathlib import Path; from evtool.cli.csms_files import Lab;"
    script += "print('now', flush=True); Lab(Path(sys.argv[1]), None)"
    argv = [sys.executable, "-c", script, str(tmp_path)]
    with Workspace(lambda: None).lock(tmp_path / ".lock"):
        other = subprocess.Popen(argv, stdout=subprocess.PIPE)
        assert other.stdout is not None
        assert other.stdout.readline() == b"now\n"
        with pytest.raises(subprocess.TimeoutExpired):
            other.wait(0.5)
        assert not list(tmp_path.glob("*.*m"))
    other.communicate(timeout=60)
    assert other.returncode == 0
    assert (tmp_path / "server.pem").exists()


def test_an_authority_whose_key_is_elsewhere_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("a certificate that is precious")
    with pytest.raises(ConfigError, match="without its key"):
        Lab(tmp_path, None)
    assert (tmp_path / "ca.pem").read_text() == "a certificate that is precious"


def test_what_has_run_out_is_made_anew(tmp_path: Path) -> None:
    folder = tmp_path / "lab"
    made = Lab(folder, None)
    root, good = made.ca.read_bytes(), made.server.read_bytes()
    assert Lab(folder, None).server.read_bytes() == good
    long_ago = made.authority.issue_server(("localhost",), 1_000_000_000_000)
    made.server.write_bytes(long_ago.certificate)
    again = Lab(folder, None)
    assert days_left(again.server.read_bytes(), unix_ms()) > 300
    assert again.ca.read_bytes() == root
    made.server.write_bytes(b"nonsense")
    assert days_left(Lab(folder, None).server.read_bytes(), unix_ms()) > 300


def test_what_does_not_fit_is_made_anew(tmp_path: Path) -> None:
    folder = tmp_path / "lab"
    made = Lab(folder, None, ("lab.local",))
    made.issue_client("CP", "CP")
    client = folder / "clients" / "CP.pem"
    server_, client_ = made.server.read_bytes(), client.read_bytes()
    Lab(folder, None).issue_client("CP", "CP")
    assert (made.server.read_bytes(), client.read_bytes()) == (server_, client_)
    more = Lab(folder, None, ("lab.local", "10.0.0.7"))
    named = more.server.read_bytes()
    assert named != server_, "another name"
    client.with_suffix(".key").write_bytes(more.server_key.read_bytes())
    more.issue_client("CP", "CP")
    assert client.read_bytes() != client_, "the key of another"
    client_ = client.read_bytes()
    made.ca.unlink()
    Lab(folder, None).issue_client("CP", "CP")
    assert made.server.read_bytes() != named, "another authority"
    assert client.read_bytes() != client_
    context = ssl.create_default_context(cafile=made.ca)
    context.load_cert_chain(client, client.with_suffix(".key"))


def test_profile_2_needs_tls_and_the_key(lab: Lab) -> None:
    async def main() -> None:
        central = Central({"CP": Account("CP", KEY, profile=2)})
        async with central.listening(server(lab)):
            tls, header = client(lab), basic("CP", KEY)
            assert await status_of(central.url(), header, tls) == 101
            assert await status_of(central.url(), None, tls) == 401
            assert await status_of(central.url(), basic("CP", b"x" * 16), tls) == 401
            assert await status_of(central.url("CP-2"), header, tls) == 404
        async with central.listening():
            assert await status_of(central.url(), header) == 403
        profiles = [event["profile"] for event in central.named("connected")]
        assert profiles == [2]

    run(main)


def test_profile_3_takes_the_stations_certificate_only(lab: Lab, tmp_path: Path) -> None:
    foreign = Lab(tmp_path / "foreign", None)
    foreign.issue_client("CP", "SN-1")
    lab.issue_client("other", "SN-2")

    async def main() -> None:
        accounts = {"CP": Account("CP", KEY, profile=3, serial="SN-1")}
        central = Central(accounts, cpo="Operator")
        async with central.listening(server(lab)):
            own = client(lab, lab.folder / "clients" / "CP.pem")
            assert await status_of(central.url(), None, own) == 101
            other = client(lab, lab.folder / "clients" / "other.pem")
            assert await status_of(central.url(), None, other) == 401
            assert await status_of(central.url(), basic("CP", KEY), client(lab)) == 403
            stranger = client(lab, foreign.folder / "clients" / "CP.pem")
            assert await status_of(central.url(), None, stranger) == 0
        reasons = [str(event["reason"]) for event in central.named("rejected")]
        assert "SN-2" in reasons[0]

    run(main)


def test_old_tls_is_refused(lab: Lab) -> None:
    async def main() -> None:
        old = client(lab)
        old.set_ciphers("DEFAULT:@SECLEVEL=0")
        old.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        old.maximum_version = ssl.TLSVersion.TLSv1_1
        central = Central({"CP": KEY})
        async with central.listening(server(lab)):
            assert await status_of(central.url(), basic("CP", KEY), old) == 0

    with pytest.warns(DeprecationWarning, match="TLS"):
        run(main)


def test_a_certificate_is_renewed(lab: Lab, tmp_path: Path) -> None:
    async def main() -> None:
        accounts = {"CP": Account("CP", KEY, profile=2)}
        central = Central(accounts, authority=lab.authority, cpo="Operator")
        key = ec.generate_private_key(ec.SECP256R1())
        async with central.listening(server(lab)):
            async with station(central.url(), basic("CP", KEY), client(lab)) as peer:
                assert (await peer.call("SignCertificate", {"csr": csr(key, "CP-9")}))[2] == {
                    "status": "Rejected"
                }
                asking = asyncio.create_task(central.control.obey("renew_certificate CP"))
                assert (await peer.order())[3]["requestedMessage"] == "SignChargePointCertificate"
                await asking
                answer = await peer.call("SignCertificate", {"csr": csr(key, "CP")})
                assert answer[2] == {"status": "Accepted"}
                _, _, action, payload = await peer.order()
                assert action == "CertificateSigned"
            certificate = tmp_path / "new.pem"
            certificate.write_text(payload["certificateChain"])
            certificate.with_suffix(".key").write_bytes(
                key.private_bytes(
                    serialization.Encoding.PEM,
                    serialization.PrivateFormat.PKCS8,
                    serialization.NoEncryption(),
                )
            )
            async with station(central.url(), None, client(lab, certificate)):
                await until(lambda: central.named("connected")[-1]["profile"] == 3)
        assert "CP-9" in str(central.named("csr_refused")[0]["reason"])

    run(main)


def csr(key: ec.EllipticCurvePrivateKey, common_name: str) -> str:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    request = x509.CertificateSigningRequestBuilder().subject_name(name)
    return request.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def test_a_changed_key_and_a_raised_profile_are_followed(lab: Lab) -> None:
    new = "A1" * 20

    async def change(central: Central, peer: Peer, key: str, value: str, status: str) -> None:
        peer.answers["ChangeConfiguration"] = {"status": status}
        await central.control.obey(f"set_configuration CP {key} {value}")

    async def main() -> None:
        central = Central({"CP": Account("CP", KEY, profile=1)})
        old_header, new_header = basic("CP", KEY), basic("CP", bytes.fromhex(new))
        async with central.listening():
            async with station(central.url(), old_header) as peer:
                await peer.call("BootNotification", BOOT)
                await change(central, peer, "AuthorizationKey", "B2" * 20, "Rejected")
                assert await status_of(central.url(), basic("CP", b"\xb2" * 20)) == 401
            async with station(central.url(), old_header) as peer:
                await peer.call("BootNotification", BOOT)
                await change(central, peer, "AuthorizationKey", new, "Accepted")
            assert await status_of(central.url(), old_header) == 101, "until the new one came"
            assert await status_of(central.url(), new_header) == 101
            assert await status_of(central.url(), old_header) == 401
            async with station(central.url(), new_header) as peer:
                await peer.call("BootNotification", BOOT)
                await change(central, peer, "SecurityProfile", "2", "Accepted")
            assert await status_of(central.url(), new_header) == 101, "it may not manage"
        async with central.listening(server(lab)):
            assert await status_of(central.url(), new_header, client(lab)) == 101
        async with central.listening():
            assert await status_of(central.url(), new_header) == 403
        assert new not in str(central.events)

    run(main)


def test_keys_that_are_ordered_together_are_followed_one_by_one() -> None:
    first, second = "1" * 40, "2" * 40

    async def main() -> None:
        central = Central({"CP": Account("CP", KEY, profile=1)})
        order = 'call CP ChangeConfiguration {"key": "AuthorizationKey", "value": "%s"}'
        async with central.listening(), station(central.url(), basic("CP", KEY)) as peer:
            peer.answers["ChangeConfiguration"] = None
            orders = [
                asyncio.create_task(central.control.obey(order % key)) for key in (first, second)
            ]
            for key, status in ((first, "Accepted"), (second, "Rejected")):
                asked = await peer.order()
                assert asked[3]["value"] == key
                await peer.connection.send(json.dumps([3, asked[1], {"status": status}]))
            await asyncio.gather(*orders)
            async with station(central.url(), basic("CP", bytes.fromhex(first))) as again:
                assert (await again.call("Heartbeat", {}))[0] == 3
        assert central.csms.accounts["CP"].key == bytes.fromhex(first)

    asyncio.run(main())


def test_a_lost_answer_and_another_key_lock_nobody_out() -> None:
    first, second = "1" * 40, "2" * 40

    async def main() -> None:
        central = Central({"CP": Account("CP", KEY, profile=1)})
        order = 'call CP ChangeConfiguration {"key": "AuthorizationKey", "value": "%s"}'
        async with central.listening():
            async with station(central.url(), basic("CP", KEY)) as peer:
                peer.answers["ChangeConfiguration"] = None
                asking = asyncio.create_task(central.control.obey(order % first))
                await peer.order()
                peer.connection.transport.abort()  # it has taken the key, and dies
                with pytest.raises(DeviceError):
                    await asking
            await until(lambda: not central.csms.stations)
            async with station(central.url(), basic("CP", KEY)) as peer:
                peer.answers["ChangeConfiguration"] = {"status": "Rejected"}
                await central.control.obey(order % second)
            assert await status_of(central.url(), basic("CP", bytes.fromhex(second))) == 401
            assert await status_of(central.url(), basic("CP", bytes.fromhex(first))) == 101
            assert await status_of(central.url(), basic("CP", KEY)) == 401

    run(main)


def test_a_wrong_password_waits_for_its_answer_and_the_right_one_does_not() -> None:
    async def main() -> None:
        central = Central({"CP": KEY})
        wrong = basic("CP", b"x" * 16)
        central.hold_s = lambda _: 3600.0
        async with central.listening():
            guess = asyncio.create_task(status_of(central.url(), wrong))
            await central.event("rejected")
            async with station(central.url(), basic("CP", KEY)) as peer:
                assert (await peer.call("Heartbeat", {}))[0] == 3
            assert not guess.done()
        assert await guess in (0, 401), "the end of the server is the end of the wait"

    run(main)


def test_guessing_is_told_once_a_power_of_ten() -> None:
    central = Central({"CP": KEY})
    for _ in range(200):
        assert central.csms.admit("/CP", basic("CP", b"x" * 16)) == 401
    assert [event["wrong_passwords"] for event in central.named("guessing")] == [10, 100]
    assert central.csms.hold_s("/ocpp/CP") == 5
    assert central.csms.hold_s("/ocpp/other") == 0
    assert central.csms.admit("/CP", basic("CP", KEY)) is None
    assert central.csms.hold_s("/CP") == 0
