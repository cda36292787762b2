# SPDX-License-Identifier: GPL-3.0-or-later
"""A log that starts a new file when it has grown."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
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


def test_a_new_day_begins_a_new_file(tmp_path: Path) -> None:
    path = tmp_path / "log"
    now = [1_720_000_000.0]  # in July: a day has 24 hours
    log = RotatingLog(path, None, daily=True, now=lambda: now[0])
    log.append("yesterday")
    now[0] += 86_400
    log.append("today")
    log.append("today too")
    log.close()
    assert path.read_text() == "today\ntoday too\n"
    assert (tmp_path / "log.1").read_text() == "yesterday\n"


def test_what_an_earlier_day_left_is_that_days(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("long ago\n")
    os.utime(path, (1_000_000_000, 1_000_000_000))
    log = RotatingLog(path, None, daily=True)
    log.append("today")
    log.close()
    assert path.read_text() == "today\n"
    assert (tmp_path / "log.1").read_text() == "long ago\n"


def test_a_log_that_was_moved_away_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "log"
    now = [1000.0]
    log = RotatingLog(path, now=lambda: now[0])
    log.append("first")
    path.rename(tmp_path / "elsewhere")
    now[0] += 1
    log.append("second")
    log.close()
    assert path.read_text() == "second\n"


def test_a_line_that_a_crash_left_unfinished_is_ended_first(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("whole\nhal")
    log = RotatingLog(path)
    log.append("next")
    log.close()
    assert path.read_text() == "whole\nhal\nnext\n"


def test_bytes_are_added_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"\x00\x01")
    log = RotatingLog(path, of_lines=False)
    log.write(b"\x02")
    log.close()
    assert path.read_bytes() == b"\x00\x01\x02"


def test_a_log_that_somebody_holds_is_written_and_rotated_later(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = RotatingLog(path, max_bytes=10)
    log.append("first")
    with path.open() as holder:
        fcntl.flock(holder, fcntl.LOCK_EX)
        log.append("second")
        assert path.read_text() == "first\nsecond\n"
    log.append("third")
    log.close()
    assert path.read_text() == "third\n"
    assert (tmp_path / "log.1").read_text() == "first\nsecond\n"


_WRITER = """
import sys
from pathlib import Path
from evtool.link.rotating_log import RotatingLog
log = RotatingLog(Path(sys.argv[1]), max_bytes=4000, kept=200)
for number in range(400):
    lines = ["%s %d %d %s" % (sys.argv[2], number, k, "x" * 16) for k in range(3)]
    log.write(("\\n".join(lines) + "\\n").encode())
log.close()
"""


def test_several_programs_rotate_one_log_and_no_line_is_lost_or_mixed(tmp_path: Path) -> None:
    path = tmp_path / "log"
    writers = [subprocess.Popen([sys.executable, "-c", _WRITER, str(path), name]) for name in "abc"]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    lines = [line for each in tmp_path.iterdir() for line in each.read_text().splitlines()]
    wanted = [f"{name} {n} {k} {'x' * 16}" for name in "abc" for n in range(400) for k in range(3)]
    assert sorted(lines) == sorted(wanted)
    assert len(list(tmp_path.iterdir())) > 5
