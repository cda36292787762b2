# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool doctor`: everything by name and version, and the command that mends what is missing."""

from __future__ import annotations

import grp
import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace

import pytest
from build_projects import environment, make_project
from serial.tools import list_ports
from stand_in_packages import make_computer

from evtool.cli import doctor_checks
from evtool.cli.doctor_checks import Check
from evtool.project import load_project

ROOM_S = 60


def named(checks: Iterable[Check], name: str) -> Check:
    (found,) = [check for check in checks if check.name.strip() == name]
    return found


def doctor(root: Path, variables: dict[str, str], code: int = 0) -> list[dict[str, object]]:
    done = subprocess.run(
        [sys.executable, "-m", "evtool", "doctor", "--json"],
        cwd=root,
        env=variables,
        capture_output=True,
        text=True,
        timeout=ROOM_S,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    document = json.loads(done.stdout)
    assert document["good"] == (code == 0)
    rows: list[dict[str, object]] = document["checks"]
    assert all(row["fix"] is None for row in rows if row["good"])
    return rows


def test_every_package_with_its_version_and_no_look_into_the_network(tmp_path: Path) -> None:
    root, core = make_project(tmp_path / "p"), tmp_path / "core"
    libraries = root / "firmware/.pio/libdeps/esp32dev"
    make_computer(core, libraries)
    settings = (root / "evtool.toml").read_text().replace('"host"', '"esp32dev"')
    (root / "evtool.toml").write_text(settings)
    variables = environment(tmp_path, PLATFORMIO_CORE_DIR=str(core))
    rows = doctor(root, variables)
    details = [row["detail"] for row in rows if row["name"] in ("platform", "tool", "library")]
    assert sorted(map(str, details)) == [
        "bblanchon/ArduinoJson 6.21.5",
        "espressif/toolchain-xtensa-esp32 8.4.0+2021r2-patch5",
        "links2004/WebSockets 2.7.2",
        "matth-x/MicroOcpp 1.2.0",
        "platformio/espressif32 6.12.0",
        "platformio/framework-arduinoespressif32 3.20017.0",
        "platformio/tool-esptoolpy 2.40900.0",
        "platformio/tool-scons 4.41101.0",
    ]
    names = {row["name"]: row["detail"] for row in rows}
    for package in ("esptool", "platformio", "scons", "python-can", "cryptography"):
        assert names[package] == importlib.metadata.version(package)
    assert str(names["C++ compiler"]).startswith("g++ ")
    assert not (tmp_path / "network").exists()
    assert not list((tmp_path / "home").iterdir()), "doctor changes nothing"
    assert not list(core.rglob("__pycache__"))
    platform_py = core / "platforms/espressif32/platform.py"
    text = platform_py.read_text()
    platform_py.write_text(text + "raise KeyError('broken')\n")
    (broken,) = [r for r in doctor(root, variables, code=1) if r["needed"] and not r["good"]]
    assert "refuses esp32dev: KeyError" in str(broken["detail"])
    platform_py.write_text(text)

    shutil.rmtree(libraries / "WebSockets")
    rows = doctor(root, variables, code=1)
    bad = {row["name"]: row for row in rows if not row["good"] and row["needed"]}
    assert "links2004/WebSockets 2.7.2: missing" in str(bad["library"]["detail"])
    assert "evtool build --env esp32dev" in str(bad["build --env esp32dev"]["fix"])
    assert "evtool bundle install" in str(bad["build --env esp32dev"]["fix"])


def test_a_package_with_extras_is_named_once() -> None:
    names = [check.name for check in doctor_checks.machine()]
    assert "psycopg" in names
    assert len(names) == len(set(names))


def test_a_python_package_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.metadata.version

    def version(name: str) -> str:
        if name == "websockets":
            raise importlib.metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    check = named(doctor_checks.machine(), "websockets")
    assert (check.good, check.needed) == (False, True)
    assert "websockets>=13 is needed" in check.detail
    assert check.fix is not None
    assert "pip install" in check.fix


def test_no_compiler(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    check = named(doctor_checks.machine(), "C++ compiler")
    assert not check.good
    assert check.fix is not None
    assert "apt-get install g++" in check.fix


def _port(device: str, **fields: object) -> SimpleNamespace:
    plain: dict[str, object] = {"description": "n/a"}
    plain |= dict.fromkeys(("vid", "pid", "serial_number", "location"))
    return SimpleNamespace(device=device, **(plain | fields))


def test_ports_with_their_usb_identity_and_rights(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ours, theirs = tmp_path / "ttyUSB0", tmp_path / "ttyUSB1"
    ours.touch()
    theirs.touch()
    usb = {"description": "CP2102", "vid": 0x10C4, "pid": 0xEA60, "serial_number": "0001"}
    ports = [_port(str(theirs)), _port(str(ours), **usb)]
    monkeypatch.setattr(list_ports, "comports", lambda: ports)
    monkeypatch.setattr(os, "access", lambda path, mode: path == str(ours))
    first, second = doctor_checks.serial_ports()
    assert first.good
    assert first.detail == f"{ours} (CP2102), USB 10c4:ea60, serial number 0001"
    assert (second.good, second.needed) == (False, False)
    assert second.detail == f"{theirs}: you may not open it"
    group = grp.getgrgid(theirs.stat().st_gid).gr_name
    assert second.fix is not None
    assert second.fix.startswith(f"sudo usermod -aG {group} ")


@pytest.mark.parametrize(
    ("user", "groups", "good"), [(0, [], True), (7, [], False), (7, [20], True)]
)
def test_rights_before_a_board_is_connected(
    monkeypatch: pytest.MonkeyPatch, user: int, groups: list[int], good: bool
) -> None:
    monkeypatch.setattr(list_ports, "comports", lambda: [])
    monkeypatch.setattr(grp, "getgrnam", lambda name: SimpleNamespace(gr_gid=20))
    monkeypatch.setattr(os, "geteuid", lambda: user)
    monkeypatch.setattr(os, "getegid", lambda: 7)
    monkeypatch.setattr(os, "getgroups", lambda: groups)
    ports, rights = doctor_checks.serial_ports()
    assert (ports.name, ports.good, ports.needed) == ("serial ports", False, False)
    assert rights.good == good
    assert rights.fix is not None
    assert "usermod -aG dialout" in rights.fix


def test_no_room(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    loaded = load_project(make_project(tmp_path / "p") / "evtool.toml")
    monkeypatch.setenv("EVTOOL_CORE_DIR", str(tmp_path / "not/yet"))
    usage = SimpleNamespace(free=1_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
    check = named(doctor_checks.project(loaded), "disk, packages")
    assert (check.good, check.needed) == (False, True)
    assert check.detail == f"0.0 GB free in {tmp_path}"
    assert check.fix == "make 0.3 GB free there"


def test_a_bundle_that_is_named_and_not_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    loaded = load_project(make_project(tmp_path / "p") / "evtool.toml")
    monkeypatch.setenv("EVTOOL_BUNDLE_DIR", str(tmp_path / "nothing"))
    check = named(doctor_checks.project(loaded), "bundle")
    assert not check.good
    assert check.fix == f"evtool bundle install FILE --to {tmp_path / 'nothing'}"


def test_secrets_in_clear_beside_a_sealing_key_are_named(tmp_path: Path) -> None:
    root = make_project(tmp_path / "p")
    kept = root / ".evtool" / "secrets"
    kept.mkdir(parents=True)
    (kept / "CP-0001_authorization_key").touch(0o600)

    def names() -> list[str]:
        return [check.name for check in doctor_checks.project(load_project(root / "evtool.toml"))]

    assert "secrets" not in names()
    settings = root / "evtool.toml"
    settings.write_text(settings.read_text() + '[provision]\nsealing_key = { env = "K" }\n')
    found = named(doctor_checks.project(load_project(settings)), "secrets")
    assert not found.good
    assert "1 kept in clear" in found.detail
    assert "CP-0001_authorization_key" in found.detail
    (kept / "CP-0001_authorization_key").unlink()
    assert "secrets" not in names()
