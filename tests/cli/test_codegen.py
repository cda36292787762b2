# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool codegen` as a user runs it: files, modes, exit codes, and no secret on the screen."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from evtool.resources import can_database

PASSPHRASE = "correct horse ??/ battery"
SETTINGS = """\
[charge_point]
identity = "CP-0001"
vendor = "Example"
model = "EV-CAN-1"
serial_number = "SN-0001"

[wifi]
ssid = "bench"
passphrase = { env = "TEST_PASSPHRASE" }

[csms]
url = "ws://127.0.0.1:9000/ocpp"
authorization_key = { generate = true }
"""
HEADER = "firmware/include/secrets.h"


class Project:
    """A project folder, and `evtool codegen` run in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.passphrase: str | None = PASSPHRASE
        (root / "evtool.toml").write_text(SETTINGS)

    def codegen(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        env = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
        if self.passphrase is not None:
            env["TEST_PASSPHRASE"] = self.passphrase
        done = subprocess.run(
            [sys.executable, "-m", "evtool", "codegen", *arguments],
            cwd=self.root,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert PASSPHRASE not in done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done

    def files(self) -> dict[str, bytes]:
        return {
            str(path.relative_to(self.root)): path.read_bytes()
            for path in self.root.rglob("*")
            if path.is_file() and ".git/" not in str(path)
        }


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_everything_is_written_once_and_then_left_alone(project: Project) -> None:
    done = project.codegen()
    assert done.returncode == 0, done.stderr
    names = [
        "firmware/lib/evcore/include/evcore/can_tables.hpp",
        "can_tables.py",
        "firmware/include/controller_config.hpp",
        HEADER,
    ]
    assert done.stdout.splitlines() == [f"written    {name}" for name in names]
    header = project.root / HEADER
    assert header.stat().st_mode & 0o7777 == 0o600
    assert r'#define SECRET_WIFI_PASS "correct horse \?\?/ battery"' in header.read_text()
    before = {path: (project.root / path).stat().st_mtime_ns for path in names}
    again = project.codegen()
    assert again.stdout.splitlines() == [f"unchanged  {name}" for name in names]
    assert before == {path: (project.root / path).stat().st_mtime_ns for path in names}
    assert project.codegen("--check").returncode == 0


def test_check_names_each_stale_file_and_no_secret(project: Project) -> None:
    project.codegen()
    key = next(
        line.split('"')[1]
        for line in (project.root / HEADER).read_text().splitlines()
        if "AUTHORIZATION_KEY " in line
    )
    tables = project.root / "can_tables.py"
    tables.write_text(tables.read_text().replace("0x1806E5F4", "0x1806E5F5", 1))
    project.passphrase = "another passphrase"
    before = project.files()
    done = project.codegen("--check")
    assert done.returncode == 1
    assert "2 generated files are stale" in done.stderr
    assert "can_tables.py:18: is '    ID: Final = 0x1806E5F5', must be" in done.stderr
    assert f"{HEADER}:" in done.stderr
    assert "SECRET_WIFI_PASS differs" in done.stderr
    shown = done.stdout + done.stderr
    assert "another passphrase" not in shown
    assert key not in shown
    assert project.files() == before
    document = json.loads(project.codegen("--check", "--json").stdout)
    assert document["exit_code"] == 1
    states = {Path(item["path"]).name: item["state"] for item in document["files"]}
    assert states == {
        "can_tables.hpp": "unchanged",
        "can_tables.py": "stale",
        "controller_config.hpp": "unchanged",
        "secrets.h": "stale",
    }


def test_check_finds_a_missing_file_and_a_readable_secret(project: Project) -> None:
    project.codegen()
    (project.root / "can_tables.py").unlink()
    (project.root / HEADER).chmod(0o644)
    done = project.codegen("--check")
    assert done.returncode == 1
    assert "can_tables.py: missing" in done.stderr
    assert f"{HEADER}: mode is 0644, must be 0600" in done.stderr
    project.codegen()
    assert (project.root / HEADER).stat().st_mode & 0o7777 == 0o600


def test_the_tables_need_no_secret(project: Project) -> None:
    project.passphrase = None
    assert project.codegen("--only", "can-tables", "--check").returncode == 1
    done = project.codegen("--only", "can-tables", "--only", "controller-config")
    assert done.returncode == 0, done.stderr
    assert project.codegen("--only", "can-tables", "--check").returncode == 0
    assert not (project.root / HEADER).exists()
    assert not (project.root / ".evtool").exists()
    done = project.codegen()
    assert done.returncode == 2
    assert "environment variable TEST_PASSPHRASE is not set" in done.stderr


def test_dry_run_writes_nothing(project: Project) -> None:
    before = project.files()
    done = project.codegen("--dry-run", "--only", "can-tables", "--json")
    assert done.returncode == 0
    assert [item["state"] for item in json.loads(done.stdout)["files"]] == ["would be written"] * 2
    assert project.files() == before
    assert project.codegen("--dry-run", "--check").returncode == 2


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('ssid = "bench"', f'ssid = "{"x" * 33}"', r"evtool.toml:8: [wifi] ssid"),
        ('url = "ws://127', 'url = "http://127', "evtool.toml:12: [csms] url: must be ws://"),
        ("[csms]", "[codegen]\ncan_database = 'my.dbc'\n[csms]", "cannot read CAN database"),
        ("[csms]", "[csms]\nca_certificate = 'ca.pem'", "ca_certificate: cannot read"),
        ("identity = ", "identify = ", "evtool.toml:2"),
    ],
)
def test_bad_input_writes_nothing(project: Project, old: str, new: str, message: str) -> None:
    settings = project.root / "evtool.toml"
    settings.write_text(SETTINGS.replace(old, new))
    before = project.files()
    done = project.codegen()
    assert done.returncode == 2
    assert message in done.stderr
    left = {name: data for name, data in project.files().items() if ".evtool/" not in name}
    assert left == before


def test_a_short_passphrase_is_refused_without_showing_it(project: Project) -> None:
    project.passphrase = "sesame"
    done = project.codegen("--only", "secrets")
    assert done.returncode == 2
    assert "[wifi] passphrase: (6 characters) must be 8 to 63" in done.stderr
    assert "sesame" not in done.stdout + done.stderr


def test_a_database_that_lacks_a_message(project: Project) -> None:
    text = can_database().read_text().replace("terminal_status", "terminal_state")
    (project.root / "my.dbc").write_text(text)
    settings = project.root / "evtool.toml"
    settings.write_text(SETTINGS + "\n[codegen]\ncan_database = 'my.dbc'\n")
    done = project.codegen("--only", "can-tables")
    assert done.returncode == 2
    assert "my.dbc: the controller needs what is not here: terminal_status" in done.stderr


@pytest.mark.parametrize("content", [b"", b"no DBC file", b"BO_ 100 m: 99 X\n", bytes(range(256))])
def test_a_file_that_is_no_database_comes_with_a_fix(project: Project, content: bytes) -> None:
    (project.root / "my.dbc").write_bytes(content)
    (project.root / "evtool.toml").write_text(SETTINGS + "\n[codegen]\ncan_database = 'my.dbc'\n")
    done = project.codegen("--only", "can-tables")
    assert done.returncode == 2
    assert str(project.root / "my.dbc") in done.stderr
    assert "fix: correct the DBC file" in done.stderr


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_secrets_are_refused_where_git_would_take_them(project: Project) -> None:
    def git(*arguments: str) -> None:
        subprocess.run(
            ["git", "-C", project.root, *arguments],  # noqa: S607  (the user's own git)
            check=True,
            capture_output=True,
            timeout=30,
        )

    git("init", "--quiet")
    done = project.codegen()
    assert done.returncode == 2
    assert "git does not ignore it" in done.stderr
    assert "add a line `secrets.h` to .gitignore" in done.stderr
    assert not (project.root / "can_tables.py").exists()
    (project.root / ".gitignore").write_text("secrets.h\n.evtool/\n")
    assert project.codegen().returncode == 0
    git("add", "--force", HEADER)
    done = project.codegen("--check")
    assert done.returncode == 2
    assert "git tracks it" in done.stderr
    assert f"git rm --cached {HEADER}" in done.stderr


@pytest.mark.parametrize("options", [(), ("--only", "secrets"), ("--check",), ("--dry-run",)])
def test_a_misspelt_folder_of_the_firmware_is_not_made(
    project: Project, options: tuple[str, ...]
) -> None:
    toml = project.root / "evtool.toml"
    toml.write_text(toml.read_text() + '\n[build]\nfirmware = "firmwear"\n')
    done = project.codegen(*options)
    assert done.returncode == 2
    assert f"{toml}: [build] firmware names firmwear, which is not there" in done.stderr
    assert not (project.root / "firmwear").exists()


def test_a_target_that_cannot_be_written(project: Project) -> None:
    (project.root / "can_tables.py").mkdir()
    done = project.codegen("--only", "can-tables")
    assert done.returncode == 1
    assert "cannot read can_tables.py: Is a directory" in done.stderr.replace(
        f"{project.root}/", ""
    )
