# SPDX-License-Identifier: GPL-3.0-or-later
"""The ports of virtual boards: TCP, RFC 2217, control lines beside a pseudo-terminal, racks."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import serial
from running_board import DEADLINE_S, MAC, Board

from evtool.protocol import slip
from evtool.protocol.esp_loader import SYNC_DATA, Op
from evtool.virtual.chips import CHIPS

pytestmark = pytest.mark.skipif(
    not Path("/dev/ptmx").exists() or sys.platform != "linux",
    reason="needs Linux's pseudo-terminals and inotify",
)

SYNC = slip.encode(b"\x00" + bytes([Op.SYNC]) + b"\x24\x00\x00\x00\x00\x00" + SYNC_DATA)
WAITING = b"waiting for download"
Start = Callable[..., Board]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    boards: list[Board] = []

    def run(*options: str) -> Board:
        boards.append(Board(tmp_path / f"board{len(boards)}", *options))
        return boards[-1]

    yield run
    for each in boards:
        each.end()


def read_until(port: serial.SerialBase, mark: bytes) -> bytes:
    """All bytes up to `mark`."""
    deadline = time.monotonic() + DEADLINE_S
    data = b""
    while mark not in data:
        assert time.monotonic() < deadline, data
        data += port.read(1)
    return data


def reset_into_loader(port: serial.SerialBase) -> None:
    """The sequence of esptool's classic reset, without its waits."""
    port.dtr = False
    port.rts = True
    port.dtr = True
    port.rts = False
    port.dtr = False


def frames(port: serial.SerialBase, count: int) -> list[bytes]:
    """So many answers of a loader."""
    decoder = slip.Decoder()
    found: list[bytes] = []
    deadline = time.monotonic() + DEADLINE_S
    while len(found) < count:
        assert time.monotonic() < deadline, found
        found += [frame for frame in decoder.feed(port.read(1)) if isinstance(frame, bytes)]
    return found


# pyserial's own client starts its thread in an old way.
@pytest.mark.filterwarnings("ignore:set(Daemon|Name)\\(\\) is deprecated:DeprecationWarning")
@pytest.mark.parametrize("chip", CHIPS)
def test_rfc2217_carries_the_reset_lines_and_any_rate(start: Start, chip: str) -> None:
    board = start("--chip", chip, "--transport", "rfc2217")
    assert board.serial_port.startswith("rfc2217://127.0.0.1:")
    board.wait_for("mode", mode="halted")
    with serial.serial_for_url(board.serial_port, timeout=1) as port:
        reset_into_loader(port)
        heard = read_until(port, WAITING)
        assert CHIPS[chip].rom.download_boot.encode() in heard
        port.baudrate = 1_234_567
        port.write(SYNC)
        assert len(frames(port, 8)) == 8
        # The reset button's sequence boots from flash.
        port.rts = True
        port.rts = False
        assert CHIPS[chip].rom.flash_boot.encode() in read_until(port, b"invalid header")
    # Lines that were carried reset nothing when the port is closed.
    board.tell("status")
    assert board.wait_for("status")["mode"] == "halted"


def test_a_plain_socket_goes_by_the_first_sync(start: Start) -> None:
    board = start("--transport", "socket")
    board.wait_for("mode", mode="halted")
    with serial.serial_for_url(board.serial_port, timeout=1) as port:
        port.write(SYNC)
        assert len(frames(port, 8)) == 8
        board.wait_for("mode", mode="rom")
    board.wait_for("mode", mode="halted")


def test_a_tcp_port_serves_one_program_at_a_time(start: Start) -> None:
    board = start("--transport", "socket")
    with serial.serial_for_url(board.serial_port, timeout=1) as port:
        port.write(SYNC)
        frames(port, 8)
        host, _, number = board.serial_port.removeprefix("socket://").rpartition(":")
        with socket.create_connection((host, int(number)), timeout=DEADLINE_S) as second:
            assert second.recv(1) == b""
        port.write(SYNC)
        frames(port, 8)
    with serial.serial_for_url(board.serial_port, timeout=1) as port:
        port.write(SYNC)
        assert len(frames(port, 8)) == 8


PROGRAM = """
import sys, serial
with serial.Serial(sys.argv[1], timeout=20) as port:
    port.dtr = False
    port.rts = True
    port.dtr = True
    port.rts = False
    port.dtr = False
    print(port.read_until(b"waiting for download").decode())
    print("lines", port.dtr, port.rts, port.cts)
"""


def lines(
    *command: str, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "evtool", "sim", "lines", *command],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, **(environment or {})},
    )


def test_a_helped_program_has_lines_at_a_pseudo_terminal(start: Start, tmp_path: Path) -> None:
    board = start()
    board.wait_for("mode", mode="halted")
    # What stood in the way of the helper still runs.
    (tmp_path / "sitecustomize.py").write_text("print('other sitecustomize')\n")
    done = lines(
        *(sys.executable, "-c", PROGRAM, board.serial_port),
        environment={"PYTHONPATH": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    assert "other sitecustomize" in done.stdout
    assert "waiting for download" in done.stdout
    assert "lines False False True" in done.stdout
    # The lines were carried, so closing the port has not reset the chip out of its loader.
    board.tell("status")
    assert board.wait_for("status")["mode"] == "rom"
    # A program without the helper finds the port as it always was.
    with serial.Serial(board.serial_port, timeout=1) as port:
        port.write(SYNC)
        frames(port, 8)
    board.wait_for("mode", mode="halted")


RAISE_BOTH = """
import sys, serial
with serial.Serial(sys.argv[1]) as port:
    port.dtr = port.rts = False
    port.dtr = port.rts = True
"""


def test_the_lines_of_the_second_port_blank_the_fuses(start: Start) -> None:
    board = start("--chip", "esp32c3", "--fuse-reset-port")
    fuses = board.folder / "fuses-esp32c3.bin"
    assert any(fuses.read_bytes())
    done = lines(sys.executable, "-c", RAISE_BOTH, str(board.seen[0]["fuse_reset_port"]))
    assert done.returncode == 0, done.stderr
    assert not any(fuses.read_bytes())
    board.tell("help")
    assert board.wait_for("help")["cut_after BYTES"]


def test_a_board_in_real_time_takes_its_time_at_a_port_that_was_pulled(start: Start) -> None:
    board = start("--real-time", "--do", "latency 1")
    board.wait_for("mode", mode="halted")
    board.tell("unplug")
    board.wait_for("unplugged")
    board.tell("plug")
    with serial.Serial(str(board.wait_for("plugged")["serial_port"]), timeout=1) as port:
        port.write(SYNC)
        assert len(frames(port, 8)) == 8


def test_the_helper_leaves_other_terminals_alone() -> None:
    script = "import os, serial; m, s = os.openpty(); serial.Serial(os.ttyname(s)).dtr = True"
    done = lines(sys.executable, "-c", script)
    assert "Inappropriate ioctl" in done.stderr


def test_the_socket_of_a_board_that_was_killed_is_no_board(tmp_path: Path) -> None:
    script = (
        "import os, socket, serial; m, s = os.openpty(); name = os.ttyname(s)\n"
        "path = os.environ['EVTOOL_LINES'] + name.replace('/', '-').replace('-', '/', 1)\n"
        "left = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); left.bind(path); left.close()\n"
        "serial.Serial(name).dtr = True"
    )
    environment = {"EVTOOL_LINES": str(tmp_path)}
    done = lines(sys.executable, "-c", script, environment=environment)
    assert "Inappropriate ioctl" in done.stderr


def test_sim_lines_names_a_command_that_is_not_there() -> None:
    done = lines("no-such-program")
    assert done.returncode != 0
    assert "no-such-program" in done.stderr


def test_a_rack_of_boards_in_one_process(start: Start, tmp_path: Path) -> None:
    board = start("--count", "3", "--link", str(tmp_path / "tty"))
    ready = [event for event in board.seen if event["event"] == "ready"]
    while len(ready) < 3:
        ready.append(board.wait_for("ready"))
    assert [event["board"] for event in ready] == [0, 1, 2]
    assert len({event["serial_port"] for event in ready}) == 3
    assert [event["mac"] for event in ready] == [f"{MAC[:-1]}{n}" for n in (1, 2, 3)]
    assert (tmp_path / "tty2").readlink() == Path(str(ready[2]["serial_port"]))
    board.tell("1 status")
    assert board.wait_for("status")["board"] == 1
    board.tell("7 status")
    assert "there are 3 boards" in str(board.wait_for("refused")["reason"])
    board.tell("flip 0 0")
    assert [board.wait_for("flipped")["board"] for _ in range(3)] == [0, 1, 2]
    assert (board.folder / "1" / "flash.bin").read_bytes()[:1] == b"\xfe"


def test_a_pulled_cable_takes_the_port_away_and_the_power(start: Start, tmp_path: Path) -> None:
    link = tmp_path / "tty"
    board = start("--link", str(link))
    board.wait_for("mode", mode="halted")
    with serial.Serial(board.serial_port, timeout=1) as port:
        port.write(SYNC)
        frames(port, 8)
        board.tell("unplug")
        board.wait_for("unplugged")
        with pytest.raises(serial.SerialException):
            port.read(1)
    assert not link.exists()
    board.tell("unplug")
    assert "out already" in str(board.wait_for("refused")["reason"])
    board.tell("plug")
    plugged = board.wait_for("plugged")
    assert link.readlink() == Path(str(plugged["serial_port"]))
    with serial.Serial(str(link), timeout=1) as port:
        port.write(SYNC)
        assert len(frames(port, 8)) == 8


def test_a_mute_board_does_not_answer(start: Start) -> None:
    board = start("--do", "mute")
    with serial.Serial(board.serial_port, timeout=0.2) as port:
        port.write(SYNC)
        board.wait_for("mode", mode="rom")
        assert port.read(1) == b""
        board.tell("unmute")
        board.wait_for("mute", mute=False)
        port.write(SYNC)
        assert len(frames(port, 8)) == 8


@pytest.mark.parametrize("command", ["power_off", "unplug"])
def test_a_board_without_power_at_the_start_stays_without_it(start: Start, command: str) -> None:
    board = start("--do", command)
    board.tell("status")
    assert board.wait_for("status")["mode"] == "off"
    board.tell("plug" if command == "unplug" else "power_on")
    board.wait_for("reset", reason="power_on")
    board.wait_for("boot_failed")


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("lose 2", "not a chance"),
        ("late 0.5", "usage: late CHANCE MS"),
        ("dead_sector 0x40000000", "do not fit"),
        ("cut_after -1", "cannot be written"),
        ("latency x", "not a number"),
        ("mark_valid", "no application runs"),
        ("explode", "the commands are"),
    ],
)
def test_a_command_that_is_wrong_is_refused(start: Start, command: str, reason: str) -> None:
    board = start()
    board.tell(command)
    assert reason in str(board.wait_for("refused")["reason"])


def test_a_wrong_command_at_the_start_is_an_error(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "evtool", "sim", "board"),
            *("--state-dir", str(tmp_path / "board"), "--do", "explode"),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 2
    assert "--do 'explode'" in done.stderr
