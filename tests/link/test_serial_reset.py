# SPDX-License-Identifier: GPL-3.0-or-later
"""The reset button by RTS, where there is such a line."""

from __future__ import annotations

import fcntl
import os
import struct
import termios
from collections.abc import Iterator

import pytest

from evtool.link.serial_line import SerialLine, open_serial_line


@pytest.fixture
def line() -> Iterator[SerialLine]:
    ours, theirs = os.openpty()
    opened = open_serial_line(os.ttyname(theirs))
    os.close(theirs)
    yield opened
    opened.close()
    os.close(ours)


def test_a_pseudo_terminal_has_no_reset_line(line: SerialLine) -> None:
    assert line.reset() is False


def test_rts_is_pressed_and_released_with_dtr_left_alone(
    line: SerialLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[int, bytes]] = []
    monkeypatch.setattr(fcntl, "ioctl", lambda _, request, bits: calls.append((request, bits)))
    assert line.reset() is True
    rts = struct.pack("I", termios.TIOCM_RTS)
    assert calls == [(termios.TIOCMBIS, rts), (termios.TIOCMBIC, rts)]
