# SPDX-License-Identifier: GPL-3.0-or-later
"""Scenarios run on two controllers and compared step by step."""

from pathlib import Path


def library_dir() -> Path:
    """The folder of evtool's own scenarios."""
    return Path(__file__).resolve().parent / "scenarios"


def ocpp_library_dir() -> Path:
    """The folder of evtool's own scenarios with both sides of the wire."""
    return Path(__file__).resolve().parent / "ocpp" / "scenarios"
