# SPDX-License-Identifier: GPL-3.0-or-later
"""What several of these tests run: the MCP2515's driver."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from mcp2515_rig import Rig, build, driver_running


@pytest.fixture(scope="session")
def driver(session_gxx: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The driver as a program that asks for its wires."""
    return build(session_gxx, tmp_path_factory.mktemp("mcp2515") / "driver")


@pytest.fixture
def rig(driver: Path) -> Iterator[Rig]:
    """The driver at a model of the chip."""
    with driver_running(driver) as made:
        yield made
