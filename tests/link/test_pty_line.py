# SPDX-License-Identifier: GPL-3.0-or-later
"""The board's end of a pseudo-terminal: who is there, what is kept, what is dropped."""

from __future__ import annotations

import os
import select
import termios
from collections.abc import Iterator

import pytest

from evtool.link.outbox import BACKLOG_BYTES, GREET_MS, RECENT_BYTES, RECENT_MS
from evtool.link.pty_line import PtyLine


class Clock:
    now_ms = 0

    def __call__(self) -> int:
        return self.now_ms


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def line(clock: Clock) -> Iterator[PtyLine]:
    made = PtyLine(clock)
    yield made
    made.close()


def attach(line: PtyLine) -> int:
    return os.open(line.serial_port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)


def waiting(descriptor: int) -> bytes:
    """Everything that can be read, once nothing more comes."""
    found = b""
    while select.select([descriptor], [], [], 0.25)[0]:
        found += os.read(descriptor, 65536)
    return found


def drain(line: PtyLine, descriptor: int) -> bytes:
    found = waiting(descriptor)
    while line.wants_to_write:
        line.flush()
        found += waiting(descriptor)
    return found


def greet(line: PtyLine, clock: Clock) -> None:
    line.receive()
    clock.now_ms += GREET_MS
    line.receive()


def test_the_last_seconds_are_kept_for_the_next_program_and_nothing_older(
    line: PtyLine, clock: Clock
) -> None:
    line.send(b"minutes ago\r\n", discardable=True)
    clock.now_ms += RECENT_MS
    line.send(b"just now\r\n", discardable=True)
    line.send(b"an answer to nobody", discardable=False)
    first = attach(line)
    line.receive()
    # What programs do first of all.
    termios.tcflush(first, termios.TCIFLUSH)
    line.send(b"and now\r\n", discardable=True)
    greet(line, clock)
    assert waiting(first) == b"just now\r\nand now\r\n"
    os.close(first)
    line.receive()
    second = attach(line)
    greet(line, clock)
    assert waiting(second) == b""
    os.close(second)


def test_what_is_kept_has_a_bound(line: PtyLine, clock: Clock) -> None:
    for index in range(2000):
        line.send(b"%6d a line of some length for nobody\r\n" % index, discardable=True)
    reader = attach(line)
    greet(line, clock)
    kept = drain(line, reader)
    assert kept.endswith(b"  1999 a line of some length for nobody\r\n")
    assert RECENT_BYTES - 100 < len(kept) <= RECENT_BYTES
    os.close(reader)
    line.receive()
    # All at once, as from a program that printed it all at once: whole lines are kept.
    line.send(b"".join(b"%6d of many\n" % index for index in range(5000)), discardable=True)
    reader = attach(line)
    greet(line, clock)
    kept = drain(line, reader)
    assert kept.endswith(b"  4999 of many\n")
    assert len(kept.splitlines(keepends=True)[0]) == len(b"  4999 of many\n")
    os.close(reader)


def test_a_program_that_does_not_read_loses_old_text_but_no_answers(line: PtyLine) -> None:
    reader = attach(line)
    line.receive()
    line.send(b"<answer>", discardable=False)
    for index in range(20_000):
        line.send(b"%6d text\r\n" % index, discardable=True)
        if index == 10_000:
            line.send(b"<answer>", discardable=False)
    assert line.wants_to_write
    assert line._outbox._queued <= BACKLOG_BYTES + 100
    found = drain(line, reader)
    assert found.count(b"<answer>") == 2
    assert found.endswith(b" 19999 text\r\n")
    assert len(found) < 20_000 * 13
    os.close(reader)


def test_bytes_and_closes_keep_their_order(line: PtyLine) -> None:
    first = attach(line)
    os.write(first, b"typed and gone")
    os.close(first)
    news = line.receive()
    assert (news.data, news.closed, news.reopened) == (b"typed and gone", True, False)
    second = attach(line)
    line.receive()
    os.close(second)
    third = attach(line)
    os.write(third, b"after")
    news = line.receive()
    assert (news.data, news.closed, news.reopened) == (b"after", True, True)
    os.close(third)


def test_the_next_program_does_not_get_what_the_last_one_left_unread(line: PtyLine) -> None:
    first = attach(line)
    line.receive()
    line.send(b"answer for the first", discardable=False)
    os.close(first)
    line.receive()
    second = attach(line)
    line.receive()
    assert waiting(second) == b""
    os.close(second)


def test_two_programs_at_once_and_the_last_one_counts(line: PtyLine) -> None:
    first = attach(line)
    line.receive()
    second = attach(line)
    line.receive()
    os.close(first)
    assert not line.receive().closed
    assert line.is_open
    os.close(second)
    assert line.receive().closed
    assert not line.is_open


def test_opens_in_one_moment_are_counted_as_one_and_then_corrected(
    line: PtyLine, clock: Clock
) -> None:
    first, second = attach(line), attach(line)
    line.receive()
    os.close(first)
    line.receive()
    assert line.deadline_ms is not None
    clock.now_ms = line.deadline_ms
    line.receive()
    assert line.is_open
    os.close(second)
    assert line.receive().closed


def test_the_port_is_raw_and_tells_its_rate(line: PtyLine) -> None:
    reader = attach(line)
    settings = termios.tcgetattr(reader)
    assert settings[3] & (termios.ECHO | termios.ICANON) == 0
    settings[4] = settings[5] = termios.B921600
    termios.tcsetattr(reader, termios.TCSANOW, settings)
    assert line.baudrate() == 921_600
    os.close(reader)
