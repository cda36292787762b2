# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool monitor --raw` as a program: byte-exact through every kind of port, both ways, also when
the port goes and comes back."""

from __future__ import annotations

import os
import random
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from serial_ends import SerialEnd, TcpEnd, serial_end

LIMIT_S = 60
KINDS = ("pty", "socket", "rfc2217")


@pytest.fixture(params=KINDS)
def end(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SerialEnd]:
    made = serial_end(request.param, tmp_path)
    yield made
    made.close()


class Monitor:
    """The program with pipes at both ends."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "evtool", "monitor", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.stdin = self.process.stdin.fileno()
        self.stdout = self.process.stdout.fileno()
        os.set_blocking(self.stdin, False)
        os.set_blocking(self.stdout, False)

    def __enter__(self) -> Monitor:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    def type(self, data: bytes) -> int:
        try:
            return os.write(self.stdin, data)
        except BlockingIOError:
            return 0

    def printed(self) -> bytes:
        try:
            return os.read(self.stdout, 1 << 20)
        except BlockingIOError:
            return b""

    def quit(self) -> int:
        self.process.terminate()
        return self.process.wait(LIMIT_S)


def deadline() -> Iterator[None]:
    """Goes on for as long as a test may wait."""
    limit = time.monotonic() + LIMIT_S
    while time.monotonic() < limit:
        yield
    pytest.fail("it took too long")


def wait_for_attach(end: SerialEnd, monitor: Monitor, mark: bytes) -> None:
    """Until what is sent comes out: the monitor has the port open."""
    for _ in deadline():
        end.receive()
        if end.send(mark):
            for _ in range(20):
                select.select([monitor.stdout], [], [], 0.05)
                end.receive()
                if mark[-1:] in monitor.printed():
                    return


def test_random_bytes_pass_unchanged_both_ways(end: SerialEnd) -> None:
    random_bytes = random.Random(3).randbytes  # noqa: S311  test data
    down, up = random_bytes(300_000) + b"\xff\xff\r\n\0" * 99, random_bytes(60_000) + b"\xff" * 99
    with Monitor("--serial-port", end.name, "--raw") as monitor:
        wait_for_attach(end, monitor, b"!")
        sent = typed = 0
        printed, received = b"", b""
        for _ in deadline():
            sent += end.send(down[sent : sent + 4000])
            typed += monitor.type(up[typed : typed + 4000])
            printed += monitor.printed().lstrip(b"!") if not printed else monitor.printed()
            received += end.receive()
            if len(printed) >= len(down) and len(received) >= len(up):
                break
            end.wait(0.01)
        assert printed == down
        assert received == up
        assert monitor.quit() == 143


def test_a_port_that_goes_and_comes_loses_nothing_that_it_printed(
    end: SerialEnd, tmp_path: Path
) -> None:
    chance = random.Random(7)  # noqa: S311  test data
    log = tmp_path / "log"
    whole: list[bytes] = []
    with Monitor("--serial-port", end.name, "--raw", "--log", str(log)) as monitor:
        wait_for_attach(end, monitor, b"*\n")
        printed = b""
        for turn in range(6):
            lines = [
                b"%d.%d \xc3\xa9 %x" % (turn, number, chance.getrandbits(64))
                for number in range(200)
            ]
            data = b"".join(line + b"\r\n" for line in lines) + b"half %d" % turn
            whole += [*lines, b"half %d" % turn]
            at = 0
            for _ in deadline():
                end.receive()
                at += end.send(data[at : at + chance.randrange(1, 3000)])
                printed += monitor.printed()
                if printed.endswith(data[-12:]):
                    break
                end.wait(0.01)
            end.pull()
            if chance.random() < 0.5:
                time.sleep(chance.random() / 3)
            end.bring()
            wait_for_attach(end, monitor, b"*\n")
        assert monitor.quit() == 143
    kept = [line.partition(b"Z ")[2] for line in log.read_bytes().splitlines()]
    assert [line for line in kept if b"*" not in line] == whole
    assert monitor.process.stderr is not None


def test_rfc2217_sets_the_rate(tmp_path: Path) -> None:
    end = serial_end("rfc2217", tmp_path)
    try:
        with Monitor("--serial-port", end.name, "--raw", "--baudrate", "921600") as monitor:
            wait_for_attach(end, monitor, b"!")
            assert isinstance(end, TcpEnd)
            # What is sent may come out before the rate that was asked for has come in.
            for _ in deadline():
                end.receive()
                if end.baudrate == 921_600:
                    break
                end.wait(0.01)
    finally:
        end.close()


def test_a_megabyte_without_a_line_end_is_one_cut_line_in_the_log(
    tmp_path: Path,
) -> None:
    end = serial_end("pty", tmp_path)
    log = tmp_path / "log"
    try:
        with Monitor("--serial-port", end.name, "--raw", "--log", str(log)) as monitor:
            wait_for_attach(end, monitor, b"!\n")
            data = b"x" * 1_000_000
            sent, printed = 0, 0
            for _ in deadline():
                sent += end.send(data[sent : sent + 4000])
                printed += monitor.printed().count(b"x")
                if printed == len(data):
                    break
                end.wait(0.01)
            assert monitor.quit() == 143
    finally:
        end.close()
    assert max(map(len, log.read_bytes().splitlines())) < 1100
