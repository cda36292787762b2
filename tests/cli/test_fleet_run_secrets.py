# SPDX-License-Identifier: GPL-3.0-or-later
"""What `evtool provision fleet run` and its kin print and write of the units' secrets: nothing."""

from __future__ import annotations

import stat
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import flash_project
import pytest
from board_rack import BoardRack
from certificates import Authority
from flash_project import PASSPHRASE
from fleet_project import FLEET, SEALING_KEY, files_below, make_fleet, places_of, rows_of

BEGIN = datetime.now(UTC) - timedelta(days=1)
SECRETS = {
    "passphrase": PASSPHRASE,
    "planted": "pl4nted/S3cret+K%y=1",
    "sealing": SEALING_KEY,
}
# Each board's, as PEM; what is secret of it are its lines.
OWN = {name: Authority(BEGIN, days=900).issue(name, BEGIN, days=800) for name in ("CP-1", "CP-2")}
SECRETS |= {
    f"{name}-{at}": line
    for name, own in OWN.items()
    for at, line in enumerate(own.key_pem().splitlines()[1:-1])
    if len(line) > 16
}
# Says all that it was given, as a firmware in development may.
_SAYS_ALL = b"""printf 'pass=correct horse battery key=pl4nted/S3cret+K%%y=1 '
printf 'url=correct%%20horse%%20battery hex=636f727265637420686f7273652062617474657279\\r\\n'
"""
_TAKES_KEY = b"""    "nvs evcfg client_key str "*) own="${line##* }" ;;
    boot*) break"""
# In hex, from behind the line of hyphens on: a message shows the beginning of a line only.
_SAYS_KEY = b"""printf 'own=%s\\r\\n' "${own#*0a}"
printf '[event]"""
_CHATTY = flash_project.PROGRAM.replace(b"    boot*) break", _TAKES_KEY).replace(
    b"printf '[event]", _SAYS_ALL + _SAYS_KEY
)


_MUTUAL = """shared = ["wifi_passphrase", "authorization_key"]
[template]
csms_url = "wss://127.0.0.1:9000/ocpp"
security_profile = 3
ca_certificate = "root.pem"
client_certificate = "CP-{own}.pem"
client_key = { file = "secrets/CP-{own}.key" }
[variables]
own = "{n}"
"""


@pytest.fixture
def rack() -> Iterator[BoardRack]:
    with BoardRack() as boards:
        yield boards


def test_no_secret_is_in_anything_written_or_printed(
    tmp_path: Path, rack: BoardRack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flash_project, "PROGRAM", _CHATTY)
    project = make_fleet(tmp_path / "project", 2)
    settings = project / "evtool.toml"
    text = settings.read_text().replace("{ generate = true }", '{ file = "secrets/key" }')
    settings.write_text(text)
    (project / "secrets" / "key").write_text(SECRETS["planted"] + "\n")
    (project / "fleet-template.toml").write_text(_MUTUAL)
    secret_files = {str(project / "secrets" / name) for name in ("key", "passphrase", "sealing")}
    (project / "root.pem").write_bytes(Authority(BEGIN, days=900).root.pem())
    for name, own in OWN.items():
        key = project / "secrets" / f"{name}.key"
        key.write_text(own.key_pem())
        key.chmod(0o600)
        secret_files.add(str(key))
        (project / f"{name}.pem").write_bytes(own.pem())
    good, wrong = rack.add(), rack.add()
    logs = tmp_path / "logs"
    said: dict[str, bytes] = {}
    for name, arguments in (
        ("first", ["run", *rows_of(good.port), "--with-firmware"]),
        ("again", ["run", *rows_of(good.port)]),
        ("rotated", ["rotate", *rows_of(good.port)]),
        # The build in the board says its words and never its identity: the proof fails.
        ("failed", ["run", *rows_of(wrong.port), "--with-firmware", "--boot-timeout", "5"]),
        ("back", ["rollback", "CP-1", "--serial-port", good.port]),
        ("gone", ["decommission", "CP-1", "--serial-port", good.port]),
    ):
        if name == "failed":
            program = _CHATTY.replace(b"[event] boot", b"[event] noboot")
            monkeypatch.setattr(flash_project, "PROGRAM", program)
            flash_project.make_build(tmp_path / "failing")
            arguments += ["--manifest", str(tmp_path / "failing" / "manifest.json")]
        reports = [] if name == "gone" else [
            "--log-dir", str(logs / name), "--report", str(tmp_path / f"{name}.json"),
            "--junit", str(tmp_path / f"{name}.xml"),
        ]  # fmt: skip
        texts = (
            ([], ["--json"]) if name == "failed" else ([],) if name == "again" else (["--json"],)
        )
        for as_json in texts:
            done = subprocess.run(
                [*FLEET, *arguments, *reports, *as_json],
                cwd=project, capture_output=True, timeout=110, check=False,
            )  # fmt: skip
            said[f"{name} {as_json}"] = done.stdout + done.stderr
            if name == "failed":
                assert b"****" in done.stdout + done.stderr, done.stderr
    assert b"Traceback" not in b"".join(said.values())
    written = files_below(project, logs) | {
        str(path): path.read_bytes() for path in tmp_path.glob("*.*") if path.is_file()
    }
    for path in [*written]:
        if path in secret_files or path.endswith("firmware.bin"):  # where we planted them
            del written[path]
    for secret in SECRETS.values():
        assert places_of(secret, said | written) == []
    ledger = project / ".evtool" / "ledger.db"
    assert str(ledger) in written
    assert stat.S_IMODE(ledger.stat().st_mode) == 0o600
