# SPDX-License-Identifier: GPL-3.0-or-later
"""The benchmark of flashing does what it says; no test measures time."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from benchmarks.flashing import IDENTITY, PLACES, Bench


@pytest.mark.skipif(sys.platform != "linux", reason="the virtual board needs Linux")
def test_it_writes_what_it_counts(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    total = sum(len((tmp_path / name).read_bytes()) for name in PLACES)
    with bench.boards(count=2) as ports:
        first = bench.station(ports)
        # Each image is written as whole words, up to its end.
        assert 0 <= first.written - 2 * total < 8 * len(PLACES)
        assert bench.station(ports).written == 0
        bench.new_identity()
        assert bench.station(ports).written == 2 * IDENTITY
        bench.esptool(ports, "verify-flash", "0x10000", str(tmp_path / "app"))
