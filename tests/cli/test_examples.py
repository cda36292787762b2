# SPDX-License-Identifier: GPL-3.0-or-later
"""The examples in the repository work as they stand there."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest
from flash_project import make_build

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.skipif(sys.platform != "linux", reason="the virtual board needs Linux")
@pytest.mark.slow
def test_a_foreign_flashing_script_is_tested_against_virtual_boards() -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
            *("--rootdir", ".", "-c", "/dev/null", "."),
        ],
        cwd=EXAMPLES / "flashing_script",
        capture_output=True,
        text=True,
        timeout=220,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 passed" in done.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="the virtual board needs Linux")
@pytest.mark.slow
def test_the_set_up_script_provisions_ten_virtual_boards(tmp_path: Path) -> None:
    manifest = make_build(tmp_path / "build")
    folder = tmp_path / "depot"
    done = subprocess.run(
        ["/bin/bash", str(EXAMPLES / "fleet_setup" / "set_up_fleet.sh"), folder, manifest],
        env=os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=220,
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert "10 provisioned" in done.stdout
    assert "10 unchanged" in done.stdout
    with (folder / "units-done.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert {row["status"] for row in rows} == {"proved"}
    assert len({row["mac"] for row in rows}) == len(rows) == 10
    assert (folder / "fleet-report.html").stat().st_size > 1000
    assert (folder / "labels.pdf").read_bytes().startswith(b"%PDF")
    assert "1 rotated" in done.stdout
    assert "1 rolled_back" in done.stdout
    assert "9 of 9 units done; 1 decommissioned" in done.stdout
    assert "correct-horse-battery" not in said
