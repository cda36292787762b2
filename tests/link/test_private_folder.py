# SPDX-License-Identifier: GPL-3.0-or-later
"""Folders for files with secrets: gone afterwards, whatever happened to their process."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from evtool.link.private_folder import private_folder

DIES = """
import os, signal
from evtool.link.private_folder import private_folder
with private_folder() as folder:
    (folder / "evcfg.bin").write_text("a secret")
    os.kill(os.getpid(), signal.SIGKILL)
"""
LONG_AGO = (1_000_000_000, 1_000_000_000)


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The temporary folder, ours alone."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def test_only_its_owner_may_enter_it_and_it_goes_away(temporary: Path) -> None:
    with private_folder() as folder:
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "evcfg.bin").touch()
    assert not list(temporary.iterdir())


def test_what_a_killed_process_left_goes_with_the_next_one(temporary: Path) -> None:
    done = subprocess.run([sys.executable, "-c", DIES], check=False, timeout=60)
    assert done.returncode == -9
    (left,) = temporary.iterdir()
    with private_folder():
        assert left.exists(), "it may be one that is just being made"
    os.utime(left, LONG_AGO)
    with private_folder():
        assert not left.exists()


def test_one_that_is_in_use_stays(temporary: Path) -> None:
    with private_folder() as mine:
        os.utime(mine, LONG_AGO)
        with private_folder():
            assert mine.exists()


def test_what_is_none_of_ours_stays(temporary: Path) -> None:
    others = temporary / "others"
    others.mkdir(mode=0o700)
    (others / "file").touch()
    os.utime(others, LONG_AGO)
    (temporary / "evtool-private-link").symlink_to(others)
    (temporary / "evtool-private-file").touch()
    wide = temporary / "evtool-private-wide"
    wide.mkdir()
    wide.chmod(0o755)
    os.utime(wide, LONG_AGO)
    with private_folder():
        assert (others / "file").exists()
        assert wide.exists()
