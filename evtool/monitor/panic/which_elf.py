# SPDX-License-Identifier: GPL-3.0-or-later
"""Which ELF file belongs to the program on the board: the one that proves it, or none.

The rule, in this order:

1. the panic itself, or the boot log, prints the beginning of the ELF file's SHA-256
   (`ELF file SHA256: ...`): the file whose SHA-256 begins so, and no other;
2. that hash is absent, or zeros (PlatformIO does not fill it in, `evtool build` does), and evtool's
   boot line has printed `build=...` since the last reset: the file that holds that build id;
3. otherwise: none. Addresses are shown as they are, with the reason.

A file that the user names is held to the same rule.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from evtool.monitor.follow import Line

_SHA256 = re.compile(r"ELF file SHA256:\s*([0-9a-fA-F]{6,64})")
_BUILD_ID = re.compile(r"[0-9a-f]{8}\Z")


@dataclass(frozen=True, slots=True)
class ElfFile:
    """A candidate.

    Attributes:
        sha256: of the whole file, in hex.
        build_id: evtool's, as it stands in the program; "" where there is none.
        has_lines: whether it holds debug information.
        machine: what runs it, as `EM_XTENSA`.
    """

    path: Path
    sha256: str
    build_id: str = ""
    has_lines: bool = True
    machine: str = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """The ELF file, or why there is none. `reason` says by what it was recognised, otherwise."""

    elf: ElfFile | None
    reason: str


@dataclass(frozen=True, slots=True)
class Identity:
    """What a console has said about the program that runs, since the last reset.

    Attributes:
        elf_sha256: the printed part of the hash; "" where unknown.
        build_id: evtool's; "" where unknown.
    """

    elf_sha256: str = ""
    build_id: str = ""


class ProgramIdentity:
    """Learns it from the lines of one port.

    Attributes:
        now: what is known.
    """

    def __init__(self) -> None:
        self.now = Identity()

    def feed(self, line: Line) -> None:
        """Learn from a line."""
        if line.reset:
            self.now = Identity()  # another program may start
        elif line.event == "boot" and line.record is not None:
            build = line.record.fields.get("build")
            known = isinstance(build, str) and _BUILD_ID.match(build) is not None
            self.now = replace(self.now, build_id=str(build) if known else "")
        elif line.record is None and "SHA256" in line.text:
            found = _SHA256.search(line.text)
            if found is not None:
                self.now = replace(self.now, elf_sha256=found[1].lower())


def choose(panic_sha256: str, identity: Identity, candidates: Sequence[ElfFile]) -> Choice:
    """The candidate that belongs to the program that broke down."""
    printed = [each for each in (panic_sha256, identity.elf_sha256) if each.strip("0")]
    if printed:
        sha256 = printed[0]
        for elf in candidates:
            if elf.sha256.startswith(sha256):
                return Choice(elf, f"ELF file SHA256 {sha256}")
        return Choice(None, f"no ELF file here has the SHA-256 {sha256}...: {_seen(candidates)}")
    if identity.build_id:
        matches = [elf for elf in candidates if elf.build_id == identity.build_id]
        if matches:
            best = next((elf for elf in matches if elf.has_lines), matches[0])
            return Choice(best, f"build {identity.build_id}")
        return Choice(
            None, f"no ELF file here is of build {identity.build_id}: {_seen(candidates)}"
        )
    return Choice(
        None,
        "the board has not said which program it runs: no ELF file SHA256 in the panic, and no "
        "boot line since the monitor began (reset the board once while it watches)",
    )


def _seen(candidates: Sequence[ElfFile]) -> str:
    if not candidates:
        return "none was found (build the firmware here, or name it with --elf FILE)"
    shown = [
        f"{elf.path} is {elf.sha256[:9]}" + (f", build {elf.build_id}" if elf.build_id else "")
        for elf in candidates[:4]
    ]
    return "; ".join(shown)
