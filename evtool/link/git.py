# SPDX-License-Identifier: GPL-3.0-or-later
"""What git thinks of a file: the last guard before a secret is written where it spreads."""

from __future__ import annotations

import os
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


def _git(folder: Path, *arguments: str) -> int:
    # Inside a hook git points GIT_DIR and GIT_INDEX_FILE at another repository than ours.
    env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        return (
            CommandRunner()
            .run(["git", "-C", folder, *arguments], env=env, timeout_s=_TIMEOUT_S)
            .return_code
        )
    except ToolError:
        return -1
