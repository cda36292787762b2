# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool provision fleet check` and `evtool provision secrets` as a user types them."""

from __future__ import annotations

import base64
import csv
import json
import os
import pty
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from certificates import Authority
from cryptography.hazmat.primitives.serialization import PrivateFormat
from fleet_files import NOW, TEMPLATE
from planted import leaks

from evtool.cli.monitor_secrets import known_secrets
from evtool.link.ledger_database import open_ledger
from evtool.monitor.redact import text_mask

EVTOOL = [sys.executable, "-m", "evtool", "provision"]
PLANTED = "Hunter2?Hunter2/+&<>"
SETTINGS = """\
[charge_point]
identity = "CP-0001"
vendor = "Example"
model = "EV-CAN-1"
serial_number = "SN-0001"
[wifi]
ssid = "bench"
passphrase = { generate = true }
[csms]
url = "ws://127.0.0.1:9000/ocpp"
authorization_key = { generate = true }
[provision]
sealing_key = { file = "sealing.key" }
"""
PASSPHRASE = {"WIFI": "correct-horse"}


def evtool(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[bytes]:
    done = subprocess.run(
        [*EVTOOL, *arguments],
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=90,
        check=False,
        env=os.environ | environment,
    )
    assert b"Traceback" not in done.stderr, done.stderr
    return done


def lines(done: subprocess.CompletedProcess[bytes]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a template and units that are good."""
    (tmp_path / "fleet.toml").write_text('units = "units.csv"\n' + TEMPLATE)
    (tmp_path / "units.csv").write_text("serial;ssid\r\nSN-1;caf\u00e9\r\nSN-2;\r\n", "utf-8-sig")
    return tmp_path


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with a sealing key, and nothing sealed yet."""
    (tmp_path / "evtool.toml").write_text(SETTINGS)
    made = evtool("secrets", "new-key", "file:sealing.key", cwd=tmp_path)
    assert made.returncode == 0
    assert (tmp_path / "sealing.key").read_bytes().strip() not in made.stdout + made.stderr
    return tmp_path


def seal_two(project: Path) -> dict[str, str]:
    """Seal the secrets of two units that were kept in clear; the AuthorizationKeys."""
    kept = project / ".evtool" / "secrets"
    kept.mkdir(mode=0o700, parents=True)
    keys = {"CP-0001": "abcdefghij0123456789", "CP-0002": "zyxwvutsrq0123456789"}
    for unit, key in keys.items():
        path = kept / f"{unit}_authorization_key"
        path.write_text(key + "\n")
        path.chmod(0o600)
    done = evtool("secrets", "seal", "--unit", "CP-0002", "--remove-clear", cwd=project)
    assert done.returncode == 0, done.stderr
    assert not list(kept.glob("CP*"))
    return keys


def test_a_good_fleet_is_counted_and_nothing_is_written(folder: Path) -> None:
    before = sorted(folder.rglob("*"))
    done = evtool("fleet", "check", "fleet.toml", cwd=folder, **PASSPHRASE)
    assert done.returncode == 0, done.stderr
    assert b"units.csv: 2 units checked, all good (cells separated by ';')" in done.stdout
    assert b"2 secrets to be generated" in done.stdout
    [checked] = lines(evtool("fleet", "check", "fleet.toml", "--json", cwd=folder, **PASSPHRASE))
    assert checked == {
        "event": "checked", "file": "units.csv", "units": 2, "to_generate": 2, "delimiter": ";",
        "warnings": 0, "ledger": False,
    }  # fmt: skip
    assert sorted(folder.rglob("*")) == before


def test_every_bad_row_is_named_and_the_screen_stays_bounded(folder: Path) -> None:
    rows = "".join(f"SN-{n},24:6f:28:00:00\n" for n in range(300))
    (folder / "bad.csv").write_text("serial,mac\n" + rows)
    (folder / "template.toml").write_text(TEMPLATE)
    arguments = ("fleet", "check", "bad.csv", "--template", "template.toml")
    done = evtool(*arguments, cwd=folder, **PASSPHRASE)
    assert done.returncode == 2
    said = done.stderr.decode().splitlines()
    assert said[0] == "bad.csv:2: mac: '24:6f:28:00:00' is no MAC: 24:6f:28:aa:bb:cc"
    assert "... and 260 more problems" in said
    assert "evtool: bad.csv: 300 problems" in said
    assert len(said) < 50
    told = lines(evtool(*arguments, "--json", cwd=folder, **PASSPHRASE))
    assert [each["line"] for each in told[:-1]] == list(range(2, 302))
    assert told[0] == {
        "event": "problem", "file": "bad.csv", "line": 2, "column": "mac",
        "rule": "'24:6f:28:00:00' is no MAC: 24:6f:28:aa:bb:cc", "previous": None,
    }  # fmt: skip
    assert told[-1]["exit_code"] == 2


def test_notes_that_say_the_same_are_told_once(folder: Path) -> None:
    template = TEMPLATE + "security_profile = 0\n"
    (folder / "template.toml").write_text(template)
    (folder / "u.csv").write_text("serial,security_profile\n" + "SN-1,0\nSN-2,0\nSN-3,0\n")
    done = evtool(
        "fleet", "check", "u.csv", "--template", "template.toml", cwd=folder, **PASSPHRASE
    )
    assert done.returncode == 0
    note = b"note: u.csv:2: security_profile: 0 sends no password; for a bench only"
    assert note + b" (and 2 more units)" in done.stderr


def test_the_project_gives_what_rows_and_template_do_not_say(project: Path) -> None:
    (project / "units.csv").write_text("identity,serial\nCP-7,SN-7\nCP-8,SN-8\n")
    done = evtool("fleet", "check", "units.csv", cwd=project)
    assert done.returncode == 0, done.stderr
    assert b"4 secrets to be generated" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nowhere.csv",), "cannot read nowhere.csv"),
        (("fleet.toml", "--template", "fleet.toml"), "--template: fleet.toml has its own"),
        (("units.csv", "--template", "fleet.toml"), "fleet.toml names units of its own"),
        (("units.csv", "--delimiter", "x"), "--delimiter: 'x' separates no cells"),
        (("units.csv", "--shared", "vendor"), "--shared: 'vendor' is none of"),
        (("units.csv", "--project", "none.toml"), "none.toml: no such file"),
        (("units.csv", "--ledger", "none.db"), "--ledger: no such file: none.db"),
        ((".",), "is a directory"),
    ],
)
def test_options_that_lead_nowhere(folder: Path, arguments: tuple[str, ...], said: str) -> None:
    done = evtool("fleet", "check", *arguments, cwd=folder, **PASSPHRASE)
    assert done.returncode == 2
    assert said in done.stderr.decode()


def test_a_planted_secret_is_nowhere_in_what_a_check_prints(tmp_path: Path) -> None:
    """In each place where a secret may stand, and in those where it must not."""
    key_file = tmp_path / "key.pem"
    issued = Authority(NOW, days=365).issue("SN-1", NOW, days=30)
    issued.write(key_file)
    (tmp_path / "unit.pem").write_bytes(issued.pem())
    # Not as PEM: a base64 line of the key would be hard to plant.
    broken_key = tmp_path / "broken.key"
    broken_key.write_text(f"-----BEGIN PRIVATE KEY-----\n{PLANTED}\n-----END PRIVATE KEY-----\n")
    in_file = tmp_path / "secret.txt"
    in_file.write_text(PLANTED + "\n")
    for path in (broken_key, in_file, key_file):
        path.chmod(0o600)
    (tmp_path / "root.pem").write_bytes(Authority(NOW, days=365).root.pem())
    template = TEMPLATE.replace('["wifi_passphrase"]', "[]").replace("ws://", "wss://")
    (tmp_path / "template.toml").write_text(
        template + 'security_profile = 3\nca_certificate = "root.pem"\n'
    )
    head = "serial,passphrase,authorization_key,client_certificate,client_key\n"
    units = tmp_path / "units.csv"
    outputs = []
    for row in (
        "SN-1,file:secret.txt,file:secret.txt,unit.pem,file:broken.key",
        "SN-1,env:PLANTED,env:PLANTED,unit.pem,env:PLANTED",
        "SN-1,generate,generate,broken.key,file:broken.key",
        "SN-1,generate,generate,,file:broken.key",
        f'SN-1,"{PLANTED}","{PLANTED}",unit.pem,"{PLANTED}"',
        f'SN-1,"{PLANTED}"x,generate,,',
        f'SN-1,"{PLANTED},generate,,',
        f'SN-1,generate,generate,,,"{PLANTED}"',
        f'SN-1,env:PLANTED,generate,,\nSN-2,env:PLANTED,"{PLANTED}",,',
    ):
        units.write_text(head + row + "\n")
        for more in ((), ("--json",)):
            done = evtool(
                "fleet", "check", "units.csv", "--template", "template.toml", *more,
                cwd=tmp_path, PLANTED=PLANTED, WIFI=PLANTED,
            )  # fmt: skip
            assert done.returncode == 2
            outputs += [done.stdout, done.stderr]
    for text in (
        TEMPLATE.replace('{ env = "WIFI" }', f'"{PLANTED}"'),
        TEMPLATE.replace('{ env = "WIFI" }', f'{{ env = "{PLANTED}", file = "x" }}'),
        TEMPLATE.replace('{ env = "WIFI" }', f'{{ secret = "{PLANTED}" }}'),
        TEMPLATE.replace('{ env = "WIFI" }', f'"{PLANTED}'),
        TEMPLATE + f'[[unit]]\nserial = "SN-1"\npassphrase = "{PLANTED}"\n',
    ):
        (tmp_path / "bad.toml").write_text(text)
        done = evtool("fleet", "check", "bad.toml", cwd=tmp_path, PLANTED=PLANTED)
        assert done.returncode == 2
        outputs += [done.stdout, done.stderr]
    meant = (units, tmp_path / "bad.toml", in_file, broken_key)
    assert leaks(PLANTED, outputs, [tmp_path], but=meant) == []


def test_the_search_finds_what_is_planted() -> None:
    for text in (
        PLANTED.encode(),
        base64.b64encode(b"CP-0001:" + PLANTED.encode()),
        base64.b64encode(b"CP-001:" + PLANTED.encode() + b"x"),
        base64.b64encode(b"CP-01:" + PLANTED.encode() + b"xy"),
        PLANTED.encode().hex().encode(),
        b"Hunter2%3FHunter2%2F%2B%26%3C%3E",
    ):
        assert leaks(PLANTED, [b"-" + text + b"-"], [], but=())


def test_a_fleets_secrets_are_made_before_its_boards(project: Path) -> None:
    rows = "".join(f"CP-{n},SN-{n}\n" for n in range(1, 131))
    (project / "units.csv").write_text("identity,serial\n" + rows)
    generate = ("secrets", "generate", "units.csv", "--json")
    assert lines(evtool(*generate, "--dry-run", cwd=project))[-1]["secrets"] == 260
    assert not (project / ".evtool" / "ledger.db").exists()
    told = lines(evtool(*generate, cwd=project))
    assert [each["count"] for each in told[:-1]] == [200, 260]
    assert told[-1] == {"event": "generated", "secrets": 260, "units": 130}
    assert lines(evtool(*generate, cwd=project))[-1]["secrets"] == 0
    assert lines(evtool(*generate, "--dry-run", cwd=project))[-1]["secrets"] == 0
    done = evtool("secrets", "export", "--form", "plain", "--to", "keys.csv", cwd=project)
    assert done.returncode == 0, done.stderr
    with (project / "keys.csv").open(newline="") as stream:
        keys = dict(list(csv.reader(stream))[1:])
    assert sorted(keys) == sorted(f"CP-{n}" for n in range(1, 131))
    assert len(set(keys.values())) == 130
    (project / "units.csv").write_text("identity,serial\nCP-1,SN-1\nCP-1,SN-2\n")
    bad = evtool(*generate, cwd=project)
    assert bad.returncode == 2


def test_keys_are_handed_out_in_three_forms_and_that_is_recorded(project: Path) -> None:
    keys = seal_two(project)
    for form, make in (
        ("plain", lambda _unit, key: key),
        ("hex", lambda _unit, key: key.encode().hex()),
        ("basic", lambda unit, key: "Basic " + base64.b64encode(f"{unit}:{key}".encode()).decode()),
    ):
        done = evtool("secrets", "export", "--form", form, "--to", f"{form}.csv", cwd=project)
        assert done.returncode == 0, done.stderr
        path = project / f"{form}.csv"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        with path.open(newline="") as stream:
            head, *rows = csv.reader(stream)
        assert head == ["identity", f"authorization_key_{form}"]
        assert rows == [[unit, make(unit, key)] for unit, key in keys.items()]
        for key in keys.values():
            assert leaks(key, [done.stdout, done.stderr], [], but=()) == []
    with closing(open_ledger(project / ".evtool" / "ledger.db")) as ledger:
        exported = [each for each in ledger.history(unit="CP-0002") if each.event == "exported"]
    assert [each.fields["form"] for each in exported] == ["plain", "hex", "basic"]
    assert [each.fields["to"] for each in exported] == ["plain.csv", "hex.csv", "basic.csv"]
    assert all(each.fields["by"] for each in exported)
    again = evtool("secrets", "export", "--form", "hex", "--to", "hex.csv", cwd=project)
    assert again.returncode == 2
    meant = [project / f"{form}.csv" for form in ("plain", "hex", "basic")]
    for key in keys.values():
        assert leaks(key, [], [project], but=meant) == []


def test_the_monitor_masks_what_is_sealed(project: Path) -> None:
    keys = seal_two(project)
    assert set(keys.values()) <= set(known_secrets(project / "evtool.toml"))
    (project / "sealing.key").unlink()
    assert known_secrets(project / "evtool.toml") == []


def test_the_monitor_masks_the_units_private_key_as_it_was_written_and_as_the_unit_has_it(
    project: Path,
) -> None:
    own = Authority(NOW, days=365).issue("SN-1", NOW, days=30)
    key, settings = project / "own.key", project / "evtool.toml"
    key.write_text(own.key_pem(PrivateFormat.TraditionalOpenSSL))
    settings.write_text(
        settings.read_text().replace(
            "[provision]", 'client_key = { file = "own.key" }\n[provision]'
        )
    )
    mask = text_mask(known_secrets(settings))
    for form in (PrivateFormat.TraditionalOpenSSL, PrivateFormat.PKCS8):
        text = own.key_pem(form)
        for line in text.splitlines()[1:-1]:
            for shown in (line, line.encode().hex(), line.lower()):
                assert mask(f"[event] x={shown};") == "[event] x=****;"
    assert mask("-----BEGIN PRIVATE KEY-----") == "-----BEGIN PRIVATE KEY-----"
    key.write_text("another file, and large\n" * 2000)
    assert known_secrets(settings) == []


def test_stdout_is_for_a_person_who_agrees_or_a_second_word(project: Path) -> None:
    keys = seal_two(project)
    export = ("secrets", "export", "--form", "plain", "--to", "-")
    refused = evtool(*export, cwd=project)
    assert (refused.returncode, refused.stdout) == (2, b"")
    assert b"--to - asks first, and there is no terminal" in refused.stderr
    given = evtool(*export, "--without-asking", "--unit", "CP-0002", cwd=project)
    assert given.stdout.decode().split() == [f"CP-0002,{keys['CP-0002']}"]
    for answer, wanted in ((b"n\n", False), (b"y\n", True)):
        main, terminal = pty.openpty()
        with subprocess.Popen(
            [*EVTOOL, *export], cwd=project, stdin=terminal, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as person:  # fmt: skip
            os.write(main, answer)
            out, error = person.communicate(timeout=60)
        os.close(main)
        os.close(terminal)
        assert b"Print them?" in error
        assert (keys["CP-0001"].encode() in out) is wanted


def test_the_key_is_changed_and_the_old_one_opens_nothing_more(project: Path) -> None:
    keys = seal_two(project)
    evtool("secrets", "new-key", "file:second.key", cwd=project)
    done = evtool("secrets", "rotate", "--new-sealing-key", "file:second.key", cwd=project)
    assert done.returncode == 0, done.stderr
    assert b"2 values are sealed with the key" in done.stdout
    status = lines(evtool("secrets", "status", "--json", cwd=project))[0]
    assert sorted(key["secrets"] for key in status["keys"]) == [0, 2]
    assert [key["replaced_by"] is None for key in status["keys"]].count(True) == 1
    export = ("secrets", "export", "--form", "plain", "--to", "keys.csv")
    assert evtool(*export, cwd=project).returncode == 2
    assert not (project / "keys.csv").exists()
    new = evtool(*export, "--sealing-key", "file:second.key", cwd=project)
    assert new.returncode == 0
    assert keys["CP-0001"] in (project / "keys.csv").read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("export", "--form", "plain", "--to", "k", "--unit", "CP-9"), "no AuthorizationKey for"),
        (("export", "--form", "plain", "--to", "k", "--sealing-key", "x"), "must say where the"),
        (("export", "--form", "plain", "--to", "k", "--sealing-key", "env:NO"), "NO is not set"),
        (("rotate", "--new-sealing-key", "file:sealing.key"), "the new key is the old one"),
        (("rotate", "--new-sealing-key", "env:SHORT"), "has 5 characters; at least 12"),
        (("new-key", "file:sealing.key"), "is there already, and a key is never overwritten"),
        (("new-key", "env:X"), "a new key is kept in a keyring or in a file"),
    ],
)
def test_what_cannot_be_done_with_secrets(
    project: Path, arguments: tuple[str, ...], said: str
) -> None:
    seal_two(project)
    done = evtool("secrets", *arguments, cwd=project, SHORT="horse")
    assert done.returncode == 2
    assert said in done.stderr.decode()
    assert not (project / "k").exists()


def test_a_sealing_key_that_others_may_read_is_refused(project: Path) -> None:
    (project / "sealing.key").chmod(0o644)
    done = evtool("secrets", "seal", cwd=project)
    assert done.returncode == 2
    assert b"sealing.key can be read by others than its owner" in done.stderr


def test_a_fleet_is_compared_with_what_was_ever_provisioned(project: Path) -> None:
    place = project / ".evtool" / "ledger.db"
    with closing(open_ledger(place)) as ledger, ledger.change() as change:
        change.claim("CP-OLD", [("identity", "CP-OLD"), ("serial", "SN-2")])
        mac = "24:6f:28:00:00:01"
        change.claim("CP-1", [("identity", "CP-1"), ("serial", "SN-1"), ("mac", mac)], mac=mac)
        change.claim("CP-4", [("identity", "CP-4"), ("serial", "SN-4")])
    rows = "CP-1,SN-1,\nCP-2,SN-2,\nCP-3,SN-3,24:6f:28:00:00:01\nCP-4,SN-44,\ncp-old,sn-1,\n"
    (project / "units.csv").write_text("identity,serial,mac\n" + rows)
    done = evtool("fleet", "check", "units.csv", "--json", cwd=project)
    assert done.returncode == 2
    told = [each for each in lines(done) if each.get("event") == "problem"]
    assert [(each["line"], each["column"]) for each in told] == [
        (3, "serial_number"), (4, "mac"), (5, "identity"), (6, "identity"),
        (6, "serial_number"), (6, "serial_number"),
    ]  # fmt: skip
    assert "'cp-old' belongs to 'CP-OLD'" in told[3]["rule"]
    assert "'SN-2' belongs to 'CP-OLD' since 20" in told[0]["rule"]
    assert "'24:6f:28:00:00:01' belongs to 'CP-1' since" in told[1]["rule"]
    assert "was given to the unit with serial number 'SN-4'" in told[2]["rule"]


def test_what_is_sealed_is_said_not_to_be_looked_at_without_its_key(project: Path) -> None:
    seal_two(project)
    settings = project / "evtool.toml"
    settings.write_text(settings.read_text().replace("[provision]\nsealing_key", "#"))
    (project / "units.csv").write_text("identity,serial\nCP-0001,SN-0001\n")
    done = evtool("fleet", "check", "units.csv", cwd=project)
    assert done.returncode == 0, done.stderr
    assert b"no sealing key is named; what is sealed counts as not made yet" in done.stderr
    with_key = evtool(
        "fleet", "check", "units.csv", "--sealing-key", "file:sealing.key", cwd=project
    )
    assert b"1 secret to be generated" in with_key.stdout
    assert with_key.stderr == b""
