# SPDX-License-Identifier: GPL-3.0-or-later
"""SCons as PlatformIO wants it, without a registry.

PlatformIO runs SCons from a package of its own, `tool-scons`. Python's package `scons` is the
same program; a folder with three small files stands for the one and starts the other.
"""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path

from evtool.errors import ToolError

NAME = "tool-scons"
_START = """\
import sys

from SCons.Script.Main import main

sys.exit(main())
"""


def scons_package(packages: Path) -> dict[Path, bytes]:
    """The files of the package below PlatformIO's folder `packages`, in the order to write.

    The last one is the one by which PlatformIO knows the package: whatever is interrupted
    when, a package that is seen is whole.

    Raises:
        ToolError: Python's package scons is not installed.
    """
    if importlib.util.find_spec("SCons") is None:
        raise ToolError(
            "PlatformIO needs SCons, and this Python has none",
            fix="python -m pip install scons",
        )
    version = _wanted_version()
    folder = packages / NAME
    spec = {"owner": "platformio", "id": None, "name": NAME, "requirements": None, "uri": None}
    note = {"type": "tool", "name": NAME, "version": version, "spec": spec}
    return {
        folder / "scons.py": _START.encode(),
        folder / "package.json": json.dumps({"name": NAME, "version": version}).encode(),
        folder / ".piopm": json.dumps(note).encode(),
    }


def _wanted_version() -> str:
    """The version that the installed PlatformIO asks for, such as 4.41101.0 for ~4.41101.0."""
    from platformio.dependencies import (  # noqa: PLC0415 - only a host build needs it
        get_core_dependencies,
    )

    match = re.search(r"\d+\.\d+\.\d+", get_core_dependencies()[NAME])
    return match[0] if match else "4.0.0"
