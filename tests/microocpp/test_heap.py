# SPDX-License-Identifier: GPL-3.0-or-later
"""The heap of the firmware with MicroOcpp does not grow; `make heap` runs for longer."""

from __future__ import annotations

from pathlib import Path

import pytest
from microocpp.heap import heap_after_charges
from microocpp.unit import program_or_skip

CHARGES = 20


@pytest.mark.slow
def test_charges_leave_nothing_behind(tmp_path: Path) -> None:
    program = program_or_skip()
    if "asan" in str(program):
        pytest.skip("a program with a sanitizer tells no heap: name build/host/program")
    sizes = heap_after_charges(program, tmp_path / "storage", CHARGES)
    # A block that each charge leaves would be more than this; a queue that grows once is less.
    assert max(sizes[-5:]) - max(sizes[:5]) < 15 * 16
