# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool provision security` as a user types it, on a virtual board that enforces it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from secrets import token_bytes
from typing import Any

import pytest
from board_images import bootloader
from flash_project import PROGRAM, make_build, make_project

from evtool.link.ledger_database import open_ledger
from evtool.project import Secret
from evtool.protocol import app_image, host_image
from evtool.protocol.partition_table import encode, parse
from evtool.provision.run.nvs_keys import SealedNvsKeys
from evtool.provision.secrets.sealed_store import open_store
from evtool.provision.security.kept_keys import SealedFlashKeys
from evtool.pytest_plugin import VirtualBoard
from evtool.resources import firmware_dir
from evtool.virtual.chips import ESP32C3

EVTOOL = [sys.executable, "-m", "evtool"]
MAC = "02:45:56:00:00:01"
BOTH = ("--flash-encryption", "--signing-key", "sign.pem", "--release")
SEALING_KEY = "5e" * 32


def evtool(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*EVTOOL, "provision", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        env=os.environ | {"EVTOOL_SEAL": SEALING_KEY},
    )


def document(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stdout + done.stderr
    last: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return last


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with a build, a sealing key and a signing key."""
    root = tmp_path / "project"
    path = make_project(root)
    path.write_text(path.read_text() + '[provision]\nsealing_key = { env = "EVTOOL_SEAL" }\n')
    make_build(root / "build" / "host")
    assert evtool("security", "new-key", "sign.pem", cwd=root).returncode == 0
    return root


@pytest.fixture
def board(tmp_path: Path) -> Iterator[VirtualBoard]:
    board = VirtualBoard(tmp_path / "board", "--mac", MAC)
    yield board
    board.end()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_unit_is_planned_secured_for_ever_and_left_alone(
    tmp_path: Path, project: Path, board: VirtualBoard
) -> None:
    port = board.serial_port
    flashed = subprocess.run(
        [*EVTOOL, "flash", "--serial-port", port],
        cwd=project, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert flashed.returncode == 0, flashed.stderr

    plan = ("security", "plan", "--serial-port", port, *BOTH, "--json")
    planned = document(evtool(*plan, cwd=project))
    assert planned["mac"] == MAC
    assert [burn["fuse"] for burn in planned["burns"]][:2] == ["BLOCK1", "BLOCK2"]
    assert all(burn["irreversible"] for burn in planned["burns"])
    before = board.flash()

    apply = ("security", "apply", "--serial-port", port, *BOTH)
    other = evtool(*apply, "--irreversible", "02:45:56:00:00:02", cwd=project)
    assert other.returncode == 2
    assert f"the board is {MAC}" in other.stderr
    assert board.flash() == before

    applied = evtool(*apply, "--irreversible", MAC, "--json", cwd=project)
    done = document(applied)
    assert [burn["fuse"] for burn in done["burned"]] == [burn["fuse"] for burn in planned["burns"]]
    assert done["boot"]["charge_point"] == "CP-0001"
    assert board.wait_for("app", evcfg="encrypted")["partition"] == "app0"

    again = document(evtool(*apply, "--irreversible", MAC, "--json", cwd=project))
    assert again["unchanged"]
    left = document(evtool(*plan, cwd=project))
    assert (left["burns"], left["key_kept"]) == ([], True)

    # A new identity goes into the encrypted flash as well, with the keys that the ledger has.
    renamed = ("--identity", "CP-0002", "--reassign")
    given = document(evtool("--serial-port", port, *renamed, "--json", cwd=project))
    assert given["encrypted"]
    assert given["boot"]["charge_point"] == "CP-0002"
    assert b"CP-0002" not in board.flash()

    ledger = project / ".evtool" / "ledger.db"
    assert ledger.stat().st_mode & 0o777 == 0o600
    assert b"security_enabled" in ledger.read_bytes()
    printed = applied.stdout + applied.stderr + given["event"]
    for key in kept_keys(ledger):
        forms = (key, key[::-1])
        texts = [text for each in forms for text in (each.hex(), each.hex(" "))]
        assert not any(text in printed.lower() for text in texts)
        for path in (path for path in tmp_path.rglob("*") if path.is_file()):
            if path.name.startswith("fuses-"):
                continue  # the chip itself
            data = path.read_bytes()
            assert not any(each in data for each in forms), path
            assert not any(text.encode() in data.lower() for text in texts), path


def kept_keys(ledger: Path) -> tuple[bytes, bytes, bytes]:
    """The unit's keys: of its flash, and the two of its NVS."""
    with closing(open_ledger(ledger, None)) as opened:
        sealed = open_store(opened, Secret(SEALING_KEY), token_bytes)
        flash_key = SealedFlashKeys(opened, sealed, token_bytes).kept(MAC)
        nvs_keys = SealedNvsKeys(opened, sealed).kept(MAC)
    assert flash_key is not None
    assert nvs_keys is not None
    return flash_key, nvs_keys.encryption, nvs_keys.tweak


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_an_identity_is_encrypted_where_it_was_asked_for_and_stays_so(
    project: Path, board: VirtualBoard
) -> None:
    port = board.serial_port
    flashed = subprocess.run(
        [*EVTOOL, "flash", "--serial-port", port, "--no-evcfg"],
        cwd=project, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert flashed.returncode == 0, flashed.stderr
    before = board.flash()

    toml = project / "evtool.toml"
    whole = toml.read_text()
    toml.write_text(whole.partition("[provision]")[0])
    unsealed = evtool("--serial-port", port, "--encrypt", cwd=project)
    assert unsealed.returncode == 2
    assert "no sealing key" in unsealed.stderr
    assert board.flash() == before
    toml.write_text(whole)

    given = evtool("--serial-port", port, "--encrypt", cwd=project)
    assert given.returncode == 0, given.stderr
    assert "lie in the same flash" in given.stderr
    board.wait_for("app", evcfg="encrypted")
    keys = board.flash()[0x396000:0x397000]
    assert set(keys) != {0xFF}
    assert b"CP-0001" not in board.flash()

    again = document(evtool("--serial-port", port, "--json", cwd=project))
    assert again["encrypted"]
    assert again["boot"]["charge_point"] == "CP-0001"
    assert board.flash()[0x396000:0x397000] == keys
    # Flashing would write it in clear: it leaves it as it is, or refuses where it was told to.
    flash = [*EVTOOL, "flash", "--serial-port", port]
    for more, code in (([], 0), (["--with-evcfg"], 2)):
        run = subprocess.run(
            [*flash, *more], cwd=project, capture_output=True, text=True, timeout=240, check=False
        )
        assert run.returncode == code, run.stderr
        assert "has keys for its NVS" in run.stderr
    assert b"CP-0001" not in board.flash()

    text = given.stdout + given.stderr + (project / ".evtool" / "ledger.db").read_bytes().hex()
    assert keys[:32].hex() not in text


@pytest.fixture
def images(tmp_path: Path) -> list[str]:
    """A build for an ESP32-C3, image by image."""
    table = encode(parse((firmware_dir() / "partitions.csv").read_text()))
    app = host_image.host_image(PROGRAM, version="1.2.3", project_name="test", chip_id=5)
    arguments = []
    for name, offset, data in (
        ("boot", 0, bootloader(ESP32C3)),
        ("table", 0x8000, table),
        ("ota", 0xE000, b"\xff" * 0x2000),
        ("app", 0x10000, app_image.encode(app)),
    ):
        (tmp_path / f"{name}.bin").write_bytes(data)
        arguments += ["--image", f"{tmp_path / name}.bin@{offset:#x}"]
    return [*arguments, "--build-id", "cafe"]


# evtool, which dies when it prints a word: whoever watched it might be too late.
_DIES = """
import io, os, signal, sys
word = sys.argv.pop(1)

class Last(io.TextIOWrapper):
    def write(self, text):
        written = super().write(text)
        if word in text:
            os.kill(os.getpid(), signal.SIGKILL)
        return written

sys.stdout = Last(open(1, "wb", closefd=False), encoding="utf-8")
from evtool.cli.group import run
run()
"""


def killed_at(word: str, *arguments: str, cwd: Path) -> None:
    """Run evtool, which SIGKILLs itself as soon as it prints `word`."""
    done = subprocess.run(
        [sys.executable, "-c", _DIES, word, "provision", *arguments, "--json"],
        cwd=cwd, stdout=subprocess.PIPE, text=True, timeout=240, check=False,
        env=os.environ | {"EVTOOL_SEAL": SEALING_KEY},
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, f"it never said {word}: {done.stdout}"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_run_that_is_killed_again_and_again_ends_with_a_secured_unit(
    tmp_path: Path, project: Path, images: list[str]
) -> None:
    board = VirtualBoard(tmp_path / "c3", "--mac", MAC, "--chip", "esp32c3")
    port = board.serial_port
    apply = ("security", "apply", "--serial-port", port, *BOTH, "--irreversible", MAC)
    for word in (
        '"burn", "stage": "keys", "kind": "digest"', '"event": "write"',
        '"burn", "stage": "switches"', '"event": "boot"',
    ):  # fmt: skip
        killed_at(word, *apply, *images, cwd=project)
    done = document(evtool(*apply, "--lock-loader", *images, "--json", cwd=project))
    assert [burn["fuse"] for burn in done["burned"]] == ["ENABLE_SECURITY_DOWNLOAD"]
    assert done["boot"]["build"] == "cafe"
    plan = ("security", "plan", "--chip", "esp32c3", "--serial-port", port, *BOTH)
    after = evtool(*plan, cwd=project)
    assert after.returncode == 3
    assert "secure download mode" in after.stderr
    board.end()


def test_what_is_wrong_is_said_before_a_port_is_opened(project: Path) -> None:
    none = "/dev/ttyNO_SUCH_PORT"
    for arguments, says in (
        (("security", "plan", "--serial-port", none), "nothing was asked for"),
        (("security", "plan", "--serial-port", none, *BOTH, "--chip", "esp32c6"), "must be one of"),
        (
            ("security", "apply", "--serial-port", none, *BOTH, "--irreversible", "yes"),
            "must be the board's MAC",
        ),
        (
            ("security", "plan", "--serial-port", none, "--signing-key", "evtool.toml"),
            "others than its owner",
        ),
        (("security", "new-key", "sign.pem"), "never overwritten"),
    ):
        done = evtool(*arguments, cwd=project)
        assert done.returncode == 2, done.stderr
        assert says in done.stderr
    apply = ("security", "apply", "--serial-port", none, *BOTH)
    missing = evtool(*apply, cwd=project)
    assert missing.returncode == 2
    assert "--irreversible" in missing.stderr
    gone = evtool(*apply, "--irreversible", MAC, cwd=project)
    assert gone.returncode == 3
    assert none in gone.stderr
