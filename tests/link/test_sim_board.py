# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool sim board` as its users meet it: unmodified esptool on the serial port, a console."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import serial
from board_images import APP0, application, flash_image, parts
from running_board import DEADLINE_S, MAC, Board

from evtool.protocol import slip
from evtool.protocol.esp_loader import SYNC_DATA, Op, block_checksum
from evtool.protocol.nvs import parse_image
from evtool.protocol.partition_table import TABLE_OFFSET

pytestmark = pytest.mark.skipif(
    not Path("/dev/ptmx").exists() or sys.platform != "linux",
    reason="needs Linux's pseudo-terminals and inotify",
)

FLASH_SIZE = 4 << 20


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Board]:
    running = Board(tmp_path / "board")
    yield running
    running.end()


@pytest.fixture
def flashed_board(tmp_path: Path) -> Iterator[Board]:
    """A board that holds a whole firmware already."""
    folder = tmp_path / "board"
    folder.mkdir()
    (folder / "flash.bin").write_bytes(flash_image(parts(), FLASH_SIZE))
    running = Board(folder)
    yield running
    running.end()


def esptool(board: Board, *arguments: str | Path, code: int = 0) -> str:
    """Run esptool in a process of its own, as a user does."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "esptool", "--port", board.serial_port),
            *(str(each) for each in arguments),
        ],
        capture_output=True,
        timeout=60,
        check=False,
    )
    output = (done.stdout + done.stderr).decode()
    assert done.returncode == code, output
    return output


def write_files(folder: Path, contents: dict[int, bytes]) -> list[str]:
    """The contents as files, and esptool's arguments for them."""
    arguments = []
    for offset, data in contents.items():
        path = folder / f"{offset:x}.bin"
        path.write_bytes(data)
        arguments += [hex(offset), str(path)]
    return arguments


class Console:
    """A plain terminal program on the board's port."""

    def __init__(self, port: str) -> None:
        self._line = serial.Serial(port, 115200, timeout=0.1)
        self.text = ""

    def __enter__(self) -> Console:
        return self

    def __exit__(self, *_: object) -> None:
        self._line.close()

    def wait_for(self, text: str) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while text not in self.text:
            assert time.monotonic() < deadline, f"no {text!r} in {self.text!r}"
            self.text += self._line.read(4096).decode("ascii", "replace")

    def type(self, keys: bytes) -> None:
        self._line.write(keys)


def noise(length: int, seed: int) -> bytes:
    return random.Random(seed).randbytes(length)  # noqa: S311 - flash contents, no secret


def test_esptool_knows_the_chip(board: Board) -> None:
    output = esptool(board, "chip-id")
    assert "ESP32-D0WD-V3 (revision v3.0)" in output
    assert "Crystal frequency:  40MHz" in output
    assert "Stub flasher running." in output
    assert MAC in esptool(board, "--no-stub", "read-mac")
    assert "Detected flash size: 4MB" in esptool(board, "--baud", "921600", "flash-id")
    assert "Detected flash size: 4MB" in esptool(
        board, "--no-stub", "--baud", "230400", "--chip", "esp32", "flash-id"
    )


@pytest.mark.parametrize(
    "options",
    [
        ["--baud", "921600"],
        ["--baud", "460800", "-u"],
        ["--no-stub"],
        ["--no-stub", "-u"],
    ],
)
def test_what_esptool_writes_it_reads_back(
    board: Board, tmp_path: Path, options: list[str]
) -> None:
    contents = {
        0x1000: parts()[0x1000],
        TABLE_OFFSET: parts()[TABLE_OFFSET],
        0x10000: noise(20_000, 1) + b"\0" * 3_000 + b"\xc0\xdb" * 500,
        0x3FF000: noise(4_096, 2),
    }
    main = [each for each in options if each != "-u"]
    files = write_files(tmp_path, contents)
    output = esptool(board, *main, "write-flash", *[o for o in options if o == "-u"], *files)
    assert output.count("Hash of data verified.") == len(contents)
    expected = flash_image(contents, FLASH_SIZE)
    assert board.flash() == expected
    esptool(board, *main, "verify-flash", *files)
    read = tmp_path / "read.bin"
    length = 0x100000 if "--no-stub" not in options else 0x8000
    esptool(board, *main, "read-flash", hex(0x10000), hex(length), read)
    assert read.read_bytes() == expected[0x10000 : 0x10000 + length]


@pytest.mark.parametrize("options", [[], ["--no-stub"]])
def test_erasing(tmp_path: Path, options: list[str]) -> None:
    folder = tmp_path / "board"
    folder.mkdir()
    (folder / "flash.bin").write_bytes(b"\0" * FLASH_SIZE)
    board = Board(folder)
    try:
        esptool(board, *options, "erase-region", "0x300000", "0x2000")
        expected = bytearray(FLASH_SIZE)
        expected[0x300000:0x302000] = b"\xff" * 0x2000
        assert board.flash() == expected
        if options:
            output = esptool(board, *options, "erase-flash", code=2)
            assert "ROM does not support function erase_flash" in output
            assert board.flash() == expected
        else:
            esptool(board, "erase-flash")
            assert board.flash() == b"\xff" * FLASH_SIZE
    finally:
        board.end()


def test_a_flipped_bit_is_found_and_mended_by_writing_again(board: Board, tmp_path: Path) -> None:
    files = write_files(tmp_path, {0x20000: noise(30_000, 3)})
    esptool(board, "write-flash", *files)
    assert "skipping" in esptool(board, "write-flash", "--skip-flashed", *files).lower()
    board.tell("flip 0x21000 5")
    board.wait_for("flipped")
    assert "Verification failed" in esptool(board, "verify-flash", *files, code=2)
    output = esptool(board, "write-flash", "--skip-flashed", *files)
    assert "Hash of data verified." in output
    esptool(board, "verify-flash", *files)


def test_flash_boot_and_talk(board: Board, tmp_path: Path) -> None:
    board.wait_for("boot_failed", reason="no boot loader at 0x1000")
    esptool(board, "write-flash", *write_files(tmp_path, parts()))
    board.wait_for("app", partition="app0", version="1.2.3")
    with Console(board.serial_port) as console:
        # It booted before this program opened the port.
        console.wait_for("rst:0x1 (POWERON_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)")
        console.wait_for(f"[event] boot reset=power_on charge_point={b'CP-0001'.hex()}\r\n")
        console.type(b"5")
        console.wait_for("key 5\r\n")
    # A terminal that comes and goes is no reset.
    with Console(board.serial_port) as console:
        console.type(b"0")
        console.wait_for("key 0\r\n")
        assert "rst:" not in console.text
        console.type(b"c")
        console.wait_for("Guru Meditation Error: Core  1 panic'ed (SIGSEGV)")
        console.wait_for("[event] boot reset=panic")
        console.type(b"q")
        console.wait_for("[event] boot reset=software")
        board.tell("reset")
        console.wait_for("[event] boot reset=power_on")
    nvs = parse_image(board.flash()[0x9000:0xE000])
    assert nvs.get("evstate", "energy_mwh") == 4711


def test_a_corrupt_application_does_not_start(flashed_board: Board) -> None:
    board = flashed_board
    board.wait_for("app")
    board.wait_for_state({"plugged": "0"})
    board.tell("flip 0x10190 0")
    board.tell("power_cycle")
    reason = board.wait_for("boot_failed")["reason"]
    assert str(reason).startswith("partition app0: Checksum failed.")
    board.tell("status")
    assert board.wait_for("status")["state"] == {}, "the state of a firmware that is gone"
    with Console(board.serial_port) as console:
        console.wait_for("esp_image: Checksum failed.")
        console.wait_for("No bootable app partitions in the partition table")


def test_esptool_again_and_again_without_a_pause(flashed_board: Board) -> None:
    """A close and a reopen in the same moment must not leave the stub running."""
    board = flashed_board
    board.wait_for("app")
    for _ in range(3):
        output = esptool(board, "chip-id")
        assert "already running" not in output
    board.wait_for("app")


def request(op: int, data: bytes, checksum: int = 0) -> bytes:
    return slip.encode(struct.pack("<BBHI", 0, op, len(data), checksum) + data)


def test_closing_and_reopening_the_port_in_one_moment_is_seen_every_time(
    flashed_board: Board,
) -> None:
    board = flashed_board
    board.wait_for("app")
    code = b"a stub that says OHAI"
    upload = (
        request(Op.MEM_BEGIN, struct.pack("<IIII", len(code), 1, 0x1800, 0x40090000))
        + request(
            Op.MEM_DATA, struct.pack("<IIII", len(code), 0, 0, 0) + code, block_checksum(code)
        )
        + request(Op.MEM_END, struct.pack("<II", 0, 0x40090000))
    )
    rom, stub = bytes.fromhex("01080400 07071220"), bytes.fromhex("01080200 00000000")
    for _ in range(40):
        with serial.Serial(board.serial_port, timeout=DEADLINE_S) as line:
            line.write(request(Op.SYNC, SYNC_DATA))
            answer = line.read_until(rom)
            assert answer.endswith(rom)
            assert stub not in answer
            line.write(upload)
            assert line.read_until(b"OHAI").endswith(b"OHAI")
            line.write(request(Op.SYNC, SYNC_DATA))
            assert line.read_until(stub).endswith(stub)


def test_esptool_killed_while_it_writes(board: Board, tmp_path: Path) -> None:
    files = write_files(tmp_path, {0x10000: noise(3_000_000, 4)})
    board.tell("latency 20")  # it takes some seconds, however late this process looks
    board.wait_for("latency")
    writer = subprocess.Popen(
        [sys.executable, "-m", "esptool", "--port", board.serial_port, "write-flash", *files],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + DEADLINE_S
        while board.flash()[0x10000:0x11000] == b"\xff" * 0x1000:
            assert time.monotonic() < deadline, "esptool wrote nothing"
        writer.send_signal(signal.SIGINT)
    finally:
        writer.wait(timeout=DEADLINE_S)
    assert board.flash()[0x2EC000:0x2EC100] == b"\xff" * 0x100, "it had finished already"
    output = esptool(board, "write-flash", *write_files(tmp_path, {0x10000: noise(9_000, 5)}))
    assert "already running" not in output
    assert board.flash()[0x10000 : 0x10000 + 9_000] == noise(9_000, 5)


def children_of(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(each) for each in text.split()]


def is_running(pid: int) -> bool:
    """Whether it has not ended; an orphan may wait for init as a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_a_board_that_is_killed_keeps_its_flash_and_takes_its_program_along(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "board"
    folder.mkdir()
    (folder / "flash.bin").write_bytes(flash_image(parts(), FLASH_SIZE))
    board = Board(folder)
    board.wait_for("app")
    with Console(board.serial_port) as console:
        console.wait_for("[event] boot")
    before = hashlib.sha256(board.flash()).digest()
    programs = children_of(board.process.pid)
    assert len(programs) == 1
    board.process.kill()
    board.process.wait()
    board.end()
    deadline = time.monotonic() + DEADLINE_S
    while any(is_running(each) for each in programs):
        assert time.monotonic() < deadline, "the program outlives its board"
        time.sleep(0.01)
    again = Board(folder)
    try:
        again.wait_for("app")
        assert hashlib.sha256(again.flash()).digest() == before
    finally:
        again.end()


def test_the_console_never_holds_up_the_firmware_and_keeps_only_its_end(tmp_path: Path) -> None:
    chatter = b"""#!/bin/sh
PATH=/usr/bin:/bin
i=0
while [ $i -lt 4000 ]; do echo "line $i of a long story that nobody reads"; i=$((i+1)); done
echo "runs done" >&3
sleep 1000
"""
    folder = tmp_path / "board"
    folder.mkdir()
    image = flash_image(parts() | {APP0: application(chatter)}, FLASH_SIZE)
    (folder / "flash.bin").write_bytes(image)
    board = Board(folder)
    try:
        # The script comes this far only if all its output was taken.
        board.wait_for("no_identity")
        with Console(board.serial_port) as console:
            console.wait_for("line 3999 of a long story")
            assert len(console.text) < 20_000
    finally:
        board.end()


def test_two_boards_do_not_share_a_flash(board: Board) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "evtool", "sim", "board", "--state-dir", str(board.folder)],
        capture_output=True,
        stdin=subprocess.DEVNULL,
        timeout=60,
        check=False,
    )
    assert done.returncode == 3
    assert b"another virtual board uses this flash" in done.stderr


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--mac", "nonsense"], b"six pairs of hex digits"),
        (["--mac", "03:00:00:00:00:01"], b"--mac 02:00:00:00:00:01"),
        (["--flash-size", "3MB"], b"3MB"),
    ],
)
def test_bad_options_are_named(tmp_path: Path, options: list[str], says: bytes) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "evtool", "sim", "board", "--state-dir", str(tmp_path)),
            *options,
        ],
        capture_output=True,
        stdin=subprocess.DEVNULL,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert says in done.stderr


def test_a_board_takes_no_link_of_another_one_that_runs(tmp_path: Path) -> None:
    link = tmp_path / "ttyBOARD"
    board = Board(tmp_path / "board", "--link", str(link))
    try:
        with pytest.raises(pytest.fail.Exception, match="another virtual board that runs"):
            Board(tmp_path / "other", "--link", str(tmp_path / "other" / ".." / "ttyBOARD"))
        assert link.readlink() == Path(board.serial_port)
        board.process.kill()
        board.process.wait(timeout=DEADLINE_S)
        other = Board(tmp_path / "other", "--link", str(link))
        try:
            assert link.readlink() == Path(other.serial_port)
        finally:
            other.end()
    finally:
        board.end()


def test_the_link_points_at_the_port_and_goes_with_the_board(tmp_path: Path) -> None:
    link = tmp_path / "ttyBOARD"
    board = Board(tmp_path / "board", "--link", str(link))
    try:
        assert link.readlink() == Path(board.serial_port)
        board.process.send_signal(signal.SIGTERM)
        assert board.process.wait(timeout=DEADLINE_S) == 0
    finally:
        board.end()
    assert not os.path.lexists(link)
    assert (tmp_path / "board" / "flash.bin").stat().st_mode & 0o077 == 0


def test_ctrl_c_is_130(board: Board) -> None:
    board.process.send_signal(signal.SIGINT)
    assert board.process.wait(timeout=DEADLINE_S) == 130


def test_commands_that_do_not_exist_are_refused_with_the_ones_that_do(board: Board) -> None:
    for line in ("jump", "flip 0x10", "flip 0x400000 1", "flip here 1", "flip 0 9"):
        board.tell(line)
        assert board.wait_for("refused")["command"] == line
    board.tell("status")
    status = board.wait_for("status")
    assert status["mac"] == MAC
    assert status["flash_size"] == FLASH_SIZE
