# SPDX-License-Identifier: GPL-3.0-or-later
"""What git thinks of a file, and which state of the source stands in a folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from evtool.errors import ToolError
from evtool.link.command import CommandRunner

Tracking = Literal["outside", "ignored", "untracked", "tracked"]

_TIMEOUT_S = 20.0


def tracking(path: Path) -> Tracking:
    """Whether git tracks `path`, ignores it, or would pick it up with the next `git add`.

    Returns:
        `outside` where there is no repository around it, or no git on this machine.
    """
    path = path.absolute()
    folder = next(parent for parent in path.parents if parent.is_dir())
    if _git(folder, "ls-files", "--error-unmatch", "--", str(path)) == 0:
        return "tracked"
    answer = _git(folder, "check-ignore", "--quiet", "--", str(path))
    if answer == 0:
        return "ignored"
    return "untracked" if answer == 1 else "outside"


def source_state(folder: Path, paths: Sequence[Path]) -> tuple[str, bool] | None:
    """The commit that `folder` stands at, and whether one of `paths` differs from it.

    A file that git does not know and does not ignore counts as a difference.

    Returns:
        None where there is no commit, no repository, or no git.
    """
    code, commit = _run(folder, "rev-parse", "--verify", "--quiet", "HEAD")
    if code != 0:
        return None
    arguments = ("status", "--porcelain", "--untracked-files=normal", "--")
    code, changes = _run(folder, *arguments, *(str(path) for path in paths))
    return None if code != 0 else (commit.strip(), bool(changes.strip()))


def _git(folder: Path, *arguments: str) -> int:
    return _run(folder, *arguments)[0]


def _run(folder: Path, *arguments: str) -> tuple[int, str]:
    # Inside a hook git points GIT_DIR and GIT_INDEX_FILE at another repository than ours.
    env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    argv = ["git", "--no-optional-locks", "-C", os.fspath(folder), *arguments]
    try:
        result = CommandRunner().run(argv, env=env, timeout_s=_TIMEOUT_S)
    except ToolError:
        return -1, ""
    return result.return_code, result.output
