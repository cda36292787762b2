# SPDX-License-Identifier: GPL-3.0-or-later
"""The plot as a picture, drawn by matplotlib where that is installed (evtool[png])."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from evtool.errors import ConfigError
from evtool.monitor.plot.collect import LANES, UnitCourse
from evtool.monitor.plot.html import unit_title
from evtool.monitor.plot.series import Curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAX_UNITS = 4
_COLOURS = {"bms": "#7d8893", "power_module": "#8d3fb3", "output": "#e07b18", "terminal": "#1f6fc4"}
_DASHES = {"bms": ":", "power_module": "--"}
_GOOD = frozenset({"open", "in", "running", "connected", "on"})


def require_matplotlib() -> None:
    """Raises ConfigError where matplotlib is not installed."""
    if importlib.util.find_spec("matplotlib") is None:
        raise ConfigError(
            "a PNG needs matplotlib, which is not installed",
            fix="pip install 'evtool[png]', or --plot FILE.html, which needs nothing",
        )


def render_png(units: Mapping[str, UnitCourse], *, dated: bool, source: str = "") -> bytes:
    """The picture: the panels of each unit, one below the other, over one axis of time.

    Args:
        units: by the port's name; no more than `MAX_UNITS` of them are drawn.
        source: what they come from where no port has a name, such as a log's.
        dated: whether the times are Unix time (then UTC is shown); otherwise seconds are.
    """
    from matplotlib.figure import Figure  # noqa: PLC0415  a second to import; few want a PNG

    shown = list(units.items())[:MAX_UNITS]
    rows = [(port, unit, part) for port, unit in shown for part in _parts(unit)]
    heights = [0.5 if part is None else 1.0 for _, _, part in rows] or [1.0]
    figure = Figure(figsize=(14, 1.2 + 1.9 * sum(heights)), dpi=110, layout="constrained")
    grid: Any = figure.subplots(
        len(heights), 1, sharex="col", squeeze=False, gridspec_kw={"height_ratios": heights}
    )
    for axes, (port, unit, part) in zip(grid[:, 0], rows, strict=False):
        name = unit_title(port or source, unit)
        axes.set_title(f"{name}: {part or 'states'}", loc="left", fontsize=10, fontweight="bold")
        if part is None:
            _draw_lanes(axes, unit, dated=dated)
        else:
            _draw_panel(axes, unit, part, dated=dated)
        axes.grid(visible=True, color="#eceff2")
        axes.set_axisbelow(True)
    grid[-1, 0].set_xlabel("time (UTC)" if dated else "time (s)")
    stream = io.BytesIO()
    figure.savefig(stream, format="png", metadata={"Software": "evtool"})
    return stream.getvalue()


def _parts(unit: UnitCourse) -> list[str | None]:
    """The titles of its panels, and None for its lanes."""
    panels: list[str | None] = [panel.title for panel, _ in unit.panels()]
    has_lanes = any(lane.spans(unit.end_ms) for lane in unit.lanes.values())
    return [*panels, None] if has_lanes else panels


def _draw_panel(axes: Axes, unit: UnitCourse, title: str, *, dated: bool) -> None:
    for panel, curves in unit.panels():
        if panel.title != title:
            continue
        for quantity, curve in curves:
            times, values = _line(curve, quantity.divisor, unit.begin_ms or 0, dated=dated)
            axes.plot(
                times,
                values,
                _DASHES.get(quantity.record, "-") if len(curves) > 1 else "-",
                color=_COLOURS[quantity.record if len(curves) > 1 else "terminal"],
                linewidth=1.3,
                label=quantity.label,
            )
        axes.set_ylabel(panel.unit)
        if len(curves) > 1:
            axes.legend(loc="upper right", ncols=4, fontsize=8, framealpha=0.85)


def _line(
    curve: Curve, divisor: int, begin_ms: int, *, dated: bool
) -> tuple[list[Any], list[float]]:
    points = curve.points()
    return (
        [_moment(time, begin_ms, dated=dated) for time, _ in points],
        [float("nan") if value is None else value / divisor for _, value in points],
    )


def _moment(at_ms: int, begin_ms: int, *, dated: bool) -> datetime | float:
    return datetime.fromtimestamp(at_ms / 1000, UTC) if dated else (at_ms - begin_ms) / 1000


def _draw_lanes(axes: Axes, unit: UnitCourse, *, dated: bool) -> None:
    names = [name for name in LANES if unit.lanes[name].spans(unit.end_ms)]
    begin_ms = unit.begin_ms or 0
    for row, name in enumerate(reversed(names)):
        for start_ms, end_ms, word in unit.lanes[name].spans(unit.end_ms):
            if word in ("none", "off"):
                continue
            start = _moment(start_ms, begin_ms, dated=dated)
            colour = "#d64533" if name == "faults" else "#2f9e5b" if word in _GOOD else "#a9b8c8"
            length: Any = _moment(end_ms, begin_ms, dated=dated) - start  # type: ignore[operator]  # both of one kind
            axes.broken_barh([(start, length)], (row - 0.38, 0.76), color=colour)  # type: ignore[list-item]  # dates are taken too
    axes.set_yticks(range(len(names)), [LANES[name] for name in reversed(names)], fontsize=8)
    axes.set_ylim(-0.6, len(names) - 0.4)
