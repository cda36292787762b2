# SPDX-License-Identifier: GPL-3.0-or-later
"""The live screen fits every terminal and keeps its first and last line."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from evtool.cli.monitor_screen import draw
from evtool.monitor.follow import Silence, read_line
from evtool.monitor.views import VIEW_RECORDS, Dashboard

LINES = [
    "[bms] v=72.00V i=30.00A switch=on mode=charging soc=55.1% age=120ms raw=02 D0 01 2C 00 00 00",
    "[power_module] state=on set_v=72.00V set_i=30.00A heartbeat=alive age=90ms raw=01 32 00 00",
    "[output] v=71.95V i=29.80A temp=41.2C m79=- m83=- age=200ms",
    "[event] plug state=in",
    "[bms] broken",
    "漢字 [red]markup stays text[/red] " * 5,
]


def dashboard() -> Dashboard:
    board = Dashboard()
    for line in LINES:
        board.observe(read_line(line, 1000))
    return board


def picture(board: Dashboard, now_ms: int, width: int, height: int) -> list[str]:
    return [line.plain for line in draw(board, "/dev/ttyX", "connected", now_ms, (width, height))]


@given(
    st.sampled_from(sorted(VIEW_RECORDS)),
    st.integers(1, 200),
    st.integers(1, 60),
    st.integers(0, 10_000),
)
def test_it_fits_any_terminal(view: str, width: int, height: int, later_ms: int) -> None:
    board = dashboard()
    board.press(view)
    lines = draw(board, "/dev/ttyX", "connected", 1000 + later_ms, (width, height))
    assert len(lines) == height
    assert all(line.cell_len <= width for line in lines)


def test_a_usual_terminal_shows_everything() -> None:
    text = "\n".join(picture(dashboard(), 1500, 80, 24))
    for wanted in (
        "72.00 V",
        "71.95 V",
        "41.2 °C",
        "age 0.6 s",
        "waiting",
        "[event] plug state=in",
    ):
        assert wanted in text
    assert "[red]markup stays text[/red]" in text
    assert "broken lines: 1" in text
    assert "q quit" in text.splitlines()[-1]


def test_old_values_and_silence_are_marked() -> None:
    board = dashboard()
    assert "STALE" not in "\n".join(picture(board, 1500, 80, 24))
    board.observe(Silence(9000, 8000))
    text = "\n".join(picture(board, 9000, 80, 24))
    assert text.count("STALE 8.") == 3
    assert "silent for 8.0 s" in text.splitlines()[0]


def test_what_does_not_fit_is_said() -> None:
    lines = picture(dashboard(), 1500, 44, 12)
    assert any("more lines: choose one view" in line for line in lines)
    assert "[event]" in "\n".join(lines) or "Recent" in "\n".join(lines)
