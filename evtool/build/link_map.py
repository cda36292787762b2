# SPDX-License-Identifier: GPL-3.0-or-later
"""Which module takes how much of which section, from the map that GNU ld writes (-Map)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_BEGIN = "Linker script and memory map"
_END = "\nCross Reference Table"
_OUTPUT = re.compile(r"(\.\S+)(?:\s+0x[0-9a-f]+\s+0x[0-9a-f]+.*)?$")
_INPUT = re.compile(r" (?:\.|COMMON\b)\S*(?:\s+0x[0-9a-f]+\s+0x([0-9a-f]+) (\S.*))?$")
_CONTINUED = re.compile(r"\s+0x[0-9a-f]+\s+0x([0-9a-f]+) (\S.*)$")
# .pio/build/ENV/lib3a1/libevcore.a(gate.cpp.o), .pio/build/ENV/lib3a1/evcore/gate.cpp.o
_LIBRARY = re.compile(r"/lib[0-9a-f]{3}/(?:lib([^/]+?)\.a\(|([^/]+)/)")
_ARCHIVE = re.compile(r"lib([^/]+?)\.a\(")

OWN = "src"
FRAMEWORK = "framework"
TOOLCHAIN = "toolchain"


@dataclass(frozen=True, slots=True)
class Piece:
    """What one object file put into one section of the program, in bytes."""

    section: str
    module: str
    size: int


def pieces(text: str) -> Iterator[Piece]:
    """Everything in the map that has a size and comes from an object file."""
    section = ""
    is_open = False
    _, _, body = text.partition(_BEGIN)
    for line in body.partition(_END)[0].splitlines():
        if line[:1] == ".":
            output = _OUTPUT.match(line)
            section, is_open = (output[1] if output else ""), False
            continue
        found = _CONTINUED.match(line) if is_open else None
        if found is None:
            found = _INPUT.match(line)
            is_open = found is not None and found[1] is None
        else:
            is_open = False
        if found is not None and found[1] is not None and section:
            size = int(found[1], 16)
            if size:
                yield Piece(section, module_of(found[2]), size)


def module_of(path: str) -> str:
    """The module that an object file belongs to.

    `src` for the project's own sources, the name of a library of the project or of the
    registry, `framework` for the Arduino core, the archive's name for what comes compiled, and
    `toolchain` for the objects that a program begins and ends with.
    """
    path = path.replace("\\", "/")
    library = _LIBRARY.search(path)
    if library is not None:
        return library[1] or library[2]
    if "FrameworkArduino" in path:
        return FRAMEWORK
    archive = _ARCHIVE.search(path)
    if archive is not None:
        return f"lib{archive[1]}"
    return OWN if ".pio/build/" in path else TOOLCHAIN
