# SPDX-License-Identifier: GPL-3.0-or-later
"""The examples in the repository work as they stand there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

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
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 passed" in done.stdout
