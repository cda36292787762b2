# SPDX-License-Identifier: GPL-3.0-or-later
"""What a user or a machine can do to any command: one clear error, nothing half done."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest

from evtool.cli import main

ROOM_S = 60
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
url = "ws://127.0.0.1:9000/ocpp"
authorization_key = { generate = true }
"""
EVTOOL = [sys.executable, "-m", "evtool"]


def evtool(
    *arguments: str | bytes, cwd: Path, file_limit_kib: int | None = None
) -> subprocess.CompletedProcess[str]:
    """Run evtool; with `file_limit_kib` no file can grow beyond that, as on a full disk."""
    command: list[str | bytes] = [*EVTOOL, *arguments]
    if file_limit_kib is not None:
        command = ["/bin/bash", "-c", f'ulimit -f {file_limit_kib}; exec "$@"', "bash", *command]
    done = subprocess.run(
        command,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=ROOM_S,
        check=False,
    )
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) < 24, "more than a screen"
    return done


@pytest.mark.parametrize(
    "arguments",
    [
        ("flsh",),
        ("init",),
        ("sim", "bsu"),
        ("sim", "bus", "--lisen", "x"),
        ("codegen", "--check", "--dry-run"),
        ("codegen", "--project", "missing.toml"),
        ("build", "--env", "esp8266"),
        ("verify", "nonsense"),
        ("verify", "--device", "reference", "--max-duration", "5"),
        ("verify", "--device", "reference", "--can-interface", "socketcand"),
    ],
)
def test_json_is_one_document_even_for_a_wrong_command_line(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    done = evtool(*arguments, "--json", cwd=tmp_path)
    document = json.loads(done.stdout)
    assert done.returncode == document["exit_code"] == 2
    assert document["message"]
    assert document["fix"]
    assert done.stderr


@pytest.mark.parametrize(
    ("name", "words"), [("mine.toml", "mine.toml: no such file"), ("mine", "no scenario mine")]
)
def test_a_scenario_that_is_not_there(tmp_path: Path, name: str, words: str) -> None:
    done = evtool("verify", "--device", "reference", name, cwd=tmp_path)
    assert done.returncode == 2
    assert words in done.stderr


def test_init_on_a_full_disk_says_so_once_and_can_be_repeated(tmp_path: Path) -> None:
    done = evtool("init", "p", cwd=tmp_path, file_limit_kib=1)
    assert done.returncode == 1
    assert "File too large" in done.stderr
    assert not list((tmp_path / "p").iterdir())
    assert evtool("init", "p", cwd=tmp_path).returncode == 0


def test_init_that_cannot_write_the_settings_leaves_no_firmware(tmp_path: Path) -> None:
    done = evtool(
        "init", "p", "--csms-url", "ws://h/" + "v" * 100_000, cwd=tmp_path, file_limit_kib=64
    )
    assert done.returncode == 1
    assert "File too large" in done.stderr
    assert not list((tmp_path / "p").iterdir())


def test_of_several_inits_at_once_one_lays_out_the_project(tmp_path: Path) -> None:
    runs = [
        subprocess.Popen(
            [*EVTOOL, "init", "p", "--identity", f"CP-{number}"],
            cwd=tmp_path,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for number in range(3)
    ]
    codes = [run.wait(timeout=ROOM_S) for run in runs]
    assert sorted(codes) == [0, 2, 2]
    settings = (tmp_path / "p/evtool.toml").read_text()
    assert f'"CP-{codes.index(0)}"' in settings
    assert {path.name for path in (tmp_path / "p").iterdir()} == {
        "firmware",
        "evtool.toml",
        ".gitignore",
    }


def test_names_that_are_no_text(tmp_path: Path) -> None:
    done = evtool("init", "p", "--ssid", b"\xff", cwd=tmp_path)
    assert done.returncode == 2
    assert "--ssid: not UTF-8" in done.stderr
    assert not (tmp_path / "p").exists()
    done = evtool("init", b"p\xff", "--json", cwd=tmp_path)
    assert done.returncode == 0
    made = json.loads(done.stdout)["directory"]
    assert os.fsencode(made) == os.fsencode(tmp_path) + b"/p\xff"


def test_a_file_where_a_folder_must_be(tmp_path: Path) -> None:
    (tmp_path / "evtool.toml").write_text(SETTINGS)
    (tmp_path / "passphrase").write_text("hunter22hunter\n")
    (tmp_path / "passphrase").chmod(0o600)
    (tmp_path / ".evtool").touch()
    done = evtool("codegen", "--json", cwd=tmp_path)
    assert done.returncode == json.loads(done.stdout)["exit_code"] == 1
    assert str(tmp_path / ".evtool") in done.stderr
    assert "fix: " in done.stderr


@pytest.mark.parametrize(
    ("platformio_ini", "message"),
    [
        ("garbage [", "no section headers"),
        ("", "no environment 'esp32dev'"),
        (None, "platformio.ini: No such file"),
    ],
)
def test_doctor_with_a_broken_firmware(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, platformio_ini: str | None, message: str
) -> None:
    (tmp_path / "evtool.toml").write_text(SETTINGS)
    (tmp_path / "firmware").mkdir()
    if platformio_ini is not None:
        (tmp_path / "firmware/platformio.ini").write_text(platformio_ini)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    done = evtool("doctor", "--json", cwd=tmp_path)
    assert done.returncode == 1
    checks = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
    assert message in checks["build --env esp32dev"]["detail"]
    assert not list(home.iterdir()), "doctor changes nothing"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
@pytest.mark.parametrize(
    "arguments",
    [("verify", "--list"), ("verify", "--list", "--json"), ("--help",), ("--version",)],
)
def test_output_onto_a_full_disk(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        done = subprocess.run(
            [*EVTOOL, *arguments],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=ROOM_S,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == "evtool: cannot write the output: No space left on device\n"


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)]
)
def test_a_signal_unwinds(tmp_path: Path, number: signal.Signals, code: int) -> None:
    """Not the sudden death that Python's default is, which leaves temporary files behind."""
    (tmp_path / "evtool.toml").write_text(SETTINGS)
    fifo = tmp_path / "passphrase"
    os.mkfifo(fifo, 0o600)
    process = subprocess.Popen(
        [*EVTOOL, "codegen"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        writer = _writer_once_it_is_read(fifo)
        process.send_signal(number)
        os.close(writer)  # one that came just before the read would only be seen after it
        _, errors = process.communicate(timeout=ROOM_S)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == code
    assert b"Traceback" not in errors


def test_ctrl_c_while_the_command_is_still_being_loaded(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Loading(ModuleType):
        def __getattr__(self, name: str) -> object:
            raise KeyboardInterrupt

    monkeypatch.setitem(sys.modules, "evtool.cli.group", Loading("evtool.cli.group"))
    monkeypatch.setattr(sys, "argv", ["evtool", "doctor"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 130
    assert capsys.readouterr().err == "evtool: stopped\n"


def _writer_once_it_is_read(fifo: Path) -> int:
    limit = time.monotonic() + ROOM_S
    while time.monotonic() < limit:
        try:
            return os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            time.sleep(0.02)
    raise TimeoutError("nobody reads the file of the passphrase")
