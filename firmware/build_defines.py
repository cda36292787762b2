# SPDX-License-Identifier: Apache-2.0
"""Gives EVTOOL_VERSION, EVTOOL_BUILD_ID and EVTOOL_BUILD_TIME to the sources that name them alone.

The first two come from the environment, where `evtool build` puts them. The time is that of the
last commit to this folder (or SOURCE_DATE_EPOCH; 0 where neither is known), so that two builds of
one source give the same image. On the command line of every source, each new build id would compile
the whole firmware and its libraries again.
"""

import os
import subprocess
from pathlib import Path

Import("env")  # noqa: F821 - PlatformIO runs this file with Import defined


def build_time():
    """Seconds since 1970, as a C++ literal: no certificate that ended before is valid any more."""
    named = os.environ.get("SOURCE_DATE_EPOCH", "")
    if named.isdigit():
        return f"{named}LL"
    here = env.subst("$PROJECT_DIR")  # noqa: F821 - by Import
    argv = ["git", "-C", here, "log", "-1", "--format=%ct", "--", "."]
    try:
        done = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=10)
    except OSError:
        return "0LL"
    return f"{done.stdout.strip()}LL" if done.stdout.strip().isdigit() else "0LL"


DEFINES = [
    (name, env.StringifyMacro(os.environ.get(name, default)))  # noqa: F821 - by Import
    for name, default in (("EVTOOL_VERSION", "0.0.0"), ("EVTOOL_BUILD_ID", "unknown"))
]
DEFINES.append(("EVTOOL_BUILD_TIME", build_time()))


def add_defines(env, node):
    """PlatformIO's hook for each source file: its node, or the object to build instead."""
    source = Path(node.srcnode().get_abspath())
    if source.suffix not in (".c", ".cpp"):
        return node
    text = source.read_text(encoding="utf-8", errors="replace")
    if not any(name in text for name, _ in DEFINES):
        return node
    return env.Object(node, CPPDEFINES=[*env.get("CPPDEFINES", []), *DEFINES])


env.AddBuildMiddleware(add_defines)  # noqa: F821 - by Import
