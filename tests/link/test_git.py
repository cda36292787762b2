# SPDX-License-Identifier: GPL-3.0-or-later
"""What git thinks of a file, asked of real repositories."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from evtool.link.git import tracking

GIT = shutil.which("git") or "git"


def git(folder: Path, *arguments: str) -> None:
    subprocess.run([GIT, "-C", folder, *arguments], check=True, capture_output=True, timeout=30)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    if shutil.which("git") is None:
        pytest.skip("needs git")
    git(tmp_path, "init", "--quiet")
    (tmp_path / ".gitignore").write_text("secrets.h\n")
    return tmp_path


def test_the_three_states_inside_a_repository(repository: Path) -> None:
    folder = repository / "not" / "there" / "yet"
    assert tracking(folder / "secrets.h") == "ignored"
    assert tracking(folder / "other.h") == "untracked"
    committed = repository / "secrets.h"
    committed.write_text("")
    git(repository, "add", "--force", "secrets.h")
    assert tracking(committed) == "tracked"


def test_outside_a_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert tracking(tmp_path / "secrets.h") == "outside"
    monkeypatch.setenv("PATH", str(tmp_path))  # no git on this machine
    assert tracking(tmp_path / "secrets.h") == "outside"


def test_a_hook_of_another_repository_does_not_confuse_it(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_DIR", str(repository / "elsewhere"))
    assert tracking(repository / "secrets.h") == "ignored"
