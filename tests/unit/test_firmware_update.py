# SPDX-License-Identifier: GPL-3.0-or-later
"""Updates: what the CSMS hears, what is retried, what a power cut at any step leaves."""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from certificates import Authority
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from hypothesis import given
from hypothesis import strategies as st

from evtool.protocol.ocpp16 import find_violation, render_timestamp
from evtool.reference_impl.charge_point.effects import (
    Abandon,
    Download,
    Happened,
    Install,
    Notify,
    Reboot,
)
from evtool.reference_impl.charge_point.firmware_update import (
    KEY,
    FirmwareUpdate,
)
from evtool.reference_impl.charge_point.security.firmware_signature import is_signed_by
from evtool.reference_impl.charge_point.update_rules import (
    MICROOCPP_UPDATE,
    STRICT_UPDATE,
    UpdateRules,
)
from evtool.reference_impl.charge_point.values import Persist

NOW = 1_714_564_800_000
IMAGE = b"an image"
DIGEST = hashlib.sha256(IMAGE).digest()
SIGNER = Authority(datetime(2024, 1, 1, tzinfo=UTC), days=365).root
SIGNATURE = base64.b64encode(SIGNER.key.sign(IMAGE, ec.ECDSA(hashes.SHA256()))).decode()


class Bench:
    """One update machine with a storage; `heard` collects what was notified and done."""

    def __init__(self, rules: UpdateRules = STRICT_UPDATE) -> None:
        self.rules = rules
        self.kept: dict[str, str] = {}
        self.now = 1_000
        self.transactions_run = False
        self.heard: list[str] = []
        self.ticket = 0
        self.start()

    def start(self) -> None:
        self.machine = FirmwareUpdate(self.kept, self.rules)
        self.drain()

    @property
    def unix(self) -> int:
        return NOW + self.now

    def drain(self) -> None:
        for effect in self.machine.drain():
            match effect:
                case Notify(action, payload):
                    assert find_violation(action, payload) is None
                    mark = "signed " if action.startswith("Signed") else ""
                    self.heard.append(mark + payload["status"])
                case Persist(key, value):
                    self.kept.pop(key, None)
                    if value is not None:
                        self.kept[key] = value
                case Download(ticket, _) | Install(ticket, _):
                    self.ticket = ticket
                    self.heard.append(type(effect).__name__)
                case Happened(event):
                    self.heard.append(f"! {event}")
                case Abandon() | Reboot():
                    self.heard.append(type(effect).__name__)

    def wait(self, ms: int = 0) -> None:
        self.now += ms
        self.machine.tick(self.now, self.unix, transactions_run=self.transactions_run)
        self.drain()

    def ask(self, **more: Any) -> None:
        request = {"location": "ftp://x/y", "retrieveDate": at(NOW)} | more
        assert find_violation("UpdateFirmware", request) is None
        self.machine.on_update_firmware(request)
        self.drain()

    def ask_signed(self, *, refused: str = "", **more: Any) -> str:
        firmware = {
            "location": "https://u:p@x/y",
            "retrieveDateTime": at(NOW),
            "signingCertificate": SIGNER.pem().decode(),
            "signature": SIGNATURE,
        } | more.pop("firmware", {})
        request = {"requestId": 7, "firmware": firmware} | more
        assert find_violation("SignedUpdateFirmware", request) is None
        status = self.machine.on_signed_update_firmware(request, refused)
        self.drain()
        return status

    def downloaded(self, digest: bytes | None = DIGEST) -> None:
        self.machine.on_downloaded(self.ticket, digest, self.now)
        self.drain()

    def installed(self, outcome: Any = "installed") -> None:
        self.machine.on_installed(self.ticket, outcome, self.now)
        self.drain()

    def take(self) -> list[str]:
        heard, self.heard = self.heard, []
        return heard


def at(unix_ms: int) -> str:
    return render_timestamp(unix_ms)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_an_update(bench: Bench) -> None:
    bench.ask(retrieveDate=at(NOW + 60_000))
    bench.wait()
    assert bench.take() == []
    assert bench.machine.next_due_ms(bench.now, bench.unix) == 60_000
    bench.wait(59_000)
    assert bench.take() == ["Downloading", "Download"]
    assert (bench.machine.status, bench.machine.blocks_connectors) == ("Downloading", False)
    bench.transactions_run = True
    bench.downloaded()
    bench.wait(10_000)
    assert bench.take() == ["Downloaded"]
    assert bench.machine.blocks_connectors
    bench.transactions_run = False
    bench.wait()
    assert bench.take() == ["Installing", "Install"]
    bench.installed()
    assert bench.take() == ["! FirmwareUpdated", "Installed"]
    assert (bench.machine.status, bench.machine.blocks_connectors) == ("Idle", False)
    assert KEY not in bench.kept


@pytest.mark.parametrize(("retries", "attempts"), [(None, 1), (0, 1), (2, 3)])
def test_downloads_are_tried_again(bench: Bench, retries: int | None, attempts: int) -> None:
    bench.ask(retryInterval=2, **({} if retries is None else {"retries": retries}))
    for number in range(attempts):
        bench.wait(2_000 if number else 0)
        assert bench.take() == ["Downloading", "Download"]
        bench.downloaded(None)
        bench.wait(1_999 if number < attempts - 1 else 10_000_000)
        bench.now -= 1_999
        assert bench.take() == ["DownloadFailed"]
    assert bench.machine.next_due_ms(bench.now, bench.unix) is None
    assert bench.machine.status == "Idle"


def test_microocpp_counts_the_first_attempt_and_stays_unavailable() -> None:
    bench = Bench(MICROOCPP_UPDATE)
    bench.ask(retries=2, retryInterval=5)
    bench.wait()
    assert bench.machine.blocks_connectors
    bench.downloaded()
    bench.wait()
    bench.installed("failed")
    assert bench.take()[-1] == "InstallationFailed"
    bench.wait(14_999)
    assert bench.take() == []
    bench.wait(1)
    bench.downloaded(None)
    bench.wait(10_000_000)
    assert bench.take() == ["Downloading", "Download", "DownloadFailed"]
    assert bench.machine.blocks_connectors, "D22"


def test_a_failed_installation_gives_the_connectors_back(bench: Bench) -> None:
    bench.ask(retries=5)
    bench.wait()
    bench.downloaded()
    bench.wait()
    bench.installed("failed")
    assert bench.take()[-1] == "InstallationFailed"
    assert not bench.machine.blocks_connectors
    bench.wait(10_000_000)
    assert bench.take() == []


def test_an_image_that_has_changed_is_not_installed(bench: Bench) -> None:
    for ask, status in (
        (bench.ask, "InstallationFailed"),
        (bench.ask_signed, "signed InstallVerificationFailed"),
    ):
        ask()
        bench.wait()
        bench.downloaded()
        bench.machine.tick(bench.now, bench.unix, transactions_run=False)
        (install,) = [each for each in bench.machine.drain() if isinstance(each, Install)]
        assert install.sha256 == DIGEST.hex()
        bench.ticket = install.ticket
        bench.installed("unverified")
        assert bench.take()[-1] == status


def test_waiting_for_a_transaction_needs_no_polling(bench: Bench) -> None:
    bench.ask()
    bench.wait()
    bench.downloaded()
    assert bench.machine.next_due_ms(bench.now, bench.unix) == bench.now
    bench.transactions_run = True
    bench.wait()
    assert bench.machine.next_due_ms(bench.now, bench.unix) is None


def test_a_restart_ends_the_installation(bench: Bench) -> None:
    bench.ask()
    bench.wait()
    bench.downloaded()
    bench.wait()
    bench.installed("needs_restart")
    assert bench.take()[-2:] == ["Install", "Reboot"]
    bench.start()
    assert bench.take() == ["! FirmwareUpdated", "Installed"]
    assert KEY not in bench.kept


def test_a_signed_update(bench: Bench) -> None:
    firmware = {
        "retrieveDateTime": at(NOW + 10_000),
        "installDateTime": at(NOW + 60_000),
    }
    assert bench.ask_signed(firmware=firmware) == "Accepted"
    bench.wait()
    bench.wait()
    assert bench.take() == ["signed DownloadScheduled"]
    bench.wait(10_000)
    bench.machine.on_paused(bench.ticket, paused=True)
    bench.machine.on_paused(bench.ticket, paused=False)
    bench.downloaded()
    bench.wait()
    bench.wait()
    assert bench.take() == [
        "signed Downloading",
        "Download",
        "signed DownloadPaused",
        "signed Downloading",
        "signed Downloaded",
        "signed SignatureVerified",
        "signed InstallScheduled",
    ]
    assert bench.machine.next_due_ms(bench.now, bench.unix) == 60_000
    bench.wait(60_000)
    bench.installed("needs_restart")
    bench.start()
    assert bench.take() == [
        "signed Installing",
        "Install",
        "signed InstallRebooting",
        "Reboot",
        "! FirmwareUpdated",
        "signed Installed",
    ]


def test_a_wrong_signature_is_refused(bench: Bench) -> None:
    assert bench.ask_signed() == "Accepted"
    bench.wait()
    bench.downloaded(hashlib.sha256(b"another image").digest())
    assert bench.take()[-3:] == [
        "signed Downloaded",
        "! InvalidFirmwareSignature",
        "signed InvalidSignature",
    ]
    assert not bench.machine.blocks_connectors


def test_an_untrusted_certificate_is_refused(bench: Bench) -> None:
    for status in ("InvalidCertificate", "RevokedCertificate"):
        assert bench.ask_signed(refused=status) == status
        assert bench.take() == ["! InvalidFirmwareSigningCertificate"]
    assert bench.ask_signed(firmware={"retrieveDateTime": "2024-13-01T00:00:00Z"}) == "Rejected"


def test_a_second_request_replaces_the_first_until_it_is_installed(bench: Bench) -> None:
    bench.ask()
    bench.wait()
    old = bench.ticket
    assert bench.ask_signed() == "AcceptedCanceled"
    bench.wait()
    assert bench.take() == ["Downloading", "Download", "Abandon", "signed Downloading", "Download"]
    bench.machine.on_downloaded(old, DIGEST, bench.now)
    assert bench.machine.drain() == []
    bench.downloaded()
    bench.wait()
    assert bench.ask_signed() == "Rejected"
    bench.ask()
    assert bench.machine.request_id == 7
    bench.machine.on_installed(bench.ticket - 1, "installed", bench.now)
    assert bench.machine.status == "Installing"


def test_dates_wait_for_the_clock(bench: Bench) -> None:
    bench.ask()
    bench.machine.tick(bench.now, None, transactions_run=False)
    bench.drain()
    assert bench.take() == []
    assert bench.machine.next_due_ms(bench.now, None) is None


def play(bench: Bench, event: str) -> None:
    match event:
        case "wait" | "long":
            bench.wait(1 if event == "wait" else 100_000)
        case "tx":
            bench.transactions_run = not bench.transactions_run
        case "ok" | "bad":
            bench.downloaded(DIGEST if event == "ok" else None)
        case "installed" | "failed" | "needs_restart":
            bench.installed(event)
        case "paused":
            bench.machine.on_paused(bench.ticket, paused=True)
        case "cut":
            bench.now = 0  # the monotonic clock begins again
            bench.start()
        case "ask":
            bench.ask()
        case "signed":
            bench.ask_signed()


events = st.lists(
    st.sampled_from(
        ["wait", "long", "tx", "ok", "bad", "installed", "failed", "needs_restart", "cut", "ask",
         "signed", "paused"]
    ),
    max_size=30,
)  # fmt: skip


@given(events, st.sampled_from([STRICT_UPDATE, MICROOCPP_UPDATE]), st.booleans())
def test_a_cut_at_any_step_leaves_an_update_that_ends(
    sequence: list[str], rules: UpdateRules, signed: bool
) -> None:
    bench = Bench(rules)
    if signed:
        bench.ask_signed(retries=2)
    else:
        bench.ask(retries=2)
    for event in sequence:
        play(bench, event)
    bench.transactions_run = False
    for _ in range(8):  # whatever happened, it comes to its end
        bench.wait(1_000_000)
        bench.downloaded()
        bench.wait()
        bench.installed()
        if "Reboot" in bench.take():
            bench.start()
    bench.start()  # a restart that an installation waits for
    assert bench.machine.status == "Idle"
    assert KEY not in bench.kept
    if rules.restores:
        assert not bench.machine.blocks_connectors


@given(
    st.text(max_size=40)
    | st.just("[" * 10_000)
    | st.dictionaries(
        st.sampled_from(["version", "step", "location", "left", "retrieve_unix_ms"]),
        st.integers() | st.text(max_size=5) | st.none(),
    ).map(json.dumps)
)
def test_hostile_storage(text: str) -> None:
    bench = Bench()
    bench.kept[KEY] = text
    bench.start()
    assert bench.machine.status == "Idle"
    assert KEY not in bench.kept


def test_signatures_of_all_kinds() -> None:
    pem = SIGNER.pem().decode()
    assert is_signed_by(pem, SIGNATURE, DIGEST)
    assert is_signed_by(pem, SIGNATURE[:40] + "\n" + SIGNATURE[40:], DIGEST)
    assert not is_signed_by(pem, SIGNATURE, DIGEST[::-1])
    assert not is_signed_by(pem, SIGNATURE, DIGEST[:5])
    key = rsa.generate_private_key(65537, 2048)
    certificate = Authority(datetime(2024, 1, 1, tzinfo=UTC), days=9).root.certificate
    of_rsa = _rsa_certificate(key, certificate)
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.MAX_LENGTH)
    for scheme in (padding.PKCS1v15(), pss):
        signature = base64.b64encode(key.sign(IMAGE, scheme, hashes.SHA256())).decode()
        assert is_signed_by(of_rsa, signature, DIGEST)
        assert not is_signed_by(pem, signature, DIGEST)
        assert not is_signed_by(of_rsa, signature, hashlib.sha256(b"other").digest())


def _rsa_certificate(key: rsa.RSAPrivateKey, like: Any) -> str:
    from cryptography import x509  # noqa: PLC0415 - of this one test
    from cryptography.hazmat.primitives.serialization import Encoding  # noqa: PLC0415 - as above

    builder = x509.CertificateBuilder(
        like.issuer,
        like.subject,
        key.public_key(),
        like.serial_number,
        like.not_valid_before_utc,
        like.not_valid_after_utc,
    )
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


@given(st.text(max_size=200), st.text(max_size=50), st.binary(max_size=40))
def test_hostile_signatures(pem: str, signature: str, digest: bytes) -> None:
    assert not is_signed_by(pem, signature, digest)
    assert not is_signed_by(SIGNER.pem().decode(), signature, DIGEST)
    assert not is_signed_by(
        f"-----BEGIN CERTIFICATE-----\n{signature}\n-----END CERTIFICATE-----", signature, digest
    )
