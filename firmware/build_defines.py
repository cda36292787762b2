# SPDX-License-Identifier: Apache-2.0
"""Gives EVTOOL_VERSION and EVTOOL_BUILD_ID to the sources that name them, and to no other.

Both come from the environment, where `evtool build` puts them. On the command line of every
source, each new build id would compile the whole firmware and its libraries again.
"""

import os
from pathlib import Path

Import("env")  # noqa: F821 - PlatformIO runs this file with Import defined

DEFINES = [
    (name, env.StringifyMacro(os.environ.get(name, default)))  # noqa: F821 - by Import
    for name, default in (("EVTOOL_VERSION", "0.0.0"), ("EVTOOL_BUILD_ID", "unknown"))
]


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
