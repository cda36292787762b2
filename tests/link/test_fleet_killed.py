# SPDX-License-Identifier: GPL-3.0-or-later
"""A fleet's run, killed at its n-th write: no identity twice, no unit forgotten, and it goes on.

Here for some n; `make kills` takes every one.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

LIVES = Path(__file__).resolve().parent.parent / "fleet_lives.py"


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("action", "first", "every"), [("run", 5, 89), ("rotate", 17, 131)])
def test_whenever_a_run_is_killed_the_next_one_continues_it(
    tmp_path: Path, ledger_place: str, action: str, first: int, every: int
) -> None:
    options = [action, "--first", str(first), "--every", str(every)]
    done = subprocess.run(
        [sys.executable, str(LIVES), ledger_place, str(tmp_path / "project"), *options],
        capture_output=True, text=True, check=False, timeout=500,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    lives = [json.loads(line)["killed"] for line in done.stdout.splitlines()]
    assert lives == [True] * (len(lives) - 1) + [False]
    assert len(lives) >= 3, "there were fewer writes than five units have"
