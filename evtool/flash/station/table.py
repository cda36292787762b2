# SPDX-License-Identifier: GPL-3.0-or-later
"""A run as a table of text, one row a board, and one line that sums it up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from evtool.flash.station.board_run import PHASES
from evtool.flash.station.verdict import Verdict

_HEAD = ("port", "MAC", "verdict", "tries", "written", *PHASES, "s")


def render_table(document: Mapping[str, object], wall_ms: int) -> str:
    """The boards of a run's document, those that need something last, with what they need."""
    boards = document["boards"]
    assert isinstance(boards, list)  # noqa: S101 - made by run_document; for the type checker
    ordered = sorted(boards, key=lambda board: (not Verdict(board["verdict"]).good,))
    rows = [_HEAD, *(_row(board) for board in ordered)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if column < 3 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    for board in ordered:
        if not Verdict(board["verdict"]).good:
            lines += _explanation(board)
    return "\n".join([*lines, _summary(boards, wall_ms)])


def _row(board: Mapping[str, object]) -> tuple[str, ...]:
    found = board.get("times_ms")
    times: Mapping[str, int] = found if isinstance(found, dict) else {}
    phases = [f"{times[phase] / 1000:.1f}" if phase in times else "-" for phase in PHASES]
    written = board.get("bytes_written", 0)
    return (
        str(board["serial_port"]),
        str(board.get("mac") or "-"),
        str(board["verdict"]),
        str(board.get("attempts", "-")),
        f"{written:,}",
        *phases,
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
    counts = [
        f"{words.count(verdict.value)} {verdict.value}"
        for verdict in Verdict
        if verdict.value in words
    ]
    many = "1 board" if len(boards) == 1 else f"{len(boards)} boards"
    return f"{many} in {wall_ms / 1000:.1f} s: {', '.join(counts) or 'none came'}"
