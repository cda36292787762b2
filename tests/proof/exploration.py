# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds the explorer (explorer/explorer.cpp) and runs its slices: `python -m proof.exploration`.

A slice is explored until nothing new is reached, or to a depth. The small ones belong to every
run of the tests; the whole ones take minutes and are `make prove`.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from proof.cpp_core import CORE, PROOF, WORKERS, compile_objects, core_sources, link

FLAGS = ("-O2", "-fno-access-control", "-Wall", "-Wextra", "-Werror")


@dataclass(frozen=True, slots=True)
class Run:
    """A slice of slices.cpp; one in `disguised` transitions is run in disguise as well.

    `depth` is 0 for: until the frontier is empty.
    """

    name: str
    disguised: int = 1
    depth: int = 0


SMALL = (
    Run("conditions-small", disguised=10),
    Run("faults-small", disguised=10),
    Run("repetition-small"),
    Run("setpoints"),
)
WHOLE = (
    Run("conditions", disguised=5),
    Run("faults", disguised=5),
    Run("output-faults"),
    Run("repetition"),
    Run("setpoints"),
    Run("two-buses"),
)


def explorer_sources() -> list[Path]:
    """The explorer and the core."""
    return [*sorted((PROOF / "explorer").glob("*.cpp")), *core_sources()]


def build(gxx: str, folder: Path, core: Path = CORE) -> Path:
    """The explorer's program."""
    objects = compile_objects(gxx, folder, explorer_sources(), *FLAGS, core=core)
    return link(gxx, folder, "explorer", list(objects.values()))


def explore(program: Path, run: Run) -> tuple[bool, str]:
    """Whether every rule held, and the explorer's own words."""
    arguments = [str(program), run.name, str(run.disguised), str(run.depth)]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    return done.returncode == 0, done.stdout.strip() + done.stderr


def figures(words: str) -> dict[str, int]:
    """`states`, `transitions`, `frontier` and the like of a slice that held."""
    return {name: int(value) for name, value in (word.split("=") for word in words.split()[1:])}


def main(arguments: Sequence[str]) -> int:
    """Explore every whole slice, two at a time; 1 if a rule was broken in any."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("slice", nargs="*", help="only these")
    wanted = parser.parse_args(arguments).slice
    gxx = shutil.which("g++")
    if gxx is None:
        sys.exit("needs g++ (Debian: apt-get install g++)")
    runs = [run for run in (*WHOLE, *SMALL) if run.name in wanted] or list(WHOLE)
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(WORKERS) as pool:
        program = build(gxx, Path(folder))
        held = True
        for holds, words in pool.map(lambda run: explore(program, run), runs):
            sys.stdout.write(f"{words}\n")
            sys.stdout.flush()
            held = held and holds
    verdict = "every rule held" if held else "BROKEN"
    sys.stdout.write(f"{verdict}, {time.monotonic() - start:.0f} s\n")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
