# SPDX-License-Identifier: GPL-3.0-or-later
"""The benchmark of the virtual boards does what it says; no test measures time."""

from __future__ import annotations

import sys

import pytest
from benchmarks.flash_client import FlashClient

from evtool.pytest_plugin import StartBoard


@pytest.mark.skipif(sys.platform != "linux", reason="the virtual board needs Linux")
def test_the_cheap_host_flashes_and_verifies(virtual_boards: StartBoard) -> None:
    board = virtual_boards()
    client = FlashClient(board.serial_port)
    files = {0x1000: bytes(range(256)) * 40, 0x20000: b"application" * 900}
    client.flash(files)
    client.close()
    board.wait_for("reset")
    for offset, data in files.items():
        assert board.flash()[offset : offset + len(data)] == data


@pytest.mark.skipif(sys.platform != "linux", reason="the virtual board needs Linux")
def test_it_notices_a_board_that_does_not_hold_what_was_written(
    virtual_boards: StartBoard,
) -> None:
    board = virtual_boards("--do", "dead_sector 0x2000")
    client = FlashClient(board.serial_port)
    with pytest.raises(ValueError, match="does not hold what was written at 0x1000"):
        client.flash({0x1000: b"\x55" * 0x3000})
    client.close()
