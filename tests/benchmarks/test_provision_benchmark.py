# SPDX-License-Identifier: GPL-3.0-or-later
"""The benchmark of a fleet does the whole of it; no test measures time."""

from __future__ import annotations

from pathlib import Path

from benchmarks import provision_units


def test_every_unit_is_checked_sealed_and_encrypted(tmp_path: Path) -> None:
    figures = provision_units.measure(tmp_path, 130)
    assert list(figures) == [
        "check", "check, generate and seal", "check and encrypt images", "peak_mib",
    ]  # fmt: skip
    # Its own assertions hold it to the number of units and of secrets.
    assert all(value > 0 for value in figures.values())
