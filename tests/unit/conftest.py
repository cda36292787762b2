# SPDX-License-Identifier: GPL-3.0-or-later
"""What several of these tests run: the MCP2515's driver."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from mcp2515_rig import Rig, build, driver_running
from once import Once


@pytest.fixture(scope="session")
def driver(session_gxx: str, once: Once) -> Path:
    """The driver as a program that asks for its wires."""
    return once("mcp2515", lambda folder: build(session_gxx, folder / "driver")) / "driver"


@pytest.fixture
def rig(driver: Path) -> Iterator[Rig]:
    """The driver at a model of the chip."""
    with driver_running(driver) as made:
        yield made
