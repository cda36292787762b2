# SPDX-License-Identifier: GPL-3.0-or-later
"""What several of these tests run: the host program."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from evtool.resources import firmware_dir

FIRMWARE = firmware_dir()
INCLUDES = [
    FIRMWARE / "include",
    *sorted((FIRMWARE / "lib").glob("*/include")),
]
SOURCES = [
    *(FIRMWARE / "host").glob("*.cpp"),
    *(FIRMWARE / "lib" / "evcore" / "src").glob("*.cpp"),
    *(FIRMWARE / "lib" / "evidentity" / "src").glob("*.cpp"),
    *(FIRMWARE / "lib" / "evdiagnostics" / "src").glob("*.cpp"),
]


@pytest.fixture(scope="session")
def program(session_gxx: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program, compiled without MicroOcpp and without a warning."""
    path = tmp_path_factory.mktemp("host") / "program"
    defines = ['-DEVTOOL_VERSION="9.8.7"', '-DEVTOOL_BUILD_ID="cafe0001"']
    strict = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"]
    includes = [f"-I{folder}" for folder in INCLUDES]
    compiled = subprocess.run(
        [session_gxx, "-std=c++17", "-O0", *strict, *defines, *includes, *SOURCES, "-o", path],
        check=False,
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert compiled.returncode == 0, compiled.stderr
    return path
