# SPDX-License-Identifier: GPL-3.0-or-later
"""Real esptool and espefuse at every chip and every kind of port."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from evtool.pytest_plugin import StartBoard, VirtualBoard
from evtool.virtual.chips import CHIPS

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="the virtual board needs Linux"),
    pytest.mark.slow,
]

TIMEOUT_S = 110


def run(
    program: str, board: VirtualBoard, *arguments: str, environment: Mapping[str, str] = os.environ
) -> subprocess.CompletedProcess[str]:
    """`esptool` or `espefuse` at a board's port."""
    return subprocess.run(
        [sys.executable, "-m", program, "--port", board.serial_port, *arguments],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
        env=dict(environment),
    )


@pytest.mark.parametrize(
    ("chip", "transport"), [("esp32", "rfc2217"), ("esp32s3", "socket"), ("esp32c3", "pty")]
)
def test_esptool_writes_and_verifies(
    virtual_boards: StartBoard, tmp_path: Path, chip: str, transport: str
) -> None:
    board = virtual_boards("--chip", chip, "--transport", transport, "--flash-size", "8MB")
    file = tmp_path / "data.bin"
    file.write_bytes(random.Random(1).randbytes(20_000) + bytes(50_000))  # noqa: S311 - data
    lines = board.environment if transport == "pty" else os.environ
    done = run(
        "esptool", board, "--baud", "460800", "write-flash", "0x10000", str(file), environment=lines
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"Connected to {CHIPS[chip].title}" in done.stdout
    assert "Hash of data verified." in done.stdout
    assert board.flash()[0x10000:].startswith(file.read_bytes())
    assert "Detected flash size: 8MB" in run("esptool", board, "flash-id").stdout


def test_espefuse_burns_a_key_that_esptool_then_encrypts_with(
    virtual_boards: StartBoard, tmp_path: Path
) -> None:
    board = virtual_boards("--chip", "esp32c3")
    key, data = tmp_path / "key.bin", tmp_path / "data.bin"
    key.write_bytes(bytes(range(32)))
    data.write_bytes(bytes(range(256)) * 4)
    burned = run(
        *("espefuse", board, "--chip", "esp32c3", "--do-not-confirm"),
        *("burn-key", "BLOCK_KEY2", str(key), "XTS_AES_128_KEY"),
        *("burn-efuse", "SPI_BOOT_CRYPT_CNT", "1"),
    )
    assert burned.returncode == 0, burned.stdout + burned.stderr
    written = run("esptool", board, "write-flash", "--encrypt", "0x20000", str(data))
    assert written.returncode == 0, written.stdout + written.stderr
    expected = subprocess.run(
        [
            *(sys.executable, "-m", "espsecure", "encrypt-flash-data", "--aes-xts"),
            *("--keyfile", str(key), "--address", "0x20000"),
            *("--output", str(tmp_path / "cipher.bin"), str(data)),
        ],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert expected.returncode == 0, expected.stdout
    assert board.flash()[0x20000:].startswith((tmp_path / "cipher.bin").read_bytes())
    board.tell("status")
    assert board.wait_for("status")["flash_encryption"] is True
    # The key cannot be read any more, and is kept.
    summary = run("espefuse", board, "--chip", "esp32c3", "summary").stdout
    assert "?? ?? ??" in summary
    assert bytes(range(31, -1, -1)) in (board.folder / "fuses-esp32c3.bin").read_bytes()
