# SPDX-License-Identifier: GPL-3.0-or-later
"""The station at other chips, behind TCP and RFC 2217, and at boards whose fuses are burned."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest
from board_images import bootloader
from flash_project import PROGRAM

from evtool.cli.flash_worker import Logs, Worker
from evtool.errors import EvtoolError
from evtool.flash.station.board_run import Task
from evtool.flash.station.boot import BootProof
from evtool.flash.station.gates import Gates
from evtool.flash.station.order import Order
from evtool.flash.station.units import Units
from evtool.flash.station.verdict import BoardResult, Verdict
from evtool.protocol import app_image, host_image, partition_table
from evtool.protocol.board_flash import FlashPart
from evtool.pytest_plugin import StartBoard, VirtualBoard, virtual_boards
from evtool.resources import firmware_dir

__all__ = ["virtual_boards"]  # a fixture

# pyserial's client of RFC 2217 starts its thread in the old way.
pytestmark = pytest.mark.filterwarnings(r"ignore:set(Daemon|Name)\(\):DeprecationWarning")

_BYTES = random.Random(2).randbytes(0x9000)  # noqa: S311 - bytes that do not compress
PARTS = (FlashPart("image", 0x20000, _BYTES + bytes(0x4000)),)


def work(board: VirtualBoard, task: Task, said: list[str] | None = None) -> BoardResult:
    worker = Worker(task, Units(), Logs(None), isolate=False)

    def tell(name: str, _fields: object) -> None:
        if said is not None:
            said.append(name)

    return worker(board.serial_port, tell, lambda: False)


def order(chip: str) -> Order:
    return Order(chip, 4 << 20, PARTS, "", "test")


@pytest.mark.parametrize("transport", ["pty", "socket", "rfc2217"])
@pytest.mark.parametrize("chip", ["esp32", "esp32s3", "esp32c3"])
def test_every_chip_behind_every_port(
    virtual_boards: StartBoard, chip: str, transport: str
) -> None:
    if (chip, transport) != ("esp32", "socket"):
        options = ["--chip", chip, "--transport", transport]
    else:
        options = ["--transport", transport, "--flash-size", "16MB"]
    board = virtual_boards(*options)
    result = work(board, Task(order(chip), baudrate=921_600))
    assert result.verdict is Verdict.FLASHED, result.error
    assert result.facts is not None
    assert result.facts.chip.chip == chip
    assert result.facts.flash_size == (16 << 20 if "16MB" in options else 4 << 20)
    assert all(board.flash()[part.offset : part.end] == part.data for part in PARTS)
    assert work(board, Task(order(chip))).verdict is Verdict.UNCHANGED


def test_behind_rfc2217_the_start_is_seen_too(virtual_boards: StartBoard) -> None:
    board = virtual_boards("--transport", "rfc2217")
    table = partition_table.parse((firmware_dir() / "partitions.csv").read_text())
    application = host_image.host_image(PROGRAM, version="1.2.3", project_name="test")
    parts = (
        FlashPart("bootloader", 0x1000, bootloader()),
        FlashPart("partition-table", 0x8000, partition_table.encode(table)),
        FlashPart("app", 0x10000, app_image.encode(application)),
    )
    whole = Order("esp32", 4 << 20, parts, "cafe", "test")
    result = work(board, Task(whole, boot=BootProof("cafe", 20_000)))
    assert result.verdict is Verdict.FLASHED, result.error
    assert result.boot is not None
    assert result.boot["build"] == "cafe"


def _burn(board: VirtualBoard, chip: str, *fuse: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "espefuse", "--chip", chip, "--port", board.serial_port,
         "--do-not-confirm", "burn-efuse", *fuse],
        capture_output=True, text=True, timeout=60, check=False, env=board.environment,
    )  # fmt: skip
    # The fuse that takes the registers away takes them from espefuse's next question, too.
    locked = "ENABLE_SECURITY_DOWNLOAD" in fuse and "0xa" in done.stderr
    assert done.returncode == 0 or locked, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("chip", "fuse", "words", "mended"),
    [
        ("esp32", ("FLASH_CRYPT_CNT", "1"), "flash encryption is switched on", True),
        ("esp32", ("ABS_DONE_1", "1"), "secure boot is switched on", True),
        ("esp32c3", ("SECURE_BOOT_EN", "1"), "secure boot is switched on", True),
        ("esp32c3", ("ENABLE_SECURITY_DOWNLOAD", "1"), "in secure download mode", False),
    ],
)
def test_a_secured_board_is_refused_unless_the_images_are_made_for_it(
    virtual_boards: StartBoard, chip: str, fuse: tuple[str, str], words: str, mended: bool
) -> None:
    board = virtual_boards("--chip", chip)
    _burn(board, chip, *fuse)
    result = work(board, Task(order(chip)))
    assert result.verdict is Verdict.REFUSED, result
    assert isinstance(result.error, EvtoolError)
    assert words in result.error.message
    assert set(board.flash()) == {0xFF}
    allowed = work(board, Task(order(chip), Gates(allow_secured=True)))
    assert allowed.verdict is (Verdict.FLASHED if mended else Verdict.REFUSED), allowed.error


def test_a_power_cut_in_the_middle_is_mended_by_the_next_attempt(
    virtual_boards: StartBoard, tmp_path: Path
) -> None:
    board = virtual_boards("--do", "cut_after 90000")
    said: list[str] = []
    result = work(board, Task(order("esp32"), baudrate=921_600), said)
    assert said.count("attempt") > 1
    board.tell("power_on")
    assert result.verdict.good or work(board, Task(order("esp32"))).verdict.good, result.error
    assert all(board.flash()[part.offset : part.end] == part.data for part in PARTS)
