# SPDX-License-Identifier: GPL-3.0-or-later
"""A screenful as lines of styled text, and the fewest bytes that turn the last one into the next.

A library draws such a picture in milliseconds and writes all of it; this one is drawn five times
a second beside a serial line that must not wait, so only the lines that changed are written, in
one piece, which the terminal shows at once (synchronized update, DEC mode 2026).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

from rich.cells import cell_len, set_cell_size

Span = tuple[str, str]
"""Text without control characters, and the name of its style ("" for none)."""

PictureLine = Sequence[Span]

# Selectors of SGR: the terminal's own sixteen colours, so that its theme holds.
STYLES: dict[str, str] = {
    "title": "1;36",
    "rule": "2;36",
    "value": "1",
    "dim": "2",
    "good": "32",
    "warning": "33",
    "stale": "2;33",
    "alarm": "1;31",
    "shout": "1;37;41",
    "ask": "1;30;43",
    "spark": "34",
    "name": "1",
}

_BEGIN, _END = "\x1b[?2026h", "\x1b[?2026l"
ENTER = "\x1b[?1049h\x1b[?25l\x1b[0m\x1b[2J"
"""To a screen of our own, without a cursor."""
LEAVE = "\x1b[?2026l\x1b[0m\x1b[?25h\x1b[?1049l"
"""Back to what was there before."""

ELLIPSIS = "…"


def width_of(line: PictureLine) -> int:
    """How many columns it takes."""
    return sum(_cells(text) for text, _ in line)


@lru_cache(maxsize=4096)
def _cells(text: str) -> int:
    return cell_len(text)


def fit(line: PictureLine, width: int, ellipsis: str = ELLIPSIS) -> list[Span]:
    """The line cut to `width` columns; `ellipsis` (one column) shows that it was."""
    if width <= 0:
        return []
    if width_of(line) <= width:
        return list(line)
    kept: list[Span] = []
    room = width - 1
    for text, style in line:
        cells = _cells(text)
        if cells > room:
            kept.append((set_cell_size(text, room), style))
            break
        kept.append((text, style))
        room -= cells
    kept.append((ellipsis, "dim"))
    return [(text, style) for text, style in kept if text]


def pad(line: PictureLine, width: int, ellipsis: str = ELLIPSIS) -> list[Span]:
    """The line cut or filled to exactly `width` columns."""
    cut = fit(line, width, ellipsis)
    missing = width - width_of(cut)
    return [*cut, (" " * missing, "")] if missing > 0 else cut


def plain(line: PictureLine) -> str:
    """Its text alone."""
    return "".join(text for text, _ in line).rstrip()


def ansi(line: PictureLine, *, colour: bool) -> str:
    """The line as a terminal takes it; without `colour` only bold, dim and reverse are left."""
    parts = []
    for text, style in line:
        codes = _codes(style, colour)
        parts.append(f"\x1b[{codes}m{text}\x1b[0m" if codes and text else text)
    return "".join(parts)


@lru_cache(maxsize=64)
def _codes(style: str, colour: bool) -> str:
    codes = STYLES[style] if style else ""
    if colour:
        return codes
    kept = [code for code in codes.split(";") if code in ("1", "2")]
    if style in ("shout", "ask", "alarm"):
        kept.append("7")
    return ";".join(kept)


class Canvas:
    """Remembers what the terminal shows.

    Args:
        colour: whether colours are wanted.
    """

    def __init__(self, *, colour: bool = True) -> None:
        self._colour = colour
        self._shown: list[str] = []
        self._size = (0, 0)

    def frame(self, lines: Iterable[PictureLine], size: tuple[int, int]) -> str:
        """What to write so that the terminal of `size` (width, height) shows `lines`.

        Returns:
            "" where it shows them already.
        """
        width, height = size
        wanted = [ansi(fit(line, width), colour=self._colour) for line in lines][:height]
        wanted += [""] * (height - len(wanted))
        parts = []
        if size != self._size:
            parts.append("\x1b[0m\x1b[2J")
            self._size, self._shown = size, [""] * height
        parts += [
            # The rest of the line is cleared first: nothing is, where a line fills it to the end.
            f"\x1b[{number};1H\x1b[K{text}"
            for number, (text, shown) in enumerate(zip(wanted, self._shown, strict=True), 1)
            if text != shown
        ]
        self._shown = wanted
        return f"{_BEGIN}{''.join(parts)}{_END}" if parts else ""

    def forget(self) -> None:
        """The terminal shows something else: the next frame is a whole one."""
        self._size = (0, 0)
