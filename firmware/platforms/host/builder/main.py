# SPDX-License-Identifier: Apache-2.0
"""Builds the project as one program with the compiler that this computer has.

MicroOcpp joins in where the environment names it and ArduinoJson, as `evtool build
--microocpp` does: EVTOOL_MICROOCPP and EVTOOL_ARDUINOJSON, the folders of the two libraries.
"""

import os
import sys
from pathlib import Path

from SCons.Script import AlwaysBuild, Default, DefaultEnvironment

env = DefaultEnvironment()


def add_microocpp(folders):
    """Let the library finder see exactly these two, whatever else stands beside them."""
    storage = Path(env.subst("$BUILD_DIR")) / "libraries"
    storage.mkdir(parents=True, exist_ok=True)
    for name, folder in folders.items():
        link = storage / name
        if link.is_symlink() and str(link.readlink()) != folder:
            link.unlink()
        if not link.is_symlink():
            link.symlink_to(folder, target_is_directory=True)
    env.Append(LIBSOURCE_DIRS=[str(storage)])
    config = env.GetProjectConfig()
    for option in ("flags", "host_flags"):
        env.ProcessFlags(config.get("microocpp", option, "").split())


env.Replace(
    AR="ar",
    AS="gcc",
    CC="gcc",
    CXX="g++",
    RANLIB="ranlib",
    PROGNAME="program",
    PROGSUFFIX="",
    # src/ is the ESP32's; PlatformIO knows one source folder for all environments.
    PROJECT_SRC_DIR=env.subst(f"$PROJECT_DIR/{env.GetProjectOption('custom_src_dir', 'src')}"),
)

folders = {
    "MicroOcpp": os.environ.get("EVTOOL_MICROOCPP", ""),
    "ArduinoJson": os.environ.get("EVTOOL_ARDUINOJSON", ""),
}
if all(folders.values()):
    add_microocpp(folders)
elif any(folders.values()):
    sys.stderr.write("Error: EVTOOL_MICROOCPP and EVTOOL_ARDUINOJSON belong together\n")
    env.Exit(1)

# For the sizes by module that `evtool size` prints; the program is the same without it.
env.Append(LINKFLAGS=["-Wl,-Map=" + env.subst("$BUILD_DIR/program.map")])

program = env.BuildProgram()
AlwaysBuild(env.Alias("size", program, env.VerboseAction("size $SOURCES", "Size of $SOURCES")))
Default(program)
