# SPDX-License-Identifier: GPL-3.0-or-later
"""Where evtool's own data stands: in the wheel, or beside the package in a clone."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
_DATA = _PACKAGE / "_data"
_BASE = _DATA if _DATA.is_dir() else _PACKAGE.parent


def templates_dir() -> Path:
    """The folder of the Jinja templates."""
    return _BASE / "templates"


def firmware_dir() -> Path:
    """The PlatformIO project that `evtool init` copies."""
    return _BASE / "firmware"


def can_database() -> Path:
    """evtool's own DBC file."""
    return _PACKAGE / "protocol" / "evcharger.dbc"


def csms_page_dir() -> Path:
    """The web page of the virtual central system."""
    return _PACKAGE / "link" / "csms_page"
