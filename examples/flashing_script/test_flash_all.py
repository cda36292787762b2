# SPDX-License-Identifier: Apache-2.0
"""Does flash_all.py do what it says, and does it say so when it cannot?"""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

from evtool.pytest_plugin import StartBoard, VirtualBoard

SCRIPT = Path(__file__).with_name("flash_all.py")
FILES = {"bootloader.bin": 0x1000, "partitions.bin": 0x8000, "firmware.bin": 0x10000}


@pytest.fixture
def build(tmp_path: Path) -> Path:
    """A folder with three files to write."""
    for seed, name in enumerate(FILES):
        (tmp_path / name).write_bytes(random.Random(seed).randbytes(5000))  # noqa: S311
    return tmp_path


def flash(board: VirtualBoard, build: Path) -> subprocess.CompletedProcess[str]:
    """Run the script as its users do, with DTR and RTS at the board's port."""
    return subprocess.run(
        [sys.executable, str(SCRIPT), board.serial_port, str(build)],
        capture_output=True,
        text=True,
        env=board.environment,
        timeout=100,
        check=False,
    )


def test_all_files_are_in_the_flash_and_the_chip_is_reset(
    virtual_board: VirtualBoard, build: Path
) -> None:
    done = flash(virtual_board, build)
    assert done.returncode == 0, done.stdout + done.stderr
    for name, offset in FILES.items():
        data = (build / name).read_bytes()
        assert virtual_board.flash()[offset : offset + len(data)] == data
    virtual_board.tell("status")
    assert virtual_board.wait_for("status")["mode"] not in {"rom", "stub"}


@pytest.mark.parametrize("trouble", ["dead_sector 0x11000", "cut_after 9000"])
def test_a_board_that_fails_is_not_reported_as_good(
    virtual_boards: StartBoard, build: Path, trouble: str
) -> None:
    board = virtual_boards("--do", trouble)
    done = flash(board, build)
    assert done.returncode != 0
    assert "flash_all:" in done.stderr


def test_the_script_refuses_another_chip(virtual_boards: StartBoard, build: Path) -> None:
    board = virtual_boards("--chip", "esp32c3")
    assert flash(board, build).returncode != 0
    assert set(board.flash()) == {0xFF}
