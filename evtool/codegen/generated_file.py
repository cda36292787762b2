# SPDX-License-Identifier: GPL-3.0-or-later
"""A rendered file, and how it differs from the one that is there."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from evtool.errors import CheckFailed

SECRET_MODE = 0o600
_MACRO = re.compile(r"#define (\w+)")


@dataclass(frozen=True, slots=True)
class GeneratedFile:
    """What a file must hold.

    Attributes:
        secret: it holds secrets: mode 0600, and no line of it is ever shown.
    """

    path: Path
    text: str
    secret: bool = False

    @property
    def mode(self) -> int:
        """Permission bits."""
        return SECRET_MODE if self.secret else 0o644

    def __repr__(self) -> str:
        return f"GeneratedFile({str(self.path)!r})"  # the text may be secret


@dataclass(frozen=True, slots=True)
class Difference:
    """How the file that is there differs from the generated one.

    Attributes:
        reason: one line for people; without any value of a file that holds secrets.
        line: where, from 1; None where it is not about a line.
    """

    reason: str
    line: int | None = None


class StaleFiles(CheckFailed):
    """`--check` found files that `evtool codegen` would write."""

    def __init__(self, stale: Sequence[str], documents: Sequence[dict[str, object]]) -> None:
        noun = "file is" if len(stale) == 1 else "files are"
        super().__init__(
            f"{len(stale)} generated {noun} stale\n  " + "\n  ".join(stale),
            fix="run `evtool codegen` with the same options, without --check",
        )
        self.documents = list(documents)

    def as_dict(self) -> dict[str, object]:
        return super().as_dict() | {"files": self.documents}


def compare(generated: GeneratedFile, found: bytes | None, mode: int) -> Difference | None:
    """None where the file is as generated.

    Args:
        generated: what must be there.
        found: what is there; None for no file.
        mode: the permission bits of what is there.
    """
    if found is None:
        return Difference("missing")
    wanted = generated.text.encode()
    if found == wanted:
        if generated.secret and mode & 0o077:
            return Difference(f"mode is {mode:04o}, must be {SECRET_MODE:04o}")
        return None
    return _first_line(generated, wanted.split(b"\n"), found.split(b"\n"))


def _first_line(generated: GeneratedFile, wanted: list[bytes], found: list[bytes]) -> Difference:
    shared = min(len(wanted), len(found))
    at = next((i for i in range(shared) if wanted[i] != found[i]), shared)
    if generated.secret:
        macro = _MACRO.match(wanted[at].decode()) if at < len(wanted) else None
        return Difference(f"{macro[1]} differs" if macro else "differs", at + 1)
    return Difference(f"is {_shown(found, at)}, must be {_shown(wanted, at)}", at + 1)


def _shown(lines: list[bytes], at: int) -> str:
    return repr(lines[at].decode(errors="replace")) if at < len(lines) else "the end of the file"
