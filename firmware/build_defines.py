# SPDX-License-Identifier: Apache-2.0
"""Gives EVTOOL_VERSION and EVTOOL_BUILD_ID to the sources that use them, and to no other.

Both come from the environment, where `evtool build` puts them. On the command line of every
source, each new build id would compile the whole firmware and its libraries again.
"""

import os
import re
from pathlib import Path

Import("env")  # noqa: F821 - PlatformIO runs this file with Import defined

DEFINES = [
    (name, env.StringifyMacro(os.environ.get(name, default)))  # noqa: F821 - by Import
    for name, default in (("EVTOOL_VERSION", "0.0.0"), ("EVTOOL_BUILD_ID", "unknown"))
]
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.MULTILINE)


def uses_build(source):
    """Whether the source, or a header beside it that it includes, names one of the two."""
    text = source.read_text(encoding="utf-8", errors="replace")
    beside = [source.parent / name for name in INCLUDE.findall(text)]
    texts = [text, *(p.read_text(encoding="utf-8", errors="replace") for p in beside if p.is_file())]
    return any(name in text for text in texts for name, _ in DEFINES)


def add_defines(env, node):
    """PlatformIO's hook for each source file: its node, or the object to build instead."""
    source = Path(node.srcnode().get_abspath())
    if source.suffix not in (".c", ".cpp") or not uses_build(source):
        return node
    return env.Object(node, CPPDEFINES=[*env.get("CPPDEFINES", []), *DEFINES])


env.AddBuildMiddleware(add_defines)  # noqa: F821 - by Import
