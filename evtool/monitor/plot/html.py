# SPDX-License-Identifier: GPL-3.0-or-later
"""The plot as one HTML page that needs nothing else: no network, no other file.

It comes in pieces, so that whoever makes it beside a serial line can read between two of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from html import escape
from itertools import pairwise
from pathlib import Path

from evtool.monitor.plot.collect import LANES, UnitCourse
from evtool.monitor.plot.series import Curve, GapPoint
from evtool.monitor.quantities import Quantity

_PAGE = Path(__file__).resolve().parent / "page"
_HINT = (
    "Drag to zoom, double-click for all of it; Ctrl or Shift and wheel; keys + - 0 and the arrows."
)
_ESCAPED = "\\u003c"
# what is a good sign in a lane, and what is a bad one; anything else is neither
_GOOD = frozenset({"open", "in", "running", "connected", "on"})
_WARN = frozenset({"not connected"})
# what a record's quantity is beside the others of its panel
_ROLES = {
    "bms": "requested",
    "power_module": "setpoint",
    "output": "output",
    "terminal": "terminal",
}
_NOTHING = frozenset({"none", "off"})


def render_html(units: Mapping[str, UnitCourse], *, dated: bool, source: str = "") -> Iterator[str]:
    """The page, piece by piece.

    Args:
        units: by the port's name.
        source: what they come from where no port has a name, such as a log's.
        dated: whether the times are Unix time; otherwise they count from the log's beginning.
    """
    style = (_PAGE / "page.css").read_text(encoding="utf-8")
    script = (_PAGE / "page.js").read_text(encoding="utf-8")
    titles = [unit_title(port or source, unit) for port, unit in units.items()]
    title = escape("evtool monitor: " + (", ".join(titles) or "nothing was said"))
    sections = "".join(
        (f"<h2>{escape(name)}</h2>\n" if len(titles) > 1 else "")
        + f'<div id="unit-{index}"></div>\n'
        for index, name in enumerate(titles)
    )
    yield (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>\n{style}</style>\n</head>\n<body>\n"
        f'<header><h1>{title}</h1><span class="faint">{escape(_grain(units))}</span></header>\n'
        '<div class="bar">'
        '<button type="button" data-do="in">Zoom in</button>'
        '<button type="button" data-do="out">Zoom out</button>'
        '<button type="button" data-do="whole">Whole run</button>'
        '<button type="button" data-do="theme">Light or dark</button>'
        f'<span class="readout">{escape(_HINT)}</span></div>\n'
        "<noscript><p>The plot needs JavaScript; the page needs nothing else.</p></noscript>\n"
        f'{sections}<script type="application/json" id="plot-data">'
        f'{{"dated": {json.dumps(dated)}, "units": ['
    )
    for index, unit in enumerate(units.values()):
        yield ", " if index else ""
        yield from _unit(index, titles[index], unit)
    yield f"]}}</script>\n<script>\n{script}</script>\n</body>\n</html>\n"


def unit_title(port: str, unit: UnitCourse) -> str:
    """The unit's own name, and its port's."""
    return " ".join(part for part in (unit.charge_point, port) if part) or "one unit"


def _grain(units: Mapping[str, UnitCourse]) -> str:
    """What a reader must know of the data."""
    widest = max(
        (curve.width_ms for unit in units.values() for curve in unit.curves.values()), default=1
    )
    if widest < 1000:
        return "every value"
    return f"least and greatest value of each {widest / 1000:.0f} s; --csv keeps every value"


def _unit(index: int, title: str, unit: UnitCourse) -> Iterator[str]:
    begin_ms = unit.begin_ms or 0
    head = {"index": index, "title": title, "begin": begin_ms, "end": unit.end_ms}
    yield _json(head | {"boots": unit.boots})[:-1] + ', "panels": ['
    for number, (panel, curves) in enumerate(unit.panels()):
        decimals = max(quantity.decimals for quantity, _ in curves)
        about = {"title": panel.title, "unit": panel.unit, "decimals": decimals}
        yield (", " if number else "") + _json(about)[:-1] + ', "curves": ['
        for place, (quantity, curve) in enumerate(curves):
            yield (", " if place else "") + _curve(quantity, curve, begin_ms)
        yield "]}"
    yield f'], "lanes": {_json(list(_lanes(unit)))}}}'


def _curve(quantity: Quantity, curve: Curve, begin_ms: int) -> str:
    points: list[GapPoint] = curve.points()
    times = [begin_ms, *(time for time, _ in points)]
    return _json(
        {
            "name": quantity.name,
            "label": _ROLES[quantity.record],
            "record": quantity.record,
            "divisor": quantity.divisor,
            "t": [later - earlier for earlier, later in pairwise(times)],
            "v": [value for _, value in points],
        }
    )


def _lanes(unit: UnitCourse) -> Iterator[dict[str, object]]:
    for name, title in LANES.items():
        spans = unit.lanes[name].spans(unit.end_ms)
        if spans:
            yield {
                "title": title,
                "spans": [(start, end, word, _kind(name, word)) for start, end, word in spans],
            }


def _kind(lane: str, word: str) -> str:
    """The CSS class of a state; "" for one that is not worth a colour."""
    if lane == "faults":
        return "" if word in _NOTHING else "bad"
    if word in _GOOD:
        return "good"
    return "warn" if word in _WARN else "" if word in _NOTHING else "calm"


def _json(value: object) -> str:
    # No text of a board may end the element: `<` never stands in it as itself.
    return json.dumps(value, separators=(",", ":")).replace("<", _ESCAPED)
