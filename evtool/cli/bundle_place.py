# SPDX-License-Identifier: GPL-3.0-or-later
"""Where evtool keeps packages of its own, and which bundle a build uses."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from evtool.project import Project

_NAMED = "EVTOOL_BUNDLE_DIR"
_USERS_OWN = ("PLATFORMIO_CORE_DIR", "PLATFORMIO_PACKAGES_DIR", "PLATFORMIO_PLATFORMS_DIR")


def core_folder() -> Path:
    """PlatformIO's folder for builds that the user's own PlatformIO has no part in."""
    named = os.environ.get("EVTOOL_CORE_DIR")
    if named:
        return Path(named).expanduser().absolute()
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "evtool" / "platformio"


def bundle_home(project: Project | None) -> Path:
    """Where bundles are installed: $EVTOOL_BUNDLE_DIR, [build] bundle, or the user's data.

    Not the cache: a computer without a network cannot fetch again what was cleared.
    """
    named = os.environ.get(_NAMED)
    if named:
        return Path(named).expanduser().absolute()
    if project is not None and project.build.bundle is not None:
        return project.build.bundle
    data = os.environ.get("XDG_DATA_HOME")
    return (Path(data) if data else Path.home() / ".local" / "share") / "evtool" / "bundle"


def chosen_bundle(project: Project) -> Path | None:
    """The installed bundle that a build for the ESP32 uses; None for the user's PlatformIO.

    A place that is named counts before the user's own PlatformIO folder, and that, where it
    is named, before a bundle in the usual place.

    Raises:
        ConfigError: a place is named, and no bundle is installed there.
    """
    from evtool.errors import ConfigError
    from evtool.link.bundle_store import BundleStore

    named = os.environ.get(_NAMED)
    if named == "":
        return None
    is_named = named is not None or project.build.bundle is not None
    if not is_named and any(os.environ.get(name) for name in _USERS_OWN):
        return None
    home = bundle_home(project)
    found = BundleStore(home).current()
    if found is None and is_named:
        by = f"${_NAMED}" if named is not None else f"{project.path}: [build] bundle"
        raise ConfigError(
            f"{by} names {home}, and no bundle is installed there",
            fix=f"evtool bundle install FILE --to {home}",
        )
    return found
