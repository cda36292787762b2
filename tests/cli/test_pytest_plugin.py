# SPDX-License-Identifier: GPL-3.0-or-later
"""The fixtures for other people's tests, where a board or a test does not end well."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
from pathlib import Path

import pytest

from evtool.pytest_plugin import StartBoard, VirtualBoard

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the virtual board needs Linux")

TESTS = """
import os
from pathlib import Path

def test_dies(virtual_board):
    virtual_board.wait_for("mode")  # nothing more to say, so that nobody else ends it
    Path("board.pid").write_text(str(virtual_board.process.pid))
    os.kill(os.getpid(), 9)
"""


def test_a_board_ends_with_a_test_run_that_is_killed(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["evtool.pytest_plugin"]')
    (tmp_path / "test_dies.py").write_text(TESTS)
    killed = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
            *("--rootdir", ".", "-c", "/dev/null", "."),
        ],
        cwd=tmp_path,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert killed.returncode == -9
    pid = int((tmp_path / "board.pid").read_text())
    with contextlib.suppress(ProcessLookupError):  # it is gone already
        ended = select.poll()
        ended.register(os.pidfd_open(pid), select.POLLIN)
        assert ended.poll(60_000), f"the board {pid} still runs"


def test_a_board_that_ended_says_so_to_everybody_who_waits(virtual_board: VirtualBoard) -> None:
    virtual_board.tell("quit")
    for _ in range(2):
        with pytest.raises(pytest.fail.Exception, match="the board ended"):
            virtual_board.wait_for("never")
    virtual_board.end()
    with pytest.raises(BrokenPipeError, match="has ended"):
        virtual_board.tell("status")


def test_what_a_board_complained_of_can_be_read_after_its_end(virtual_boards: StartBoard) -> None:
    with pytest.raises(pytest.fail.Exception, match="--flash-size"):
        virtual_boards("--flash-size", "3MB")
    board = virtual_boards()
    board.end()
    assert board.stderr() == board.stderr() == ""
