# SPDX-License-Identifier: GPL-3.0-or-later
"""Standard output that makes nobody wait."""

from __future__ import annotations

import os
import tty
from pathlib import Path

from evtool.link.outlet import Outlet

SIZE = 1_000_000


def read_all(descriptor: int) -> bytes:
    os.set_blocking(descriptor, False)
    parts = []
    try:
        while data := os.read(descriptor, 65_536):
            parts.append(data)
    except BlockingIOError:
        pass
    return b"".join(parts)


def test_a_pipe_that_is_full_gets_the_rest_later_and_in_order() -> None:
    reader, writer = os.pipe()
    data = os.urandom(SIZE)
    with Outlet(writer) as outlet:
        for start in range(0, SIZE, 1000):
            outlet.write(data[start : start + 1000])
        got = b""
        while not outlet.flush():
            got += read_all(reader)
        got += read_all(reader)
    assert got == data
    assert os.get_blocking(writer)
    os.close(reader)
    os.close(writer)


def test_what_there_is_no_room_for_is_counted_and_the_next_write_is_whole() -> None:
    reader, writer = os.pipe()
    with Outlet(writer, most_kept=10_000) as outlet:
        for _ in range(100):
            outlet.write(b"x" * 4999 + b"\n")
        assert outlet.dropped > 0
        assert 0 < outlet.kept <= 10_000
        got = read_all(reader)
        while not outlet.flush():
            got += read_all(reader)
        outlet.write(b"y\n")
        got += read_all(reader)
    assert len(got) == 100 * 5000 - outlet.dropped + 2
    assert set(got.splitlines()) == {b"x" * 4999, b"y"}
    os.close(reader)
    os.close(writer)


def test_a_reader_that_has_gone_is_noticed() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with Outlet(writer) as outlet:
        outlet.write(b"x")
        assert outlet.is_gone
    os.close(writer)


def test_a_file_takes_everything_at_its_end(tmp_path: Path) -> None:
    path = tmp_path / "out"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    os.write(descriptor, b"before ")
    with Outlet(descriptor) as outlet:
        outlet.write(b"after")
    os.close(descriptor)
    assert path.read_bytes() == b"before after"


def test_a_terminal_that_is_stopped_delays_nobody() -> None:
    master, slave = os.openpty()
    tty.setraw(slave)
    data = os.urandom(200_000)
    outlet = Outlet(slave)
    outlet.write(data)
    got = b""
    while not outlet.flush():
        got += read_all(master)
    outlet.close()
    got += read_all(master)
    assert got == data
    assert os.get_blocking(slave)
    os.close(slave)
    os.close(master)
