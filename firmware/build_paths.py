# SPDX-License-Identifier: Apache-2.0
"""Keeps paths out of the program: the same source gives the same image in every folder.

In a script and not in build_flags, where a folder with a blank in its name would be two flags.
"""

import os
from pathlib import Path

from SCons.Subst import Literal

Import("env")  # noqa: F821 - PlatformIO runs this file with Import defined


def _folders(env):
    """Each folder that sources may stand in, and what the program may call it.

    The compiler heeds the last one that fits.
    """
    project = env.subst("$PROJECT_DIR")
    libraries = env.subst("$PROJECT_LIBDEPS_DIR")
    yield project, "."
    yield env.subst("$PROJECT_PACKAGES_DIR"), "packages"
    # Sources inside of the project are named from there.
    yield os.path.relpath(libraries, project), ".pio/libdeps"
    yield libraries, ".pio/libdeps"
    for name in ("MicroOcpp", "ArduinoJson"):
        folder = os.environ.get(f"EVTOOL_{name.upper()}")
        if folder:
            yield folder, name


maps = {}
for folder, name in _folders(env):  # noqa: F821 - by Import
    maps[folder] = name
    if Path(folder).is_absolute():
        maps[str(Path(folder).resolve())] = name
env.Append(  # noqa: F821 - by Import
    CCFLAGS=[Literal(f"-ffile-prefix-map={folder}={name}") for folder, name in maps.items()]
)
