# SPDX-License-Identifier: GPL-3.0-or-later
"""What a program says of its own version."""

from __future__ import annotations

import os

from evtool.errors import ToolError
from evtool.link.command import CommandRunner

_TIMEOUT_S = 10.0


def program_version(name: str) -> str | None:
    """The first line that `name --version` prints; None where it cannot be asked."""
    environ = os.environ | {"LC_ALL": "C"}
    try:
        result = CommandRunner().run([name, "--version"], env=environ, timeout_s=_TIMEOUT_S)
    except ToolError:
        return None
    first = result.output.partition("\n")[0].strip()
    return first if result.return_code == 0 and first else None
