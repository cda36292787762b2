# SPDX-License-Identifier: GPL-3.0-or-later
"""A log that starts a new file when it has grown."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from evtool.errors import EvtoolError
from evtool.link.rotating_log import RotatingLog


def test_it_rotates_and_keeps_the_last_few(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = RotatingLog(path, max_bytes=30, kept=2)
    for number in range(10):
        log.append(f"line {number}")
    log.close()
    texts = [
        each.read_text().split("\n") for each in (tmp_path / "log.2", tmp_path / "log.1", path)
    ]
    lines = [line for text in texts for line in text if line]
    assert lines == [f"line {number}" for number in range(10)][-len(lines) :]
    assert len(lines) >= 8
    assert sorted(each.name for each in tmp_path.iterdir()) == ["log", "log.1", "log.2"]
    assert all(each.stat().st_size <= 30 for each in tmp_path.iterdir())
    assert all(each.stat().st_mode & 0o077 == 0 for each in tmp_path.iterdir())


def test_it_appends_to_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "log"
    for number in range(3):
        log = RotatingLog(path, max_bytes=15)
        log.append(f"line {number}")
        log.close()
    assert path.read_text() == "line 2\n"
    assert (tmp_path / "log.1").read_text() == "line 0\nline 1\n"


def test_a_line_beyond_the_bound_is_whole(tmp_path: Path) -> None:
    log = RotatingLog(tmp_path / "log", max_bytes=10)
    log.append("x" * 100)
    log.close()
    assert (tmp_path / "log").read_text() == "x" * 100 + "\n"


def test_what_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(EvtoolError, match="cannot write the log"):
        RotatingLog(tmp_path / "no" / "log")


def test_one_that_cannot_rotate_says_so_and_can_be_closed(tmp_path: Path) -> None:
    log = RotatingLog(tmp_path / "log", max_bytes=10, kept=1)
    log.append("first one")
    (tmp_path / "log.1").mkdir()
    with pytest.raises(EvtoolError, match="cannot rotate"):
        log.append("second one")
    log.close()
    assert (tmp_path / "log").read_text() == "first one\n"


def test_a_line_that_the_disk_takes_in_parts_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:3]))
    log = RotatingLog(tmp_path / "log")
    log.append("a whole line")
    log.close()
    assert (tmp_path / "log").read_text() == "a whole line\n"
