# SPDX-License-Identifier: GPL-3.0-or-later
"""Plots: no value of a short run and no peak of a long one is lost, and the page is one file."""

from __future__ import annotations

import importlib.util
import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from headless import browse
from hypothesis import given, settings
from hypothesis import strategies as st

from evtool.cli.monitor_plot import EVERY_MS, PlotFile, check_plot
from evtool.errors import ConfigError, EvtoolError
from evtool.monitor.follow import Line, read_line
from evtool.monitor.plot import png
from evtool.monitor.plot.collect import MAX_PORTS, PlotCollector
from evtool.monitor.plot.html import render_html
from evtool.monitor.plot.series import MAX_BUCKETS, MAX_CHANGES, SILENT_MS, Curve, Lane

POINTS = st.lists(
    st.tuples(st.integers(0, 20_000), st.one_of(st.none(), st.integers(-(10**9), 10**9))),
    max_size=60,
)


def line(text: str, at_ms: int, port: str = "P") -> Line:
    return read_line(text, at_ms, at_ms * 1_000_000, port)


@settings(deadline=None)
@given(POINTS)
def test_a_short_run_is_kept_value_for_value(points: list[tuple[int, int | None]]) -> None:
    curve = Curve()
    at_ms, wanted = 0, []
    for step, value in points:
        at_ms += step + 1
        curve.add(at_ms, value)
        wanted += [(at_ms, value)] if value is not None else []
    found = curve.points()
    assert [point for point in found if point[1] is not None] == wanted
    assert found == sorted(found, key=lambda point: point[0])
    gaps = [time for time, value in found if value is None]
    for earlier, later in pairwise(wanted):
        between = any(earlier[0] < gap <= later[0] for gap in gaps)
        unknown = any(
            value is None and earlier[0] < sum(step + 1 for step, _ in points[: n + 1]) < later[0]
            for n, (_, value) in enumerate(points)
        )
        assert between == (unknown or later[0] - earlier[0] > SILENT_MS)


def test_a_long_run_keeps_its_peaks_in_little_memory() -> None:
    curve = Curve()
    for second in range(200_000):
        value = 10_000 if second == 123_456 else -10_000 if second == 77 else second % 7
        curve.add(second * 1000, value)
    points = curve.points()
    assert len(points) <= 4 * MAX_BUCKETS
    values = [value for _, value in points if value is not None]
    assert (min(values), max(values)) == (-10_000, 10_000)
    assert (123_456_000, 10_000) in points
    assert points[0] == (0, 0)
    assert points[-1] == (199_999_000, 199_999 % 7)


def test_a_lane_holds_until_it_changes_and_thins_out() -> None:
    lane = Lane()
    assert lane.spans(100) == []
    for at_ms, word in ((10, "a"), (20, "a"), (30, "b"), (40, ""), (60, "a")):
        lane.add(at_ms, word)
    assert lane.spans(100) == [(10, 30, "a"), (30, 40, "b"), (60, 100, "a")]
    for number in range(50_000):
        lane.add(1000 + number, "ab"[number % 2])
    spans = lane.spans(60_000)
    assert len(spans) <= MAX_CHANGES + 1
    assert spans[-1][:2] == (spans[-1][0], 60_000)


def collected(*texts: str) -> PlotCollector:
    collector = PlotCollector()
    for second, text in enumerate(texts):
        collector.on_lines([line(text, 1_000_000_000_000 + second * 1000)])
    return collector


SESSION = (
    "[event] boot version=1 build=2 charge_point=</script><b>CP reset=power_on",
    "[bms] v=72.00V i=30.00A switch=on mode=- soc=55.1% age=120ms raw=02 D0",
    "[power_module] state=on set_v=72.00V set_i=30.00A heartbeat=alive age=90ms raw=01",
    "[event] gate state=open",
    "[terminal] v=71.90V i=-0.75A p=-2.0W status=charging energy=12.345kWh session=- age=80ms",
    "[output] v=- i=- temp=41.2C m79=- m83=- age=-",
    "[event] fault name=over_voltage state=set",
)


def page_of(collector: PlotCollector, *, dated: bool = True) -> str:
    return "".join(render_html(collector.units, dated=dated))


def data_of(page: str) -> dict[str, Any]:
    match = re.search(r'<script type="application/json" id="plot-data">(.*?)</script>', page)
    assert match is not None
    found: dict[str, Any] = json.loads(match[1])
    return found


def test_the_page_is_whole_and_holds_every_value() -> None:
    page = page_of(collected(*SESSION))
    assert "http" not in re.sub(r"http://www\.w3\.org/2000/svg", "", page)
    assert "<b>CP" not in page  # what a board says is text
    data = data_of(page)
    (unit,) = data["units"]
    assert unit["begin"] == 1_000_000_000_000
    assert unit["boots"] == [1_000_000_000_000]
    panels = {panel["title"]: panel for panel in unit["panels"]}
    assert set(panels) == {
        "Voltage", "Current", "Power", "Temperature", "State of charge", "Energy register",
    }  # fmt: skip
    voltage = {curve["name"]: curve for curve in panels["Voltage"]["curves"]}
    assert voltage["terminal.v"]["v"] == [71900]
    assert voltage["terminal.v"]["t"] == [4000]
    assert panels["Current"]["curves"][-1]["v"] == [-750]
    lanes = {lane["title"]: lane["spans"] for lane in unit["lanes"]}
    assert lanes["Gate"][-1][2:] == ["open", "good"]
    assert lanes["Faults"][-1][2:] == ["over voltage", "bad"]


def test_an_empty_run_is_a_page_too() -> None:
    assert data_of(page_of(PlotCollector())) == {"dated": True, "units": []}


def test_a_million_records_make_no_giant_page() -> None:
    collector = PlotCollector()
    template = line(SESSION[4], 0)
    for number in range(20_000):  # each curve is bounded: more of them change nothing
        at_ns = number * 1_000_000_000
        collector.on_lines([Line(number * 1000, template.text, template.record, at_ns=at_ns)])
    assert len(page_of(collector)) < 1_000_000


def test_a_board_that_invents_faults_makes_no_giant_page() -> None:
    texts = [f"[event] fault name=f{number}{'x' * 200} state=set" for number in range(2000)]
    page = page_of(collected(*texts, *(f"[power_module] state={'y' * 900}{n}" for n in range(99))))
    assert len(page) < 200_000


def test_a_plot_without_room_for_more_ports_says_so_once(tmp_path: Path) -> None:
    told: list[str] = []
    plot = PlotFile(
        tmp_path / "x.html", dated=True, now_ms=lambda: 0, note=lambda _, text: told.append(text)
    )
    for number in range(MAX_PORTS + 3):
        plot.on_lines([line(SESSION[3], 0, f"port {number}")])
    assert told == [f"{tmp_path / 'x.html'}: a plot has room for {MAX_PORTS} ports"]


@pytest.mark.parametrize("dated", [True, False])
def test_a_browser_draws_it(tmp_path: Path, dated: bool) -> None:
    page = tmp_path / "plot.html"
    page.write_text(page_of(collected(*SESSION), dated=dated), encoding="utf-8")
    dom = browse(tmp_path, page, "--virtual-time-budget=2000", "--dump-dom")
    assert dom.count('class="frame"') == 6
    assert 'class="curve terminal' in dom
    assert ">open</text>" in dom
    assert 'data-theme="' in dom


def test_a_picture_is_a_png() -> None:
    pytest.importorskip("matplotlib", reason="needs matplotlib (evtool[png])")
    picture = png.render_png(collected(*SESSION).units, dated=True)
    assert picture.startswith(b"\x89PNG\r\n\x1a\n")
    assert len(picture) > 20_000
    assert png.render_png({}, dated=False).startswith(b"\x89PNG")


def test_what_would_fail_at_the_end_fails_at_the_begin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_plot(tmp_path / "x.html")
    with pytest.raises(EvtoolError, match="no folder"):
        check_plot(tmp_path / "away" / "x.html")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="matplotlib"):
        check_plot(tmp_path / "x.png")


def test_the_page_is_written_now_and_then_and_in_pieces(tmp_path: Path) -> None:
    path = tmp_path / "x.html"
    now_ms = 0
    plot = PlotFile(path, dated=True, now_ms=lambda: now_ms)
    for second, text in enumerate(SESSION):
        plot.on_lines([line(text, second * 1000)])
    steps = 0
    while not path.exists():
        due_ms = plot.on_time(now_ms)
        assert due_ms is not None
        now_ms = max(now_ms + 1, due_ms)
        steps += 1
        if plot._thread is not None:
            plot._thread.join()
    assert steps > 10  # never all of it between two reads
    first = path.read_text()
    due_ms = plot.on_time(now_ms)
    assert due_ms is not None
    assert due_ms - now_ms > EVERY_MS // 2
    plot.on_lines([line("[output] v=1.00V", 60_000)])
    plot.finish()
    assert path.read_text() != first
    assert "60000" in path.read_text() or '"end":60000' in path.read_text()


def test_a_watch_that_heard_nothing_leaves_an_earlier_plot(tmp_path: Path) -> None:
    path = tmp_path / "x.html"
    path.write_text("the last run")
    PlotFile(path, dated=True, now_ms=lambda: 0).finish()
    assert path.read_text() == "the last run"
