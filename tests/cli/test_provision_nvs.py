# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool provision nvs` as a user types it."""

from __future__ import annotations

import json
import os
import pty
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from flash_project import make_build, make_project

from evtool.link.background_process import BackgroundProcess
from evtool.protocol.nvs import parse_image
from evtool.protocol.nvs_encryption import NvsKeys, decode_keys, decrypt_image, derive_keys

EVTOOL = [sys.executable, "-m", "evtool"]
SECRET = "hunter2hunter2hunter"
CSV = f"""key,type,encoding,value
evcfg,namespace,,
schema,data,u8,1
cp_id,data,string,CP-0001
auth_key,data,string,{SECRET}
ca,file,binary,ca.der
"""
EVCFG = slice(0x390000, 0x396000)


def run(
    *arguments: str, cwd: Path, stdin: bytes = b"", **environment: str
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*EVTOOL, "provision", *arguments],
        cwd=cwd,
        input=stdin,
        capture_output=True,
        timeout=90,
        check=False,
        env=os.environ | environment,
    )


def nvs(
    *arguments: str, cwd: Path, stdin: bytes = b"", **environment: str
) -> subprocess.CompletedProcess[bytes]:
    return run("nvs", *arguments, cwd=cwd, stdin=stdin, **environment)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with unit.csv and what it names."""
    (tmp_path / "unit.csv").write_text(CSV, "utf-8")
    (tmp_path / "ca.der").write_bytes(bytes(range(256)) * 8)
    return tmp_path


def _build(folder: Path, *more: str) -> None:
    done = nvs("build", "unit.csv", "unit.bin", "--size", "24K", *more, cwd=folder)
    assert done.returncode == 0, done.stderr


def _keys(path: Path) -> NvsKeys:
    keys = decode_keys(path.read_bytes())
    assert isinstance(keys, NvsKeys)
    return keys


def test_an_encrypted_image_is_built_read_changed_and_compared(folder: Path) -> None:
    _build(folder, "--generate-keys", "keys.bin")
    _build(folder, "--keys", "keys.bin")
    assert {path.name for path in folder.iterdir()} == {
        "unit.csv", "ca.der", "unit.bin", "keys.bin",
    }  # fmt: skip
    for name in ("unit.bin", "keys.bin"):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600
    old = (folder / "unit.bin").read_bytes()
    assert SECRET.encode() not in old
    (folder / "old.bin").write_bytes(old)

    done = nvs("read", "unit.bin", "--keys", "keys.bin", "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert [(each["key"], each["type"], each["bytes"]) for each in document["entries"]] == [
        ("schema", "u8", None), ("cp_id", "str", 7), ("auth_key", "str", 20), ("ca", "blob", 2048),
    ]  # fmt: skip
    assert document["problems"] == []
    table = nvs("read", "unit.bin", "--keys", "keys.bin", cwd=folder).stdout.decode()
    assert "auth_key  str   20     ********" in table
    assert SECRET not in table + done.stdout.decode()

    words = ("set", "unit.bin", "evcfg", "auth_key", "string", "--keys", "keys.bin")
    done = nvs(*words, "--value-stdin", cwd=folder, stdin=b"another key\n")
    assert done.returncode == 0, done.stderr
    content = parse_image(
        decrypt_image((folder / "unit.bin").read_bytes(), _keys(folder / "keys.bin"))
    )
    assert content.get("evcfg", "auth_key") == "another key"
    assert content.get("evcfg", "ca") == bytes(range(256)) * 8
    assert stat.S_IMODE((folder / "unit.bin").stat().st_mode) == 0o600

    done = nvs("diff", "old.bin", "unit.bin", "--keys", "keys.bin", cwd=folder)
    assert done.returncode == 1
    text = done.stdout.decode()
    assert text == "~ evcfg.auth_key  str of 20 bytes -> str of 11 bytes, another value\n"
    done = nvs("diff", "old.bin", "old.bin", "--keys", "keys.bin", cwd=folder)
    assert (done.returncode, done.stdout) == (0, b"the same keys and values\n")


def test_an_image_for_a_chip_with_an_hmac_key(folder: Path) -> None:
    _build(folder, "--generate-hmac-key", "hmac.bin")
    key = folder / "hmac.bin"
    assert (len(key.read_bytes()), stat.S_IMODE(key.stat().st_mode)) == (32, 0o600)
    image = (folder / "unit.bin").read_bytes()
    content = parse_image(decrypt_image(image, derive_keys(key.read_bytes())))
    assert content.get("evcfg", "auth_key") == SECRET
    done = nvs("set", "unit.bin", "evcfg", "schema", "u8", "--hmac-key", "hmac.bin",
               "--value-stdin", cwd=folder, stdin=b"2")  # fmt: skip
    assert done.returncode == 0, done.stderr
    done = nvs("read", "unit.bin", "--hmac-key", "hmac.bin", "--json", cwd=folder)
    assert json.loads(done.stdout)["problems"] == []
    build = ("build", "unit.csv", "unit.bin", "--size", "24K")
    for more, said in (
        (("--generate-hmac-key", "hmac.bin"), b"never overwritten"),
        (("--keys", "hmac.bin"), b"is no image of a partition nvs_keys"),
        (("--keys", "hmac.bin", "--hmac-key", "hmac.bin"), b"exclude one another"),
        (("--hmac-key", "hmac.bin", "--generate-keys", "k"), b"give one of the options for keys"),
    ):
        done = nvs(*build, *more, cwd=folder)
        assert done.returncode == 2
        assert said in done.stderr
    assert len(key.read_bytes()) == 32


def test_a_pipe_that_a_row_names_is_not_waited_for(folder: Path) -> None:
    (folder / "ca.der").unlink()
    os.mkfifo(folder / "ca.der")
    done = nvs("build", "unit.csv", "unit.bin", "--size", "24K", cwd=folder)
    assert done.returncode == 2
    assert b"cannot read ca.der: it is a device or a pipe, not a file" in done.stderr


def test_secrets_are_shown_to_a_script_only_for_a_second_word(folder: Path) -> None:
    _build(folder)
    done = nvs("read", "unit.bin", "--show-secrets", cwd=folder)
    assert done.returncode == 2
    assert b"asks first, and there is no terminal" in done.stderr
    done = nvs("read", "unit.bin", "--show-secrets", "--without-asking", cwd=folder)
    assert done.returncode == 0
    assert SECRET.encode() in done.stdout
    done = nvs("read", "unit.bin", "--without-asking", cwd=folder)
    assert SECRET.encode() not in done.stdout


def test_keys_are_never_overwritten_and_never_readable_by_others(folder: Path) -> None:
    _build(folder, "--generate-keys", "keys.bin")
    before = (folder / "keys.bin").read_bytes()
    words = ("build", "unit.csv", "unit.bin", "--size", "24K")
    done = nvs(*words, "--generate-keys", "keys.bin", cwd=folder)
    assert done.returncode == 2
    assert b"never overwritten" in done.stderr
    assert (folder / "keys.bin").read_bytes() == before
    (folder / "keys.bin").chmod(0o644)
    done = nvs(*words, "--keys", "keys.bin", cwd=folder)
    assert done.returncode == 2
    assert b"chmod 600 keys.bin" in done.stderr


def test_bad_rows_write_nothing_and_leave_the_old_image_alone(folder: Path) -> None:
    _build(folder)
    before = (folder / "unit.bin").read_bytes()
    (folder / "unit.csv").write_text(CSV + f"schema,data,u8,300\n{SECRET},data,u8,1\n", "utf-8")
    words = ("build", "unit.csv", "unit.bin", "--size", "24K")
    done = nvs(*words, "--generate-keys", "keys.bin", "--json", cwd=folder)
    assert done.returncode == 2
    faults = json.loads(done.stdout)["faults"]
    assert [(each["line"], each["column"], each["previous"]) for each in faults] == [
        (7, "key", 3), (7, "value", None), (8, "key", None),
    ]  # fmt: skip
    assert b"unit.csv:7: key: evcfg.schema is there already (line 3)" in done.stderr
    assert SECRET.encode() not in done.stdout + done.stderr
    assert (folder / "unit.bin").read_bytes() == before
    assert not (folder / "keys.bin").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("build", "gone.csv", "o.bin", "--size", "24K"), "cannot read the CSV file gone.csv"),
        (("build", "unit.csv", "o.bin", "--size", "abc"), "--size: 'abc' is no size"),
        (("build", "unit.csv", "unit.csv", "--size", "24K"), "is named twice"),
        (("build", "unit.csv", "o.bin", "--size", "24K", "--keys", "ca.der"), "2048 bytes"),
        (("read", "ca.der"), "not a whole number of pages"),
        (("read", "unit.csv", "--show-secrets"), "there is no terminal"),
        (("set", "unit.bin", "n", "k", "float", "--value-stdin"), "unknown encoding"),
        (("set", "unit.bin", "n", "k", "string", "hunter2"), "the value is never an argument"),
        (("set", "unit.bin", "n", "k", "string", "--hunter2"), "the value is never an argument"),
        (
            ("set", "unit.bin", "n", "k", "string", "-----BEGIN PRIVATE KEY-----\nhunter2=="),
            "the value is never an argument",
        ),
        (("set", "unit.bin", "n", "k", "string", "--value-env", "hunter2!"), "is not set"),
        (("set", "unit.bin", "n", "k", "u8"), "give one of --value-stdin"),
        (("set", "unit.bin", "n", "k", "u8", "--value-env", "NO_SUCH"), "NO_SUCH is not set"),
    ],
)
def test_what_a_user_gets_wrong_is_named(folder: Path, words: tuple[str, ...], said: str) -> None:
    done = nvs(*words, cwd=folder)
    assert done.returncode == 2
    assert said in done.stderr.decode()
    assert b"hunter2" not in done.stderr + done.stdout
    assert not (folder / "o.bin").exists()
    assert (folder / "unit.csv").read_text("utf-8") == CSV


def test_wrong_keys_and_damage_are_exit_code_1(folder: Path) -> None:
    _build(folder, "--generate-keys", "keys.bin")
    nvs("build", "unit.csv", "b.bin", "--size", "24K", "--generate-keys", "b.keys", cwd=folder)
    done = nvs("read", "unit.bin", "--keys", "b.keys", cwd=folder)
    assert (done.returncode, b"do not open it" in done.stderr) == (1, True)
    _build(folder)
    image = bytearray((folder / "unit.bin").read_bytes())
    image[64 + 32 * 3] ^= 1
    (folder / "unit.bin").write_bytes(image)
    done = nvs("read", "unit.bin", cwd=folder)
    assert done.returncode == 1
    assert b"problem: page 0: cp_id: checksum of its data wrong" in done.stderr
    done = nvs("set", "unit.bin", "evcfg", "schema", "u8", "--value-stdin", cwd=folder, stdin=b"2")
    assert done.returncode == 1
    assert (folder / "unit.bin").read_bytes() == image


def test_values_come_from_files_and_variables_and_dry_run_writes_nothing(folder: Path) -> None:
    _build(folder)
    before = (folder / "unit.bin").read_bytes()
    words = ("set", "unit.bin", "evcfg", "schema", "u8", "--value-env", "SCHEMA")
    done = nvs(*words, "--dry-run", "--json", cwd=folder, SCHEMA="2")
    assert json.loads(done.stdout)["event"] == "plan"
    assert (folder / "unit.bin").read_bytes() == before
    assert nvs(*words, cwd=folder, SCHEMA="2").returncode == 0
    (folder / "ca.der").write_bytes(b"\0new\n")
    words = ("set", "unit.bin", "evcfg", "ca", "binary", "--value-file", "ca.der")
    assert nvs(*words, cwd=folder).returncode == 0
    content = parse_image((folder / "unit.bin").read_bytes())
    assert content.get("evcfg", "schema") == 2
    assert content.get("evcfg", "ca") == b"\0new\n"
    done = nvs(*words, "--json", cwd=folder)
    assert json.loads(done.stdout)["changed"] is False


@pytest.mark.parametrize(("answer", "is_shown"), [(b"y\n", True), (b"n\n", False)])
def test_values_are_shown_to_a_person_who_agrees(
    folder: Path, answer: bytes, is_shown: bool
) -> None:
    _build(folder)
    ours, theirs = pty.openpty()
    try:
        os.write(ours, answer)
        done = subprocess.run(
            [*EVTOOL, "provision", "nvs", "read", "unit.bin", "--show-secrets"],
            cwd=folder,
            stdin=theirs,
            capture_output=True,
            timeout=90,
            check=True,
        )
    finally:
        os.close(ours)
        os.close(theirs)
    assert b"Print them on this terminal?" in done.stderr
    assert (SECRET.encode() in done.stdout) is is_shown


def test_the_image_is_the_one_that_espressifs_program_makes(folder: Path) -> None:
    pytest.importorskip("esp_idf_nvs_partition_gen", reason="pip install it")
    _build(folder, "--generate-keys", "keys.bin")
    program = [sys.executable, "-m", "esp_idf_nvs_partition_gen", "encrypt", "unit.csv"]
    subprocess.run(
        [*program, "theirs.bin", "0x6000", "--inputkey", "keys.bin"],
        cwd=folder,
        check=True,
        capture_output=True,
        timeout=90,
    )
    assert (folder / "unit.bin").read_bytes() == (folder / "theirs.bin").read_bytes()


def test_options_before_the_word_nvs_are_refused(folder: Path) -> None:
    done = run("--dry-run", "nvs", "read", "unit.bin", cwd=folder)
    assert done.returncode == 2
    assert b"put options behind `nvs`" in done.stderr
    done = run(cwd=folder)
    assert done.returncode == 2
    assert b"Missing option '--serial-port'" in done.stderr


@pytest.fixture
def board(tmp_path: Path) -> Iterator[str]:
    """The serial port of a virtual board that holds nothing."""
    argv = [*EVTOOL, "sim", "board", "--state-dir", str(tmp_path / "board"), "--json"]
    with BackgroundProcess("board", argv, tmp_path / "board.log") as process:
        ready = process.wait_for(lambda event: event.get("event") == "ready", "board", 60)
        yield str(ready["serial_port"])


def test_one_key_of_a_board_is_changed_and_the_rest_stays(tmp_path: Path, board: str) -> None:
    project = tmp_path / "project"
    make_project(project)
    make_build(project / "build" / "host")
    flashed = [*EVTOOL, "flash", "--serial-port", board, "--no-verify"]
    subprocess.run(flashed, cwd=project, check=True, capture_output=True, timeout=90)

    at_board = ("--serial-port", board, "--json")
    done = nvs("read", "evcfg", *at_board, cwd=project)
    assert done.returncode == 0, done.stderr
    before = parse_image((tmp_path / "board" / "flash.bin").read_bytes()[EVCFG])
    listed = json.loads(done.stdout.splitlines()[-1])["entries"]
    assert {(each["namespace"], each["key"]) for each in listed} == {
        (each.namespace, each.key) for each in before.entries
    }

    words = ("set", "evcfg", "evcfg", "wifi_pass", "string", "--value-stdin", *at_board)
    done = nvs(*words, cwd=project, stdin=b"a new passphrase\n")
    assert done.returncode == 0, done.stderr
    after = parse_image((tmp_path / "board" / "flash.bin").read_bytes()[EVCFG])
    assert after.problems == ()
    changed = {each.key for each in set(before.entries) ^ set(after.entries)}
    assert changed == {"wifi_pass"}
    assert after.get("evcfg", "wifi_pass") == "a new passphrase"

    done = nvs("read", "nvs9", *at_board, cwd=project)
    assert done.returncode == 2
    assert b"no NVS partition 'nvs9' (it has: " in done.stderr
