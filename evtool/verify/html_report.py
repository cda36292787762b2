# SPDX-License-Identifier: GPL-3.0-or-later
"""The verdicts as one HTML page that needs nothing else: no network, no other file.

What is text stands in the page; the timelines are drawn by its script from data in the page.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from pathlib import Path

from evtool.verify.report import explanation, first_wrong, seconds
from evtool.verify.timeline import Timeline
from evtool.verify.verdict import Verdict

_PAGE = Path(__file__).resolve().parent / "page"
_HINT = (
    "Drag to zoom, double-click for all of it; Ctrl or Shift and wheel; "
    "keys + \u2212 \u2190 \u2192 0."
)


def render_html(verdicts: Sequence[Verdict], device: str) -> str:
    """The page, ASCII but for the few signs that HTML needs no entity for."""
    style = (_PAGE / "page.css").read_text(encoding="utf-8")
    script = (_PAGE / "page.js").read_text(encoding="utf-8")
    failed = sum(verdict.wrong for verdict in verdicts)
    left_out = sum(bool(verdict.not_run) for verdict in verdicts)
    steps = sum(verdict.steps for verdict in verdicts)
    nothing = left_out == len(verdicts) > 0
    result = "nothing was run" if nothing else f"{failed} differ" if failed else "all agree"
    state = "failed" if failed or nothing else "passed"
    ran = f"{len(verdicts) - left_out} runs" + (f", {left_out} not run" if left_out else "")
    rows = "".join(_row(index, verdict) for index, verdict in enumerate(verdicts))
    sections = "".join(
        _section(index, verdict) for index, verdict in enumerate(verdicts) if not verdict.not_run
    )
    data = json.dumps([_run(index, verdict) for index, verdict in enumerate(verdicts)])
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>evtool verify: {escape(device)}, {result}</title>\n"
        f"<style>\n{style}</style>\n</head>\n<body>\n"
        f"<h1>evtool verify: {escape(device)} against the reference</h1>\n"
        f'<p><span class="verdict {state}">{result}</span> '
        f"\u00b7 {ran} \u00b7 {steps:,} steps compared</p>\n"
        '<table>\n<tr><th>Run</th><th>Shows</th><th>Verdict</th><th class="number">Steps</th>'
        f'<th class="number">Time (s)</th></tr>\n{rows}</table>\n'
        "<noscript><p>The timelines need JavaScript; everything else is here.</p></noscript>\n"
        f"{sections}"
        # No text of a scenario may end the element: `<` never stands in it as itself.
        f'<script type="application/json" id="runs">{data.replace("<", _ESCAPED)}</script>\n'
        f"<script>\n{script}</script>\n</body>\n</html>\n"
    )


_ESCAPED = "\\u003c"


def _row(index: int, verdict: Verdict) -> str:
    scenario = verdict.scenario
    name = escape(scenario.name)
    if not verdict.not_run:
        name = f'<a href="#run-{index}">{name}</a>'
    return (
        f"<tr><td>{name}</td>"
        f"<td>{escape(scenario.title)}</td><td>{_badge(verdict)}</td>"
        f'<td class="number">{verdict.steps:,}</td>'
        f'<td class="number">{verdict.seconds:.2f}</td></tr>\n'
    )


def _badge(verdict: Verdict) -> str:
    if verdict.not_run:
        return f'<span class="verdict left-out">not run: {escape(verdict.not_run)}</span>'
    if verdict.passed:
        return '<span class="verdict passed">agrees</span>'
    return f'<span class="verdict failed">{escape(first_wrong(verdict))}</span>'


def _section(index: int, verdict: Verdict) -> str:
    scenario = verdict.scenario
    parts = [
        f'<section id="run-{index}">\n<h2>{escape(scenario.name)}</h2>\n'
        f"<p>{_badge(verdict)} \u00b7 {escape(scenario.title)}</p>\n"
        f'<p class="faint">{escape(scenario.rule)}</p>\n'
    ]
    if verdict.timeline is not None:
        first = (
            '<button type="button" data-do="first">First difference</button>'
            if verdict.at_step is not None
            else ""
        )
        parts.append(
            f'<div id="plot-{index}"><div class="bar">'
            '<button type="button" data-do="in">Zoom in</button>'
            '<button type="button" data-do="out">Zoom out</button>'
            f'<button type="button" data-do="whole">Whole run</button>{first}'
            f'<span class="readout">{_HINT}</span></div></div>\n'
        )
    if verdict.wrong:
        parts.append(f"<pre>{escape(explanation(verdict))}</pre>\n")
    elif verdict.not_judged:
        shown = "; ".join(verdict.not_judged)
        parts.append(f'<p class="faint">Not judged: {escape(shown)}</p>\n')
    parts.append("</section>\n")
    return "".join(parts)


def _run(index: int, verdict: Verdict) -> dict[str, object]:
    wrong = verdict.difference or verdict.ended
    first = None
    if verdict.difference is not None:
        field = verdict.difference.fields[0].field
        text = f"first difference at {seconds(verdict.difference.now_ms)}: {field}"
        first = {"at_ms": verdict.difference.now_ms, "text": text}
    elif wrong is not None:
        first = {"at_ms": wrong.now_ms, "text": f"the device gave up at {seconds(wrong.now_ms)}"}
    return {
        "index": index,
        "name": verdict.scenario.name,
        "first": first,
        "missed": [
            {"at_ms": missed.now_ms, "field": missed.field, "expected": missed.expected}
            for missed in verdict.failed
        ],
        "timeline": None if verdict.timeline is None else _timeline(verdict.timeline),
    }


def _timeline(timeline: Timeline) -> dict[str, object]:
    return {
        "end_ms": timeline.end_ms,
        "gaps": timeline.gaps,
        "reference": timeline.reference,
        "device": timeline.device,
    }
