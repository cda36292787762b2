# SPDX-License-Identifier: GPL-3.0-or-later
"""The live screen fits every terminal, says what matters first, and writes what changed."""

from __future__ import annotations

import pyte
from hypothesis import given, settings
from hypothesis import strategies as st

from evtool.cli.monitor_screen import Screen
from evtool.monitor.follow import Silence, read_line
from evtool.monitor.history import History, sparkline
from evtool.monitor.picture import Canvas, fit, pad, plain, width_of
from evtool.monitor.screen_layout import Frame, draw
from evtool.monitor.unit_state import MAX_BUSES, MAX_FAULTS
from evtool.monitor.views import VIEW_RECORDS, Dashboard

LINES = [
    "[bms] v=72.00V i=30.00A switch=on mode=charging soc=55.1% age=120ms raw=02 D0 01 2C 00 00 00",
    "[power_module] state=on set_v=72.00V set_i=30.00A heartbeat=alive age=90ms raw=01 32 00 00",
    "[output] v=71.95V i=29.80A temp=41.2C m79=- m83=- age=200ms",
    "[event] plug state=in",
    "[bms] broken",
    "漢字 [red]markup stays text[/red] " * 5,
]
FRAME = Frame("/dev/ttyX", "connected")


def dashboard(*more: str, at_ms: int = 1000) -> Dashboard:
    board = Dashboard()
    for line in (*LINES, *more):
        board.observe(read_line(line, at_ms))
    return board


def picture(
    board: Dashboard, now_ms: int, width: int, height: int, frame: Frame = FRAME
) -> list[str]:
    return [plain(line) for line in draw(board, frame, now_ms, (width, height))]


@settings(deadline=None)
@given(
    st.sampled_from(sorted(VIEW_RECORDS)),
    st.integers(1, 200),
    st.integers(1, 60),
    st.integers(0, 10_000),
    st.booleans(),
)
def test_it_fits_any_terminal(
    view: str, width: int, height: int, later_ms: int, ascii_only: bool
) -> None:
    board = dashboard()
    board.press(view)
    frame = Frame("/dev/ttyX", "connected", ascii_only=ascii_only)
    lines = draw(board, frame, 1000 + later_ms, (width, height))
    assert len(lines) == height
    assert all(width_of(line) <= width for line in lines)


def test_a_usual_terminal_shows_everything() -> None:
    text = "\n".join(picture(dashboard(), 1500, 80, 24))
    for wanted in ("72.00 V", "71.95 V", "41.2 °C", "age 0.6 s", "waiting", "vehicle in"):
        assert wanted in text
    assert "[event] plug state=in" in text
    assert "[red]markup stays text[/red]" in text
    assert "broken lines: 1" in text
    assert "q quit" in text.splitlines()[-1]
    assert "view all" in text.splitlines()[0]


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
    assert "Recent" in "\n".join(lines)


def test_columns_stay_where_they_are_without_utf_8() -> None:
    rich, poor = (
        picture(dashboard(), 1500, 80, 24, Frame("p", "connected", ascii_only=ascii_only))
        for ascii_only in (False, True)
    )
    (shown,) = (line for line in rich if line.startswith("Temperature"))
    (plain_line,) = (line for line in poor if line.startswith("Temperature"))
    assert shown.index("▁") == plain_line.index("_")


def test_a_question_takes_the_place_of_the_keys() -> None:
    frame = Frame("/dev/ttyX", "connected", question="really?")
    assert picture(dashboard(), 1500, 80, 24, frame)[-1].strip() == "really?"


def test_of_a_long_question_the_end_is_shown() -> None:
    name = "/dev/serial/by-id/usb-Silicon_Labs_CP2102_USB_to_UART_Bridge_Controller_0001-if00-port0"
    question = f"{name} is live: send s (start: power may flow)? y: yes, other key: no"
    shown = picture(dashboard(), 1500, 80, 24, Frame(name, "connected", question=question))[-1]
    assert shown.strip().endswith("send s (start: power may flow)? y: yes, other key: no")
    assert len(shown) <= 80


def test_faults_and_limits_stand_in_a_line_of_their_own() -> None:
    board = dashboard(
        "[event] gate state=closed reason=fault",
        "[event] fault name=over_voltage state=set",
        "[output] v=71.95V i=29.80A temp=65.0C m79=- m83=- age=200ms",
    )
    lines = picture(board, 1500, 160, 40)
    assert "gate closed: fault" in lines[1]
    assert "FAULT over voltage" in lines[2]
    assert "Temperature above 60 °C" in lines[2]
    assert "Output current flows with a closed gate" in lines[2]


def test_a_board_that_invents_faults_and_buses_is_said_to() -> None:
    board = dashboard(*(f"[event] fault name=f{number} state=set" for number in range(5000)))
    assert len(board.state.faults) == MAX_FAULTS
    assert picture(board, 1500, 80, 24)[2].startswith(" more faults or buses than a unit can have")
    board = dashboard(*(f"[event] bus bus={number} state=bus_off" for number in range(5000)))
    assert len(board.state.buses) == MAX_BUSES
    assert board.state.crowded
    board.observe(read_line("[event] boot version=1 build=2 charge_point=C reset=software", 1500))
    assert not board.state.crowded


def test_a_wide_terminal_shows_the_range_of_what_was() -> None:
    board = Dashboard()
    for second in range(60):
        line = f"[output] v={70 + second / 10:.2f}V i=1.00A temp=40.0C m79=- m83=- age=1ms"
        board.observe(read_line(line, second * 1000))
    text = "\n".join(picture(board, 59_000, 160, 50))
    assert "70.00 .. 75.90" not in text  # no further back than the curve shows
    assert ".. 75.90" in text
    assert "█" in text
    assert "█" not in "\n".join(
        picture(board, 59_000, 160, 50, Frame("p", "connected", ascii_only=True))
    )


@settings(deadline=None)
@given(st.lists(st.one_of(st.none(), st.integers(-(10**9), 10**9)), max_size=80), st.integers(1, 4))
def test_a_sparkline_has_a_column_a_value(values: list[int | None], rows: int) -> None:
    drawn = sparkline(values, rows=rows)
    assert [len(row) for row in drawn] == [len(values)] * rows
    for index, value in enumerate(values):
        column = {row[index] for row in drawn}
        assert (column == {" "}) == (value is None)


def test_the_greatest_stands_highest_and_the_least_lowest() -> None:
    assert sparkline([0, 50, 100]) == ["▁▅█"]
    assert sparkline([0, 100], rows=2) == [" █", "▁█"]
    assert sparkline([7, 7, None]) == ["▁▁ "]
    assert sparkline([0, 100], ascii_only=True) == ["_#"]


def test_a_history_forgets_and_shows_gaps() -> None:
    history = History()
    history.add(1000, 1)
    history.add(2100, 2)
    history.add(5000, 5)
    assert history.last(6, 5500) == [None, 1, 2, None, None, 5]
    assert history.last(3, 5_000_000) == [None, None, None]
    history.add(9_000_000, 9)
    assert history.last(2, 9_000_000) == [None, 9]


def test_one_missed_second_is_no_gap() -> None:
    history = History()
    for second in (1, 2, 4, 5):
        history.add(second * 1000, second)
    assert history.last(5, 5999) == [1, 2, 2, 4, 5]


def test_cut_text_says_so_and_wide_signs_take_two_columns() -> None:
    assert plain(fit([("abcdef", "")], 4)) == "abc…"
    assert width_of(fit([("漢字漢字", "")], 4)) <= 4
    assert width_of(pad([("ab", "")], 5)) == 5
    assert fit([("abc", "")], 0) == []


def screen_text(screen: pyte.Screen) -> list[str]:
    return [line.rstrip() for line in screen.display]


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["12", "80", "97"]), st.integers(2, 30), st.integers(0, 9000)),
        min_size=1,
        max_size=5,
    )
)
def test_frames_on_a_terminal_show_the_picture(steps: list[tuple[str, int, int]]) -> None:
    """However the size changes, what the terminal shows is the picture that was drawn."""
    canvas = Canvas()
    board = dashboard()
    for width_text, height, later_ms in steps:
        size = (int(width_text), height)
        terminal = pyte.Screen(*size)
        stream = pyte.Stream(terminal)
        board.observe(read_line(LINES[2], 1000 + later_ms))
        lines = draw(board, FRAME, 1000 + later_ms, size)
        canvas.forget()  # a terminal of another size is a new one here
        stream.feed(canvas.frame(lines, size))
        # pyte gives a wide sign a column of its own and an empty one behind it
        assert screen_text(terminal) == [plain(line) for line in lines]
        assert canvas.frame(lines, size) == ""


def test_only_what_changed_is_written() -> None:
    canvas = Canvas(colour=False)
    lines = [[("one", "value")], [("two", "")], [("three", "")]]
    first = canvas.frame(lines, (20, 3))
    assert "three" in first
    lines[1] = [("TWO", "")]
    second = canvas.frame(lines, (20, 3))
    assert second == "\x1b[?2026h\x1b[2;1H\x1b[KTWO\x1b[?2026l"


class FakePlace:
    """A terminal that takes pictures, unless it is stopped."""

    colour = True
    ascii_only = False

    def __init__(self) -> None:
        self.written: list[str] = []
        self.busy = False
        self.last_words = ""

    def size(self) -> tuple[int, int]:
        return (80, 24)

    def write(self, text: str) -> None:
        self.written.append(text)

    def close(self, last_words: str) -> None:
        self.last_words = last_words


def test_one_write_a_picture_and_none_to_a_stopped_terminal() -> None:
    place = FakePlace()
    with Screen(place, "/dev/ttyX", VIEW_RECORDS["5"]) as screen:
        screen.note("connected", "")
        screen.refresh(1000)
        assert len(place.written) == 2  # to the other screen, and the picture
        screen.show(read_line(LINES[0], 1000))
        screen.refresh(1100)
        assert len(place.written) == 2  # too soon
        place.busy = True
        screen.refresh(1300)
        assert len(place.written) == 2
        place.busy = False
        screen.refresh(1310)
        assert len(place.written) == 3
        assert "72.00" in place.written[-1]
    assert "\x1b[?1049l" in place.last_words


def test_a_terminal_that_was_never_drawn_on_is_left_alone() -> None:
    place = FakePlace()
    with Screen(place, "/dev/ttyX", ()):
        pass
    assert place.written == []
    assert place.last_words == ""


def test_a_note_goes_after_a_while_and_a_question_on_demand() -> None:
    place = FakePlace()
    with Screen(place, "/dev/ttyX", ()) as screen:
        screen.note("connected", "")
        screen.note("refused", "s: the port is not there")
        screen.refresh(0)
        assert "the port is not there" in place.written[-1]
        screen.ask("really?")
        screen.refresh(1)
        assert "really?" in place.written[-1]
        screen.ask("")
        screen.refresh(5200)
        assert "1 bms" in place.written[-1]


def test_a_decoded_panic_stands_among_the_boards_lines() -> None:
    place = FakePlace()
    with Screen(place, "/dev/ttyX", ()) as screen:
        screen.note("connected", "")
        screen.note("panic_decoded", "  #0  0x400d1f24 ev::Gate::open at gate.cpp:12")
        screen.refresh(1000)
        assert "ev::Gate::open at gate.cpp:12" in place.written[-1]
        # where a board's start pushes its lines out, what happened stands in the last one
        screen.note("panic_decoded", "panic (abort): abort() was called")
        for _ in range(50):
            screen.show(read_line("I (1) boot: ...", 1000))
        screen.note("panic_decoded", "  #0  0x400d1f24 somewhere")
        screen.refresh(1001)
        assert "panic (abort): abort() was called" in place.written[-1]
