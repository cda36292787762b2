# SPDX-License-Identifier: GPL-3.0-or-later
"""What several of these tests run: the host program."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from evtool.resources import firmware_dir

FIRMWARE = firmware_dir()
INCLUDES = [
    FIRMWARE / "include",
    *(FIRMWARE / "lib" / name / "include" for name in ("evcore", "evidentity", "evocpp")),
]
SOURCES = [
    *(FIRMWARE / "host").glob("*.cpp"),
    *(FIRMWARE / "lib" / "evcore" / "src").glob("*.cpp"),
    *(FIRMWARE / "lib" / "evidentity" / "src").glob("*.cpp"),
]


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program, compiled without MicroOcpp and without a warning."""
    gxx = shutil.which("g++")
    if gxx is None:
        pytest.skip("needs g++ (Debian: apt-get install g++)")
    path = tmp_path_factory.mktemp("host") / "program"
    defines = ['-DEVTOOL_VERSION="9.8.7"', '-DEVTOOL_BUILD_ID="cafe0001"']
    strict = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"]
    includes = [f"-I{folder}" for folder in INCLUDES]
    compiled = subprocess.run(
        [gxx, "-std=c++17", "-O0", *strict, *defines, *includes, *SOURCES, "-o", path],
        check=False,
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert compiled.returncode == 0, compiled.stderr
    return path
