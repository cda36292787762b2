# SPDX-License-Identifier: GPL-3.0-or-later
"""A run as a table of text, one row a board, and one line that sums it up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evtool.flash.station.board_run import PHASES
from evtool.flash.station.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Columns:
    """What the rows show, beside how often a board was tried and what was written to it.

    Attributes:
        texts: heading and key of each text.
        phases: whose seconds are shown; those that no board had are left out.
    """

    texts: tuple[tuple[str, str], ...] = (
        ("port", "serial_port"),
        ("MAC", "mac"),
        ("verdict", "verdict"),
    )
    phases: tuple[str, ...] = PHASES


_FLASH = Columns()
IDENTIFIED = Columns(
    (
        ("port", "serial_port"),
        ("MAC", "mac"),
        ("chip", "description"),
        ("verdict", "verdict"),
    ),
    ("connect",),
)
"""Where boards were only asked who they are."""


def render_table(document: Mapping[str, object], wall_ms: int, columns: Columns = _FLASH) -> str:
    """The boards of a run's document, those that need something last, with what they need."""
    boards = document["boards"]
    assert isinstance(boards, list)  # noqa: S101 - made by run_document; for the type checker
    ordered = sorted(boards, key=lambda board: board["exit_code"] != 0)
    phases = [
        phase
        for phase in columns.phases
        if columns is _FLASH or any(phase in _times(board) for board in boards)
    ]
    heads = [head for head, _ in columns.texts]
    head = (*heads, "tries", "written", *phases, "s")
    rows = [head, *(_row(board, columns, phases) for board in ordered)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if column < len(heads) else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    for board in ordered:
        if board["exit_code"] != 0:
            lines += _explanation(board)
    return "\n".join([*lines, _summary(boards, wall_ms)])


def _times(board: Mapping[str, object]) -> Mapping[str, int]:
    found = board.get("times_ms")
    return found if isinstance(found, dict) else {}


def _row(board: Mapping[str, object], columns: Columns, phases: Sequence[str]) -> tuple[str, ...]:
    times = _times(board)
    written = board.get("bytes_written", 0)
    return (
        *(str(board.get(key) or "-") for _, key in columns.texts),
        str(board.get("attempts", "-")),
        f"{written:,}",
        *(f"{times[phase] / 1000:.1f}" if phase in times else "-" for phase in phases),
        f"{sum(times.values()) / 1000:.1f}",
    )


def _explanation(board: Mapping[str, object]) -> Sequence[str]:
    message = str(board.get("message") or "").splitlines() or [""]
    lines = [f"{board['serial_port']}: {message[0]}", *(f"  {line}" for line in message[1:])]
    if board.get("fix"):
        lines.append(f"  fix: {board['fix']}")
    return lines


def _summary(boards: Sequence[Mapping[str, object]], wall_ms: int) -> str:
    words = [str(board["verdict"]) for board in boards]
    counts = [f"{words.count(word)} {word}" for word in sorted(set(words), key=_place)]
    many = "1 board" if len(boards) == 1 else f"{len(boards)} boards"
    return f"{many} in {wall_ms / 1000:.1f} s: {', '.join(counts) or 'none came'}"


def _place(word: str) -> tuple[int, str]:
    """The station's own words in their order, behind those of other runs."""
    known = [verdict.value for verdict in Verdict]
    return (known.index(word), "") if word in known else (-1, word)
