# SPDX-License-Identifier: GPL-3.0-or-later
"""The C++ core and its lockstep mode, built with g++ alone and kept until a source changes."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from controller_rig import Rig
from once import Once

from evtool.reference_impl.lockstep import Lockstep

FIRMWARE = Path(__file__).resolve().parents[2] / "firmware"
CORE = FIRMWARE / "lib" / "evcore"
HOST = FIRMWARE / "host"
HERE = Path(__file__).resolve().parent
STRICT = ("-std=c++17", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror")
SANITIZED = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-D_GLIBCXX_ASSERTIONS")

Build = Callable[..., Path]


@pytest.fixture(params=["python", "cpp"])
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    """Each of the two controllers on a bench."""
    if request.param == "python":
        yield Rig(Lockstep().answer)
        return
    program: Path = request.getfixturevalue("lockstep_program")
    with subprocess.Popen(
        [program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        source, sink = process.stdout, process.stdin

        def answer(line: str) -> list[str]:
            sink.write(f"{line}\n")
            lines: list[str] = []
            while not lines or not (lines[-1] == "ok" or lines[-1].startswith("malformed ")):
                lines.append(source.readline().removesuffix("\n"))
                assert lines[-1], "the program ended"
            return lines

        yield Rig(answer)
        sink.close()
        assert process.wait() == 0


@pytest.fixture(scope="session")
def build_cpp(session_gxx: str, request: pytest.FixtureRequest) -> Build:
    """`build_cpp("main.cpp", *flags)`: that file of this folder with the core and the lockstep.

    Programs are named by a hash of all that goes into them, so that a test run compiles only
    what changed.
    """
    assert request.config.cache is not None
    kept = Once(request.config.cache.mkdir("evcore-programs"))

    def build(main: str, *flags: str) -> Path:
        headers = [
            *sorted(CORE.rglob("*.hpp")),
            *sorted(HOST.glob("li*.hpp")),
            *HOST.glob("lo*.hpp"),
            *HERE.glob("*.hpp"),
        ]
        sources = [
            *sorted((CORE / "src").glob("*.cpp")),
            HOST / "line_format.cpp",
            HOST / "lockstep.cpp",
            HERE / main,
        ]
        arguments = [*STRICT, "-O1", *flags, f"-I{CORE / 'include'}", f"-I{HOST}"]
        digest = hashlib.sha256(repr(arguments).encode())
        for path in (*headers, *sources):
            digest.update(path.read_bytes())

        def make(made: Path) -> None:
            command = [session_gxx, *arguments, *map(str, sources), "-o", str(made / "program")]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr

        return kept(f"{Path(main).stem}-{digest.hexdigest()[:20]}", make) / "program"

    return build


@pytest.fixture(scope="session")
def lockstep_program(build_cpp: Build) -> Path:
    """The lockstep mode, as fast as it gets."""
    return build_cpp("lockstep_main.cpp")


@pytest.fixture(scope="session")
def sanitized_program(build_cpp: Build) -> Path:
    """The lockstep mode that dies of any memory error or undefined behaviour."""
    return build_cpp("lockstep_main.cpp", *SANITIZED)


@pytest.fixture(scope="session")
def sanitized_api_program(build_cpp: Build) -> Path:
    """Calls of the core that no lockstep line can express, built as strictly."""
    return build_cpp("api_main.cpp", *SANITIZED)
