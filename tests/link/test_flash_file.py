# SPDX-License-Identifier: GPL-3.0-or-later
"""The folder in which a virtual board keeps its memory."""

from __future__ import annotations

from pathlib import Path

from evtool.link.flash_file import FLASH_FILE, FlashFile

SIZE = 1 << 20


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_a_new_folder_is_private_and_hidden_from_git(tmp_path: Path) -> None:
    folder = tmp_path / "boards" / "one"
    FlashFile(folder, SIZE).close()
    assert mode(folder) == 0o700
    assert mode(folder / FLASH_FILE) == 0o600
    assert (folder / ".gitignore").read_text() == "*\n"


def test_a_folder_that_was_there_keeps_its_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    FlashFile(tmp_path, SIZE).close()
    assert mode(tmp_path) == 0o755
    assert mode(tmp_path / FLASH_FILE) == 0o600
    assert not (tmp_path / ".gitignore").exists()
