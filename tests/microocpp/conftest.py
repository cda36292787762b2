# SPDX-License-Identifier: GPL-3.0-or-later
"""A unit with its central system, powered; skips where no program with MicroOcpp is named."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from microocpp.plain_csms import PlainCsms
from microocpp.unit import Unit, program_or_skip


@pytest.fixture
def unit(tmp_path: Path) -> Iterator[Unit]:
    """Not booted yet. A sanitizer's report at its end fails the test."""
    unit = Unit(program_or_skip(), tmp_path / "storage")
    yield unit
    if unit.off not in ("crashed", "killed"):
        unit.finish()
    unit.kill()


@pytest.fixture
def csms(unit: Unit) -> PlainCsms:
    """Registered, and nothing plugged."""
    csms = PlainCsms(unit)
    unit.boot()
    unit.until(lambda: csms.statuses(1) == ["Available"], "registration")
    return csms
