# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a build is, by what the build before it did.

SCons looks at the same files in about the same order each time and prints those that it makes
again. So the place of a file in the last whole build's order says how far this one is, whether
it makes everything or one file.
"""

from __future__ import annotations

import json
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Position:
    """`done` of `total` steps; `total` is None where no build before says how many there are."""

    done: int
    total: int | None


class Progress:
    """Follows the steps of one build; the position never goes back.

    Args:
        known: the steps of the last builds in their order; empty for the first one.
    """

    def __init__(self, known: tuple[str, ...] = ()) -> None:
        self._known = known
        self._index = {name: index for index, name in enumerate(known)}
        self._seen: list[str] = []
        self._done = 0
        self._added = 0

    def step(self, name: str) -> Position:
        """The position after SCons began with `name`."""
        self._seen.append(name)
        if name in self._index:
            self._done = max(self._done, self._index[name] + 1)
        else:
            self._added += 1
        if not self._known:
            return Position(len(self._seen), None)
        return Position(self._done + self._added, len(self._known) + self._added)

    def steps(self, *, was_whole: bool) -> tuple[str, ...]:
        """What the next build should know.

        Args:
            was_whole: nothing was there when this build began, so it made everything.
        """
        seen = tuple(dict.fromkeys(self._seen))
        if was_whole or not self._known:
            return seen
        merged = list(self._known)
        at = 0
        for name in seen:
            if name in self._index:
                at = merged.index(name) + 1
            else:
                merged.insert(at, name)
                at += 1
        return tuple(merged)


def encode(steps: tuple[str, ...]) -> bytes:
    """The note that the next build reads."""
    return json.dumps(list(steps)).encode()


def decode(data: bytes) -> tuple[str, ...]:
    """The steps of that note; none where it cannot be read, for a bar is not worth an error."""
    try:
        names = json.loads(data)
    except ValueError:
        return ()
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return ()
    return tuple(names)


def bar(position: Position, label: str, width: int) -> str:
    """One line of at most `width` characters."""
    if position.total is None:
        return f"  {position.done:4d} {label}"[:width]
    share = position.done / position.total
    # Full only at the end: the last step is announced before it is done.
    percent = min(99, int(share * 100))
    cells = min(24, max(0, width - 40))
    drawn = f"[{'#' * int(share * cells):{cells}}] " if cells else ""
    return f"  {drawn}{percent:3d} % {position.done}/{position.total} {label}"[:width]
