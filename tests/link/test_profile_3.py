# SPDX-License-Identifier: GPL-3.0-or-later
"""Security profile 3 from the fleet's file to the central system: TLS with the unit's certificate.

The board is virtual and its OCPP the reference charge point's; firmware, NVS, provisioning, TLS on
the loopback and central system are the real ones.
"""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import flash_project
import pytest
from certificates import Authority, Issued
from csms_process import Csms, csms
from fleet_project import fleet, make_fleet, places_of
from running_board import Board

from evtool.link.ledger_database import open_ledger
from evtool.provision.ledger.unit_state import state

BEGIN = datetime.now(UTC).replace(microsecond=0) - timedelta(days=10)
PATIENT = ("--expect-csms", "--boot-timeout", "60", "--csms-timeout", "60")
ROWS = ["fleet.csv", "--template", "fleet-template.toml"]


class Site:
    """A fleet of one unit, its board, and a central system that wants the unit's certificate."""

    def __init__(self, folder: Path, program: Path, patch: pytest.MonkeyPatch) -> None:
        self.operator = Authority(BEGIN, days=1000, name="Operator")
        self.root = folder / "project"
        patch.setattr(flash_project, "PROGRAM", program.read_bytes())
        make_fleet(self.root, 1)
        manifest = self.root / "build" / "host" / "manifest.json"
        manifest.write_text(manifest.read_text().replace('"cafe"', '"cafe0001"'))
        self.folder = folder
        servers = Authority(BEGIN, days=1000, name="Servers")
        server = servers.issue("localhost", BEGIN, days=900).write(folder / "server.pem")
        clients, stations = folder / "operator.pem", folder / "stations.toml"
        clients.write_bytes(self.operator.root.pem())
        stations.write_text('[stations."CP-1"]\nprofile = 3\nserial = "SN-1"\n')
        for path in (server, stations):
            path.chmod(0o600)
        (self.root / "root.pem").write_bytes(servers.root.pem())
        self.options: list[object] = ["--listen-tls", "127.0.0.1:0", "--tls-certificate", server]
        self.options += ["--tls-key", server, "--client-ca", clients, "--stations", stations]

    def write(self, running: Csms) -> None:
        """The fleet's file, for this central system."""
        (self.root / "fleet-template.toml").write_text(
            f"""shared = ["wifi_passphrase"]
[template]
csms_url = "wss://localhost:{running.ready["tls_port"]}/ocpp"
security_profile = 3
ca_certificate = "root.pem"
client_certificate = "own/{{serial_number}}.pem"
client_key = {{ file = "own/{{serial_number}}.key" }}
"""
        )

    def give(self, own: Issued) -> None:
        """The unit's certificate and key, as files."""
        certificate, key = self.root / "own" / "SN-1.pem", self.root / "own" / "SN-1.key"
        certificate.parent.mkdir(exist_ok=True)
        certificate.write_bytes(own.pem())
        key.write_text(own.key_pem())
        key.chmod(0o600)

    def recorded(self) -> dict[str, Any]:
        """What the ledger says that the unit holds."""
        ledger = open_ledger(self.root / ".evtool" / "ledger.db")
        found = state(ledger, "CP-1")
        ledger.close()
        assert found is not None
        assert found.written is not None
        return dict(found.written.fields)


@pytest.fixture
def site(tmp_path: Path, program: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    return Site(tmp_path, program, monkeypatch)


def connected(running: Csms) -> dict[str, Any]:
    """The next connection that the central system tells of."""
    assert running.process.stdout is not None
    for line in running.process.stdout:
        event: dict[str, Any] = json.loads(line)
        if event["event"] == "connected":
            return event
    raise AssertionError("it has ended")


def test_a_unit_reaches_its_csms_with_the_certificate_that_it_was_given(site: Site) -> None:
    own, next_one = (site.operator.issue("SN-1", BEGIN, days=days) for days in (40, 400))
    stranger = Authority(BEGIN, days=1000, name="Operator").issue("SN-1", BEGIN, days=400)
    said: list[str] = []

    def run(action: str, *more: str) -> tuple[int, dict[str, Any]]:
        code, lines, errors = fleet(
            action, *ROWS, "--serial-port", board.serial_port, *more, cwd=site.root
        )
        said.extend([json.dumps(lines), errors])
        return code, lines[-1]

    with csms(*site.options) as running:
        site.write(running)
        site.give(own)
        board = Board(site.folder / "board")
        try:
            code, document = run("run", "--with-firmware", *PATIENT)
            assert (code, document["boards"][0]["csms"]) == (0, True), said
            told = connected(running)
            assert (told["station"], told["profile"]) == ("CP-1", 3)
            first = site.recorded()
            assert first["security_profile"] == 3
            assert str(first["certificate_not_after"])[:10] == f"{BEGIN + timedelta(40):%Y-%m-%d}"
            code, document = run("run", *PATIENT)
            assert (code, document["boards"][0]["verdict"]) == (0, "unchanged")

            site.give(stranger)  # the right name, of another authority
            rotate = ("rotate", "--certificates-only", *PATIENT)
            code, document = run(*rotate, "--csms-timeout", "3")
            assert code != 0
            assert "did not" in document["boards"][0]["message"]
            site.give(next_one)
            code, document = run(*rotate)
            assert (code, document["boards"][0]["verdict"]) == (0, "rotated"), said
            assert site.recorded()["certificate_sha256"] != first["certificate_sha256"]
        finally:
            board.end()
        said.append(json.dumps(board.seen) + board.stderr())
    keys = [line for each in (own, next_one, stranger) for line in lines_of(each)]
    texts = {str(number): text.encode() for number, text in enumerate(said)}
    ledger = site.root / ".evtool" / "ledger.db"
    texts[str(ledger)] = ledger.read_bytes()
    assert [place for line in keys for place in places_of(line, texts)] == []

    done = subprocess.run(
        [sys.executable, "-m", "evtool", "provision", "fleet", "export", "--format", "json"],
        cwd=site.root, capture_output=True, text=True, check=True, timeout=110,
    )  # fmt: skip
    unit = json.loads(done.stdout)
    assert unit["certificate_sha256"] == site.recorded()["certificate_sha256"]


def lines_of(own: Issued) -> list[str]:
    """What is secret of a key as PEM; a short last line would be found by chance."""
    return [line for line in own.key_pem().splitlines()[1:-1] if len(line) >= 16]
