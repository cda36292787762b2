# SPDX-License-Identifier: GPL-3.0-or-later
"""What several of these tests run: the host program."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from once import Once

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

# All files by one command is one processor's work, and on a busy machine a test's whole time.
_COMPILERS = 4
_ONE_FILE_S = 60


@pytest.fixture(scope="session")
def program(session_gxx: str, once: Once) -> Path:
    """The program, compiled without MicroOcpp and without a warning."""
    return once("host-program", lambda folder: _build(session_gxx, folder)) / "program"


def _build(gxx: str, folder: Path) -> None:
    defines = ['-DEVTOOL_VERSION="9.8.7"', '-DEVTOOL_BUILD_ID="cafe0001"']
    strict = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"]
    includes = [f"-I{include}" for include in INCLUDES]
    compiler = [gxx, "-std=c++17", "-O0", *strict, *defines, *includes]
    objects = [folder / f"{index}.o" for index in range(len(SOURCES))]

    def compile_one(source: Path, made: Path) -> None:
        _run([*compiler, "-c", source, "-o", made])

    with ThreadPoolExecutor(_COMPILERS) as pool:
        list(pool.map(compile_one, SOURCES, objects))
    _run([gxx, *objects, "-o", folder / "program"])


@pytest.fixture(scope="module")
def libyaml() -> Iterator[None]:
    """espefuse reads its tables anew for each command, in Python; libyaml does so at once."""
    yaml = pytest.importorskip("yaml")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(yaml, "safe_load", partial(yaml.load, Loader=loader))
        yield


def _run(command: list[str | Path]) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=_ONE_FILE_S)
    assert done.returncode == 0, done.stderr
