# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool flash` and `evtool provision`: real esptool against the virtual board."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import flash_project
import pytest
from certificates import Authority, Issued
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import PrivateFormat
from flash_project import KEY, PASSPHRASE, make_build, make_project

from evtool.cli.station_keys import station_accounts
from evtool.link.background_process import BackgroundProcess
from evtool.link.ledger_database import open_ledger
from evtool.protocol.ledger_record import Record
from evtool.protocol.nvs import parse_image

EVTOOL = [sys.executable, "-m", "evtool"]
NO_PORT = "/dev/ttyNO_SUCH_PORT"
EVCFG = slice(0x390000, 0x396000)


def evtool(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*EVTOOL, *arguments], cwd=cwd, capture_output=True, text=True, timeout=90, check=False
    )


def documents(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The folder of a project with a finished build."""
    make_project(tmp_path / "project")
    make_build(tmp_path / "project" / "build" / "host")
    return tmp_path / "project"


@pytest.fixture
def board(tmp_path: Path) -> Iterator[str]:
    """The serial port of a virtual board that holds nothing."""
    argv = [*EVTOOL, "sim", "board", "--state-dir", str(tmp_path / "board"), "--json"]
    with BackgroundProcess("board", argv, tmp_path / "board.log") as process:
        ready = process.wait_for(lambda event: event.get("event") == "ready", "board", 60)
        yield str(ready["serial_port"])


def _flash(tmp_path: Path) -> bytes:
    return (tmp_path / "board" / "flash.bin").read_bytes()


def records(project: Path, unit: str) -> list[Record]:
    """What the project's ledger says of a unit."""
    path = project / ".evtool" / "ledger.db"
    if not path.exists():
        return []
    ledger = open_ledger(path, "looking")
    found = ledger.history(unit=unit)
    ledger.close()
    return found


def test_a_board_is_flashed_given_its_identity_and_says_it(
    tmp_path: Path, project: Path, board: str
) -> None:
    done = evtool("flash", "--serial-port", board, "--no-evcfg", "--json", cwd=project)
    assert done.returncode == 0, done.stderr
    lines = documents(done.stdout)
    assert [each["event"] for each in lines if each["event"] != "progress"] == [
        "write", "verify", "flashed",
    ]  # fmt: skip
    assert {"image": "app", "percent": 100}.items() <= lines[-3].items()
    flash = _flash(tmp_path)
    for image in lines[-1]["images"]:
        file = {"app": "firmware"}.get(image["name"], image["name"])
        data = flash[image["offset"] : image["offset"] + image["size"]]
        path = project / "build" / "host" / f"{file}.bin"
        assert data == (path.read_bytes() if path.exists() else b"\xff" * image["size"])
    assert set(flash[EVCFG]) == {0xFF}

    done = evtool("provision", "--serial-port", board, "--json", cwd=project)
    assert done.returncode == 0, done.stderr
    result = documents(done.stdout)[-1]
    assert result["identity"] == result["boot"]["charge_point"] == "CP-0001"
    assert set(result["times_ms"]) == {"read", "write", "compare", "boot"}
    stored = parse_image(_flash(tmp_path)[EVCFG])
    assert stored.problems == ()
    assert stored.get("evcfg", "cp_id") == "CP-0001"
    assert stored.get("evcfg", "wifi_pass") == PASSPHRASE

    mac = result["mac"]
    assert [(each.event, each.mac) for each in records(project, "CP-0001")] == [
        ("claimed", mac), ("claimed", mac), ("claimed", mac), ("written", mac), ("proved", mac),
    ]  # fmt: skip
    said = (done.stdout + done.stderr).encode()
    for path in (project / ".evtool").glob("ledger*"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        said += path.read_bytes()
    for secret in (KEY, KEY.encode().hex(), PASSPHRASE):
        assert secret.encode() not in said


def test_flash_writes_the_identity_too_and_the_ledger_notes_it(
    tmp_path: Path, project: Path, board: str
) -> None:
    done = evtool("flash", "--serial-port", board, "--no-verify", cwd=project)
    assert done.returncode == 0, done.stderr
    assert parse_image(_flash(tmp_path)[EVCFG]).get("evcfg", "cp_id") == "CP-0001"
    assert records(project, "CP-0001")[-1].event == "written"
    assert "verified" not in done.stdout


def in_profile_3(project: Path) -> Issued:
    """Give the project's unit a certificate, and its central system a root."""
    begin = datetime.now(UTC) - timedelta(days=1)
    own = Authority(begin, days=900, name="Operator").issue("SN-0001", begin, days=800)
    (project / "root.pem").write_bytes(Authority(begin, days=900).root.pem())
    (project / "own.pem").write_bytes(own.pem())
    key = project / "secrets" / "own.key"
    key.write_text(own.key_pem(PrivateFormat.TraditionalOpenSSL))
    key.chmod(0o600)
    path = project / "evtool.toml"
    text = path.read_text().replace("ws://", "wss://")
    lines = """[csms]
security_profile = 3
ca_certificate = "root.pem"
client_certificate = "own.pem"
client_key = { file = "secrets/own.key" }
"""
    path.write_text(text.replace("[csms]\n", lines))
    return own


def test_a_unit_gets_a_certificate_and_key_of_its_own(
    tmp_path: Path, project: Path, board: str
) -> None:
    own = in_profile_3(project)
    plan = evtool("provision", "--serial-port", board, "--dry-run", cwd=project)
    assert plan.returncode == 0, plan.stderr
    assert "client_cert, client_key" in plan.stdout
    flashed = evtool("flash", "--serial-port", board, cwd=project)
    assert flashed.returncode == 0, flashed.stderr
    done = evtool("provision", "--serial-port", board, "--json", cwd=project)
    assert done.returncode == 0, done.stderr
    stored = parse_image(_flash(tmp_path)[EVCFG])
    assert stored.get("evcfg", "sec_profile") == 3
    assert stored.get("evcfg", "client_cert") == own.pem().decode()
    assert stored.get("evcfg", "client_key") == own.key_pem()
    sha256 = own.certificate.fingerprint(SHA256()).hex()
    assert documents(done.stdout)[-1]["certificate_sha256"] == sha256
    held = [each for each in records(project, "CP-0001") if each.event == "written"]
    assert [each.fields["certificate_sha256"] for each in held] == [sha256, sha256]
    header = evtool("codegen", "--only", "secrets", cwd=project)
    assert header.returncode == 0, header.stderr
    said = "".join(each.stdout + each.stderr for each in (plan, flashed, done, header)).encode()
    said += (project / ".evtool" / "ledger.db").read_bytes()
    for form in (PrivateFormat.TraditionalOpenSSL, PrivateFormat.PKCS8):
        for line in own.key_pem(form).splitlines()[1:-1]:
            assert line.encode() not in said
    secrets_h = (project / "firmware" / "include" / "secrets.h").read_text()
    assert own.key_pem().splitlines()[1] in secrets_h


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"own.pem"', '"root.pem"', "[csms] client_certificate: Test root: the private key is"),
        ('"own.pem"', '"no.pem"', "[csms] client_certificate: cannot read"),
        ('client_certificate = "own.pem"', "", "[csms] client_certificate: missing"),
        ('client_key = { file = "secrets/own.key" }', "", "[csms] client_key: missing"),
        ('{ file = "secrets/own.key" }', "{ generate = true }", "is a private key, PEM"),
        ('{ file = "secrets/own.key" }', "{ prompt = true }", "is a private key, PEM"),
        ('{ file = "secrets/own.key" }', '{ file = "own.pem" }', "chmod 600"),
        ("security_profile = 3", "security_profile = 2", "goes with security_profile 3; this is 2"),
    ],
)
def test_what_is_wrong_with_it_is_said_before_a_port_is_opened(
    project: Path, old: str, new: str, said: str
) -> None:
    own = in_profile_3(project)
    path = project / "evtool.toml"
    path.write_text(path.read_text().replace(old, new))
    done = evtool("provision", "--serial-port", NO_PORT, cwd=project)
    assert done.returncode == 2
    assert said in done.stderr
    assert "fix: " in done.stderr or "how" in done.stderr
    assert own.key_pem().splitlines()[1] not in done.stderr


def test_the_check_and_the_virtual_csms_know_the_projects_certificate(project: Path) -> None:
    in_profile_3(project)
    done = evtool("ocpp", "check", cwd=project)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "authorization  none (profile 3: the client certificate stands)" in done.stdout
    assert "SN-0001: the private key belongs to it" in done.stdout
    account = station_accounts(project / "evtool.toml", None, False)["CP-0001"]
    assert (account.profile, account.common_name) == (3, "SN-0001")


def test_flash_leaves_a_serial_number_that_was_drawn(
    tmp_path: Path, project: Path, board: str
) -> None:
    place = ("--serial-port", board)
    assert evtool("flash", *place, "--no-evcfg", cwd=project).returncode == 0
    assert evtool("provision", "ledger", "range", "2030", "7", "9", cwd=project).returncode == 0
    drawn = ("--serial-range", "2030", "--serial-format", "EV{number:05}")
    done = evtool("provision", *place, *drawn, cwd=project)
    assert done.returncode == 0, done.stderr
    done = evtool("flash", *place, cwd=project)
    assert done.returncode == 0, done.stderr
    assert "the identity is left as it is on the board: CP-0001 drew its serial" in done.stderr
    assert evtool("flash", *place, "--with-evcfg", cwd=project).returncode == 2
    done = evtool("provision", *place, cwd=project)
    assert done.returncode == 0, done.stderr
    assert "keeps the serial number EV00007, which it drew from the range 2030; SN-" in done.stderr
    assert parse_image(_flash(tmp_path)[EVCFG]).get("evcfg", "serial") == "EV00007"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stop_in_the_middle_ends_esptool_and_the_next_run_mends_it(
    tmp_path: Path,
    project: Path,
    board: str,
    monkeypatch: pytest.MonkeyPatch,
    number: signal.Signals,
    code: int,
) -> None:
    # as much as fits the slot, and nothing that compresses
    program = flash_project.PROGRAM + b"\nexit\n" + os.urandom(1_700_000)
    monkeypatch.setattr(flash_project, "PROGRAM", program)
    manifest = str(make_build(tmp_path / "large"))
    argv = [*EVTOOL, "flash", "--serial-port", board, "--manifest", manifest, "--json"]
    with subprocess.Popen(
        argv, cwd=project, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            event = json.loads(line)
            if event.get("image") == "app" and event["percent"] >= 3:
                break
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        process.send_signal(number)
        rest, errors = process.communicate(timeout=60)
    assert process.returncode == code, errors
    assert children
    assert not any(Path(f"/proc/{child}").exists() for child in children)
    assert documents(rest)[-1]["event"] == "interrupted"
    assert "flash is incomplete; run the same command again" in errors

    done = evtool(*argv[3:], cwd=project)
    assert done.returncode == 0, done.stderr
    firmware = (tmp_path / "large" / "firmware.bin").read_bytes()
    assert _flash(tmp_path)[0x10000 : 0x10000 + len(firmware)] == firmware


def test_an_empty_board_is_told_to_be_flashed_first(project: Path, board: str) -> None:
    done = evtool("provision", "--serial-port", board, cwd=project)
    assert done.returncode == 3
    assert "no partition table at 0x8000" in done.stderr
    assert "`evtool flash`" in done.stderr
    assert records(project, "CP-0001") == []


def _fill_up(limit_kib: int, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run evtool where no file grows beyond the limit, as on a full disk."""
    command = ["/bin/bash", "-c", f'ulimit -f {limit_kib}; exec "$@"', "bash", *EVTOOL, *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=60, check=False)


def test_no_room_for_the_images_is_named_with_the_place(project: Path, board: str) -> None:
    done = _fill_up(2, "flash", "--serial-port", board, "--no-evcfg", "--json", cwd=project)
    assert done.returncode == 1
    error = documents(done.stdout)[-1]
    assert "File too large" in error["message"]
    assert "partition-table.bin" in error["message"]
    assert "TMPDIR" in error["fix"]


@pytest.mark.parametrize("command", ["flash", "provision"])
def test_without_a_ledger_no_identity_is_given(
    tmp_path: Path, project: Path, board: str, command: str
) -> None:
    evtool("flash", "--serial-port", board, "--no-evcfg", cwd=project)
    ledger = project / ".evtool" / "ledger.db"
    ledger.mkdir(parents=True)
    done = evtool(command, "--serial-port", board, "--json", cwd=project)
    assert done.returncode == 3
    error = documents(done.stdout)[-1]
    assert str(ledger) in error["message"]
    assert set(_flash(tmp_path)[EVCFG]) == {0xFF}
    ledger.rmdir()
    done = evtool(command, "--serial-port", board, cwd=project)
    assert done.returncode == 0, done.stderr
    assert ledger.is_file()


def test_an_identity_stays_on_its_board_until_a_person_says_otherwise(
    tmp_path: Path, project: Path, board: str
) -> None:
    with open_ledger(project / ".evtool" / "ledger.db", "line-9").change() as change:
        claims = [("identity", "CP-0001"), ("mac", "24:0a:c4:ff:ff:ff")]
        change.claim("CP-0001", claims, mac="24:0a:c4:ff:ff:ff")
    evtool("flash", "--serial-port", board, "--no-evcfg", cwd=project)
    done = evtool("flash", "--serial-port", board, cwd=project)
    assert done.returncode == 0, done.stderr
    assert "note: the identity is left as it is on the board: identity CP-0001" in done.stderr
    for command in (["flash", "--with-evcfg"], ["provision"]):
        done = evtool(*command, "--serial-port", board, "--json", cwd=project)
        assert done.returncode == 2
        error = documents(done.stdout)[-1]
        assert error["error"] == "ClaimTaken"
        assert error["holder"]["mac"] == "24:0a:c4:ff:ff:ff"
        assert "--reassign" in error["fix"]
        assert set(_flash(tmp_path)[EVCFG]) == {0xFF}

    done = evtool("provision", "--serial-port", board, "--reassign", "--json", cwd=project)
    assert done.returncode == 0, done.stderr
    events = [each.event for each in records(project, "CP-0001")]
    assert events[-7:] == ["released", "overridden", *["claimed"] * 3, "written", "proved"]
    # The same board under another name is another row.
    words = ("provision", "--serial-port", board, "--identity", "CP-0002", "--no-boot-proof")
    done = evtool(*words, cwd=project)
    assert done.returncode == 2
    assert "belongs to CP-0001" in done.stderr
    assert parse_image(_flash(tmp_path)[EVCFG]).get("evcfg", "cp_id") == "CP-0001"
    done = evtool(*words, "--reassign", cwd=project)
    assert done.returncode == 0, done.stderr
    assert records(project, "CP-0001")[-1].event == "released"
    assert parse_image(_flash(tmp_path)[EVCFG]).get("evcfg", "cp_id") == "CP-0002"


def test_the_ledger_of_an_older_evtool_is_taken_in_first(project: Path, board: str) -> None:
    old = project / ".evtool" / "ledger.jsonl"
    old.parent.mkdir(exist_ok=True)
    old.write_text(
        '{"time":"2029-01-01T00:00:00.000+00:00","event":"written","charge_point":"CP-0001",'
        '"serial_number":"S","mac":"24:0a:c4:ff:ff:ff","image_sha256":"00"}\n'
        '{"event":"wri'
    )
    evtool("flash", "--serial-port", board, "--no-evcfg", cwd=project)
    done = evtool("provision", "--serial-port", board, cwd=project)
    assert done.returncode == 2
    assert "belongs to CP-0001 on board 24:0a:c4:ff:ff:ff" in done.stderr
    assert not old.exists()
    assert old.with_name("ledger.jsonl.taken-in").exists()
    first = records(project, "CP-0001")[0]
    assert (first.event, first.time) == ("written", "2029-01-01T00:00:00.000Z")


def test_a_firmware_that_says_nothing_fails_the_proof_and_the_ledger_says_so(
    tmp_path: Path, project: Path, board: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flash_project, "PROGRAM", b"#!/bin/sh\necho something else\ncat\n")
    manifest = str(make_build(tmp_path / "mute"))
    done = evtool("flash", "--serial-port", board, "--manifest", manifest, cwd=project)
    assert done.returncode == 0, done.stderr
    done = evtool("provision", "--serial-port", board, "--boot-timeout", "5", cwd=project)
    assert done.returncode == 3
    assert "did not say `[event] boot ...` within 5 s" in done.stderr
    assert "something else" in done.stderr
    *_, written, failed = records(project, "CP-0001")
    assert [written.event, failed.event, failed.fields["step"]] == ["written", "failed", "boot"]


@pytest.mark.parametrize("command", ["flash", "provision"])
def test_a_missing_port_is_named(project: Path, command: str) -> None:
    done = evtool(command, "--serial-port", NO_PORT, "--json", cwd=project)
    assert done.returncode == 3
    assert f"no serial port '{NO_PORT}'" in done.stderr
    assert "this machine has" in done.stderr
    assert documents(done.stdout)[-1]["exit_code"] == 3


@pytest.mark.parametrize("command", ["flash", "provision"])
def test_a_dry_run_shows_the_plan_and_opens_no_port(project: Path, command: str) -> None:
    done = evtool(command, "--serial-port", NO_PORT, "--dry-run", cwd=project)
    assert done.returncode == 0, done.stderr
    assert NO_PORT in done.stdout
    assert KEY not in done.stdout
    assert PASSPHRASE not in done.stdout
    done = evtool(command, "--serial-port", NO_PORT, "--dry-run", "--json", cwd=project)
    (plan,) = documents(done.stdout)
    assert plan["event"] == "plan"


def test_a_port_without_a_console_is_refused_before_anything_is_written(project: Path) -> None:
    arguments = ("provision", "--serial-port", "rfc2217://127.0.0.1:1")
    done = evtool(*arguments, "--json", cwd=project)
    assert done.returncode == 2
    (document,) = documents(done.stdout)
    assert "not at a URL" in document["message"]
    assert "--no-boot-proof" in document["fix"]
    done = evtool(*arguments, "--no-boot-proof", cwd=project)
    assert done.returncode == 3
    assert "Connection refused" in done.stderr


def test_a_bad_identity_is_refused_before_the_port_is_looked_at(tmp_path: Path) -> None:
    make_project(tmp_path / "p", identity="two words", vendor="", url="http://host")
    done = evtool("provision", "--serial-port", NO_PORT, cwd=tmp_path / "p")
    assert done.returncode == 2
    lines = done.stderr.splitlines()
    assert "evtool.toml:3: [charge_point] identity: 'two words' must be" in lines[0]
    assert "evtool.toml:4: [charge_point] vendor:" in lines[1]
    assert "[csms] url: must be ws://host" in lines[2]


def test_the_identity_of_the_command_line_is_checked_too(project: Path) -> None:
    done = evtool("provision", "--serial-port", NO_PORT, "--identity", "A:B", cwd=project)
    assert done.returncode == 2
    assert "'A:B' must be" in done.stderr


def test_flash_without_a_build_says_how_to_make_one(tmp_path: Path) -> None:
    make_project(tmp_path / "p")
    done = evtool("flash", "--serial-port", NO_PORT, cwd=tmp_path / "p")
    assert done.returncode == 2
    assert "build/host/manifest.json: no such file" in done.stderr
    assert "`evtool build --env host`" in done.stderr


def test_an_image_that_cannot_be_read_is_not_called_missing(project: Path) -> None:
    firmware = project / "build" / "host" / "firmware.bin"
    firmware.unlink()
    firmware.mkdir()
    done = evtool("flash", "--serial-port", NO_PORT, "--json", cwd=project)
    (document,) = documents(done.stdout)
    assert done.returncode == document["exit_code"] == 1
    assert document["message"] == f"cannot use {firmware}: Is a directory"


def test_flash_leaves_the_identity_alone_where_a_secret_is_not_at_hand(tmp_path: Path) -> None:
    project = tmp_path / "p"
    make_project(project)
    make_build(project / "build" / "host")
    settings = project / "evtool.toml"
    text = re.sub(r"passphrase = .*", 'passphrase = { env = "NOT_SET_HERE" }', settings.read_text())
    settings.write_text(text)
    done = evtool("flash", "--serial-port", NO_PORT, "--dry-run", cwd=project)
    assert done.returncode == 0, done.stderr
    assert "the identity is left as it is on the board" in done.stderr
    assert "evcfg" not in done.stdout
    done = evtool("flash", "--serial-port", NO_PORT, "--dry-run", "--with-evcfg", cwd=project)
    assert done.returncode == 2
    assert "NOT_SET_HERE" in done.stderr


def test_flash_refuses_an_identity_that_breaks_a_rule(tmp_path: Path) -> None:
    project = tmp_path / "p"
    make_project(project, identity="two words")
    make_build(project / "build" / "host")
    done = evtool("flash", "--serial-port", NO_PORT, "--dry-run", cwd=project)
    assert done.returncode == 2
    assert "[charge_point] identity" in done.stderr
    done = evtool("flash", "--serial-port", NO_PORT, "--dry-run", "--no-evcfg", cwd=project)
    assert done.returncode == 0, done.stderr


def test_manifest_and_env_exclude_each_other(project: Path) -> None:
    done = evtool(
        "flash", "--serial-port", NO_PORT, "--manifest", "m", "--env", "host", cwd=project
    )
    assert done.returncode == 2
    assert "exclude each other" in done.stderr
