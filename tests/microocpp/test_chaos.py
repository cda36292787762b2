# SPDX-License-Identifier: GPL-3.0-or-later
"""A quarter of an hour of chaos; `make chaos` lives through hours (docs/host-program.md)."""

from __future__ import annotations

from pathlib import Path

import pytest
from microocpp.chaos import Chaos
from microocpp.unit import program_or_skip

SECONDS = 900


@pytest.mark.slow
@pytest.mark.parametrize("seed", [3, 15])
def test_nothing_is_lost_and_nothing_flows_unasked(tmp_path: Path, seed: int) -> None:
    chaos = Chaos(program_or_skip(), tmp_path, seed)
    try:
        chaos.run(SECONDS)
    finally:
        chaos.unit.kill()
    assert chaos.truth.charges, "it was a life without a charge"
