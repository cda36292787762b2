# SPDX-License-Identifier: GPL-3.0-or-later
"""The monitors' benchmark counts what it says: lines sent, lines seen, and how late they were."""

from __future__ import annotations

import os
import tty

from benchmarks.monitors import read_marks
from benchmarks.paced_console import KEPT, PacedPort, line_of

from evtool.monitor.block import Block
from evtool.monitor.follow import read_telling_lines


def test_one_line_in_twenty_comes_with_a_record() -> None:
    lines = Block("p", 0, 0, b"".join(line_of(number) for number in range(200)))
    telling = read_telling_lines(lines)
    assert len(telling) == 10
    assert all(line.record is not None for line in telling)


def test_bytes_are_sent_in_order_and_what_nobody_reads_is_counted_as_lost() -> None:
    port = PacedPort()
    slave = os.open(port.name, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    tty.setraw(slave)
    got = b""
    while len(got) < 20_000:
        port.advance(700)
        got += os.read(slave, 65_536)
    assert got == b"".join(line_of(number) for number in range(port.lines))[: len(got)]
    assert port.lost == 0
    port.advance(3 * KEPT)
    assert port.lost > 0
    os.close(slave)


def test_lines_and_their_latency_are_read_from_what_was_shown() -> None:
    times = [1_000_000 * number for number in range(5)]
    chunks = [(3_000_000, b"a #0;\nb #"), (7_000_000, b"1;\nc #2;\n"), (9_000_000, b"x #4;")]
    assert read_marks(chunks, times) == (4, 5.0)
