# SPDX-License-Identifier: GPL-3.0-or-later
"""The benchmark of NVS images compares ways that do the same; no test measures time."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("esp_idf_nvs_partition_gen", reason="needs esp-idf-nvs-partition-gen")

from benchmarks import nvs_images


@pytest.mark.parametrize("encrypted", [False, True])
def test_every_way_makes_the_same_image(tmp_path: Path, encrypted: bool) -> None:
    nvs_images.prepare(tmp_path)
    images = {
        call() for group in nvs_images.ways(tmp_path, encrypted=encrypted) for _, call, _ in group
    }
    assert [len(image) for image in images] == [nvs_images.SIZE]
