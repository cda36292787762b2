# SPDX-License-Identifier: GPL-3.0-or-later
"""The benchmark's three controllers, for a short time: they agree, and energy flows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from benchmarks.simulated_hour import Run, build, by_core, by_host, by_reference


def test_a_short_run_ends_alike(gxx: str, tmp_path: Path) -> None:
    # A small pack, so that the current tapers: the models must agree there as well.
    run = Run(seconds=90, capacity_mah=2_000, soc_permille=600)
    host, core = build(gxx, tmp_path)
    expected = by_reference(run)
    assert by_host(host, run) == expected
    assert by_core(core, run)[0] == expected


def test_an_hour_without_energy_fails() -> None:
    run = Run(seconds=60)
    result = by_reference(run)
    result.check(run)
    with pytest.raises(AssertionError, match="gate=no_vehicle"):
        replace(result, state=result.state.replace("gate=open", "gate=no_vehicle")).check(run)
    with pytest.raises(AssertionError, match="mA ms"):
        replace(result, charge_ma_ms=result.charge_ma_ms // 2).check(run)
    with pytest.raises(AssertionError, match="mWh taken"):
        replace(result, state=result.state.replace("energy_mwh=", "energy_mwh=1")).check(run)
