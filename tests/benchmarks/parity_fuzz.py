# SPDX-License-Identifier: GPL-3.0-or-later
"""How many random inputs `evtool verify --fuzz` compares a second (`make bench`).

All of it: making the inputs, both controllers, the pipe, and comparing every line of every answer.
The same inputs run on one core and on all; building the host program and starting is not counted.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

STEPS = 200_000
SEED = 1


def main() -> None:
    evtool = str(Path(sys.executable).with_name("evtool"))
    fuzz = [evtool, "verify", "--json", "--fuzz", "--seed", str(SEED), "--steps"]
    subprocess.run([*fuzz, "1"], check=True, stdout=subprocess.DEVNULL)  # builds the program
    for jobs in sorted({1, len(os.sched_getaffinity(0))}):
        before = os.times()
        done = subprocess.run(
            [*fuzz, str(STEPS), "--jobs", str(jobs)], check=True, stdout=subprocess.PIPE
        )
        after = os.times()
        events = [json.loads(line) for line in done.stdout.splitlines()]
        verdict = next(each for each in events if each["event"] == "verdict")
        used = sum(after[2:4]) - sum(before[2:4])
        sys.stdout.write(
            f"parity fuzz, --jobs {jobs}: {verdict['steps'] / verdict['seconds']:8,.0f} steps a "
            f"second, {used / verdict['steps'] * 1e6:5.1f} us of processor time a step\n"
        )


if __name__ == "__main__":
    main()
