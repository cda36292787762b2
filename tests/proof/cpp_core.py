# SPDX-License-Identifier: GPL-3.0-or-later
"""The C++ core as objects: compiled once with some flags, linked with some main."""

from __future__ import annotations

import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
CORE = REPOSITORY / "firmware" / "lib" / "evcore"
HOST = REPOSITORY / "firmware" / "host"
PROOF = REPOSITORY / "tests" / "proof"
LOCKSTEP_MAIN = REPOSITORY / "tests" / "parity" / "lockstep_main.cpp"
LOCKSTEP = (HOST / "line_format.cpp", HOST / "lockstep.cpp", LOCKSTEP_MAIN)
STANDARD = ("-std=c++17", "-fno-exceptions", "-fno-rtti")
WORKERS = 2


def core_sources() -> list[Path]:
    """The core's own files."""
    return sorted((CORE / "src").glob("*.cpp"))


def run_tool(command: list[str], folder: Path) -> str:
    """Run a compiler or its kin in `folder`; what it printed.

    Raises:
        AssertionError: it failed; with what it said.
    """
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stderr}"
    return done.stdout


def compile_objects(
    gxx: str, folder: Path, sources: list[Path], *flags: str, core: Path = CORE
) -> dict[Path, Path]:
    """Each source compiled into `folder`; `core` is where its headers are looked for."""
    includes = [f"-I{core / 'include'}", f"-I{HOST}"]

    def one(source: Path) -> tuple[Path, Path]:
        target = folder / f"{source.stem}.o"
        command = [gxx, *STANDARD, *flags, *includes, "-c", str(source), "-o", str(target)]
        run_tool(command, folder)
        return source, target

    with ThreadPoolExecutor(WORKERS) as pool:
        return dict(pool.map(one, sources))


def link(gxx: str, folder: Path, name: str, objects: list[Path], *flags: str) -> Path:
    """A program of these objects."""
    program = folder / name
    run_tool([gxx, *flags, *map(str, objects), "-o", str(program)], folder)
    return program


def ask(program: Path, lines: list[str], timeout_s: float = 60) -> str:
    """All that a lockstep program says to these lines.

    Raises:
        TimeoutExpired: it was not done in time.
    """
    text = "".join(f"{line}\n" for line in lines)
    done = subprocess.run(
        [program], input=text, capture_output=True, text=True, check=False, timeout=timeout_s
    )
    return done.stdout
