# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool ocpp check` as it is typed."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from certificates import Authority

from evtool.protocol.ocpp16 import render_basic_authorization

ROOM_S = 60
KEY = "Zbcdefghijklmnopqrst"
HEADER = render_basic_authorization("CP-1", KEY.encode())
SETTINGS = """\
[charge_point]
identity = "CP-0001"
vendor = "Example"
model = "EV-CAN-1"
serial_number = "SN-0001"
[wifi]
ssid = "bench"
passphrase = { file = "passphrase" }
[csms]
url = "ws://csms.example.com:9000/ocpp"
authorization_key = { env = "STATION_KEY" }
"""
PLAIN = ("--identity", "CP-1", "--url", "ws://csms.example.com/ocpp")


def check(
    *arguments: str, cwd: Path, stdin: str = "", **environment: str
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "evtool", "ocpp", "check", *arguments],
        cwd=cwd,
        input=stdin,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=ROOM_S,
        check=False,
    )
    assert "Traceback" not in done.stderr
    for secret in (KEY, KEY.encode().hex(), HEADER):
        assert secret not in done.stdout + done.stderr
    return done


def test_url_subprotocol_and_form_of_the_header(tmp_path: Path) -> None:
    done = check(*PLAIN, "--key-env", "K", "--json", cwd=tmp_path, K=KEY.encode().hex())
    first, last = (json.loads(line) for line in done.stdout.splitlines())
    assert done.returncode == 0
    assert first["url"] == "ws://csms.example.com/ocpp/CP-1"
    assert first["subprotocol"] == "ocpp1.6"
    assert first["authorization"] is None
    assert "20 bytes of key" in first["authorization_form"]
    assert all(each["agrees"] for each in first["key"]["as given"])
    assert last == {"event": "summary", "ok": True, "warnings": len(first["warnings"])}


def test_who_reads_the_key_in_another_way(tmp_path: Path) -> None:
    done = check(*PLAIN, "--key-stdin", cwd=tmp_path, stdin="00" * 20 + "\n")
    assert done.returncode == 0
    assert [line.split()[1] for line in done.stdout.splitlines() if "DIFF" in line] == ["EVerest"]


def test_the_projects_values(tmp_path: Path) -> None:
    (tmp_path / "evtool.toml").write_text(SETTINGS)
    done = check(cwd=tmp_path, STATION_KEY=KEY)
    assert done.returncode == 0
    assert "ws://csms.example.com:9000/ocpp/CP-0001" in done.stdout
    assert "key, as hex digits:" in done.stdout


@pytest.mark.parametrize("place", ['file = "own.key"', 'env = "OWN"'])
def test_the_projects_own_certificate_is_judged_and_shown_with_its_key(
    tmp_path: Path, closed_port: int, place: str
) -> None:
    begin = datetime.now(UTC) - timedelta(days=1)
    authority = Authority(begin, days=900)
    own = authority.issue("CP-0001", begin, days=800)
    (tmp_path / "ca.pem").write_bytes(authority.root.pem())
    (tmp_path / "own.pem").write_bytes(own.pem())
    key = tmp_path / "own.key"
    key.write_text(own.key_pem())
    key.chmod(0o600)
    settings = SETTINGS.replace("ws://csms.example.com:9000", f"wss://127.0.0.1:{closed_port}")
    (tmp_path / "evtool.toml").write_text(
        f'{settings}security_profile = 3\nca_certificate = "ca.pem"\n'
        f'client_certificate = "own.pem"\nclient_key = {{ {place} }}\n'
    )
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    done = check("--connect", cwd=tmp_path, OWN=own.key_pem(), TMPDIR=str(temporary))
    assert "CP-0001: the private key belongs to it" in done.stdout
    assert (done.returncode, "FAILED   tcp" in done.stdout) == (3, True), done.stderr
    assert own.key_pem().splitlines()[1] not in done.stdout + done.stderr
    assert list(temporary.iterdir()) == []
    key.chmod(0o644)
    done = check(cwd=tmp_path, OWN=own.key_pem())
    assert done.returncode == (2 if "file" in place else 0)


def test_a_problem_is_exit_code_1(tmp_path: Path) -> None:
    done = check(*PLAIN, cwd=tmp_path)
    assert done.returncode == 1
    assert "key: security profile 1 needs one" in done.stdout
    assert "fix:" in done.stderr


def test_two_keys_and_none_at_all_are_usage_errors(tmp_path: Path) -> None:
    assert check(*PLAIN, "--key-env", "A", "--key-stdin", cwd=tmp_path).returncode == 2
    assert check(*PLAIN, "--key-env", "UNSET_VARIABLE", cwd=tmp_path).returncode == 2
    assert check(*PLAIN, "--key-stdin", cwd=tmp_path).returncode == 2
    readable = tmp_path / "key"
    readable.write_text(KEY)
    readable.chmod(0o644)
    done = check(*PLAIN, "--key-file", str(readable), cwd=tmp_path)
    assert done.returncode == 2
    assert "chmod 600" in done.stderr


def test_a_connection_that_fails_is_exit_code_3(tmp_path: Path, closed_port: int) -> None:
    url = f"ws://127.0.0.1:{closed_port}/ocpp"
    arguments = ("--identity", "CP-1", "--url", url, "--key-env", "K", "--connect", "--json")
    done = check(*arguments, cwd=tmp_path, K=KEY)
    documents = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 3
    assert [each["outcome"] for each in documents if each.get("event") == "step"] == [
        "ok",
        "refused",
    ]
    assert documents[-1]["exit_code"] == 3
    assert documents[-1]["fix"]


def test_secrets_are_not_shown_where_nobody_can_be_asked(tmp_path: Path) -> None:
    done = check(*PLAIN, "--key-env", "K", "--show-secrets", cwd=tmp_path, K=KEY)
    assert done.returncode == 2
    assert "asks first" in done.stderr


def show_secrets(tmp_path: Path, answer: bytes) -> str:
    """What it prints at a terminal where `answer` is typed."""
    terminal, other_end = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "evtool", "ocpp", "check", *PLAIN, "--key-env", "K",
         "--show-secrets"],
        cwd=tmp_path, env=os.environ | {"K": KEY}, text=True,
        stdin=other_end, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    os.close(other_end)
    os.write(terminal, answer)
    out, errors = process.communicate(timeout=ROOM_S)
    os.close(terminal)
    assert process.returncode == 0, errors
    assert "Print it on this terminal?" in errors
    return out


def test_secrets_are_shown_after_a_yes_alone(tmp_path: Path) -> None:
    assert HEADER in show_secrets(tmp_path, b"y\n")
    assert HEADER not in show_secrets(tmp_path, b"n\n")


def test_a_token_in_the_urls_query_is_shown_to_nobody(tmp_path: Path) -> None:
    url = "ws://127.0.0.1:9/ocpp?token=t0ps3cret"
    for more in ((), ("--json",)):
        done = check(
            *("--identity", "CP-1", "--url", url, "--key-env", "K", "--connect", *more),
            cwd=tmp_path,
            K=KEY,
        )
        assert done.returncode == 3
        assert "t0ps3cret" not in done.stdout + done.stderr
        assert "ws://127.0.0.1:9/ocpp?****" in done.stdout
