# SPDX-License-Identifier: GPL-3.0-or-later
"""How long help takes, as a ratio to a bare click program on the same machine (`make bench`).

The commands run in turn (A B C A B C ...), so that a machine whose speed drifts does not
favour one of them; each ratio is that of the medians.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BARE = """
import click

@click.group()
def main() -> None:
    "A bare click program."

@main.command()
def one() -> None:
    "Its one command."

main()
"""
RUNS = 21


def main() -> None:
    evtool = str(Path(sys.executable).with_name("evtool"))
    with tempfile.TemporaryDirectory() as folder:
        bare = Path(folder) / "bare.py"
        bare.write_text(BARE)
        commands = {"a bare click program": [sys.executable, str(bare), "--help"]}
        commands["evtool --help"] = [evtool, "--help"]
        for name in ("init", "codegen", "build", "provision", "flash", "monitor", "verify"):
            commands[f"evtool {name} --help"] = [evtool, name, "--help"]
        for name in ("size", "bundle create", "bundle install"):
            commands[f"evtool {name} --help"] = [evtool, *name.split(), "--help"]
        for name in ("doctor", "demo", "sim board", "sim vehicle", "sim csms", "sim bus"):
            commands[f"evtool {name} --help"] = [evtool, *name.split(), "--help"]
        # Not help but work: it looks at every package, and must stay below a second.
        commands["evtool doctor"] = [evtool, "doctor", "--json"]
        times: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(RUNS):
            for name, argv in commands.items():
                started = time.perf_counter()
                done = subprocess.run(argv, check=False, stdout=subprocess.DEVNULL)
                assert done.returncode in (0, 1), argv  # 1: doctor found something missing
                times[name].append(time.perf_counter() - started)
    medians = {name: statistics.median(values) for name, values in times.items()}
    yardstick = medians["a bare click program"]
    for name, median in medians.items():
        sys.stdout.write(f"{name:28} {median * 1000:6.1f} ms   {median / yardstick:4.2f}\n")


if __name__ == "__main__":
    main()
