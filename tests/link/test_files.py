# SPDX-License-Identifier: GPL-3.0-or-later
"""Files written whole or not at all, and what is no file."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from evtool.errors import EvtoolError
from evtool.link.files import write_atomically


def test_a_file_is_replaced_and_nothing_else_stays_behind(tmp_path: Path) -> None:
    path = tmp_path / "new" / "report.xml"
    write_atomically(path, "old")
    write_atomically(path, "new")
    assert path.read_text() == "new"
    assert [each.name for each in path.parent.iterdir()] == ["report.xml"]


def test_a_pipe_is_written_into_and_stays_a_pipe(tmp_path: Path) -> None:
    """As root a rename would put a file in the place of /dev/null."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDWR)
    try:
        write_atomically(path, "report")
        assert os.read(reader, 100) == b"report"
    finally:
        os.close(reader)
    assert stat.S_ISFIFO(path.lstat().st_mode)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
def test_a_full_device_is_an_error_and_stays_a_device() -> None:
    with pytest.raises(EvtoolError, match="cannot write /dev/full: No space left on device"):
        write_atomically(Path("/dev/full"), "report")
    assert stat.S_ISCHR(Path("/dev/full").lstat().st_mode)


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EvtoolError, match="cannot write"):
        write_atomically(tmp_path, "report")


def test_a_name_that_no_file_can_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EvtoolError, match=r"cannot write .*File name too long"):
        write_atomically(tmp_path / ("x" * 300) / "report", "report")
