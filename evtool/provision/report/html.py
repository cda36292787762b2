# SPDX-License-Identifier: GPL-3.0-or-later
"""The report of a fleet as one HTML page that needs nothing else: no network, no other file.

Without JavaScript the page is whole; with it the table of units can be searched and sorted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from html import escape
from pathlib import Path

from evtool.provision.report.rows import UnitRow, days_left
from evtool.provision.report.summary import Summary

_PAGE = Path(__file__).resolve().parent / "page"
_DAYS_SHOWN = 60
_HEADS = ("Unit", "Status", "Since", "MAC", "Serial", "Firmware", "Root ends", "Remarks")


def render_report(rows: Sequence[UnitRow], summary: Summary, title: str) -> Iterator[str]:
    """The page, in pieces.

    Args:
        rows: all units, as they are listed.
        summary: their figures; its `now` is the report's.
        title: whose fleet it is.
    """
    style = (_PAGE / "report.css").read_text(encoding="utf-8")
    script = (_PAGE / "report.js").read_text(encoding="utf-8")
    yield (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n"
        f'<h1>{escape(title)}</h1>\n<p class="faint">As of {_moment(summary.now)}</p>\n'
    )
    yield _tiles(summary)
    yield _progress(summary)
    yield _days(summary)
    yield _failures(summary)
    yield _roots(summary)
    yield (
        f'<h2 id="units">Units</h2>\n<p class="find" hidden><input type="search" '
        'placeholder="identity, MAC, status, reason" aria-label="Find units"> '
        f'<span class="faint" aria-live="polite">{len(rows):,} units</span></p>\n'
        '<table class="units">\n<thead><tr>'
    )
    yield "".join(f'<th scope="col">{head}</th>' for head in _HEADS)
    yield "</tr></thead>\n<tbody>\n"
    for row in rows:
        yield _unit(row, summary)
    yield f"</tbody>\n</table>\n<script>\n{script}</script>\n</body>\n</html>\n"


def _tiles(summary: Summary) -> str:
    rate = summary.yield_percent()
    failed = summary.statuses["failed"]
    tiles = [
        ("done", f"{summary.done:,} of {summary.total:,}", "good" if summary.done else ""),
        ("failed", f"{failed:,}", "bad" if failed else ""),
        ("right at the first try", "-" if rate is None else f"{rate:.1f} %", ""),
        (
            f"certificates end within {summary.expiring_days} days",
            f"{summary.expiring:,}",
            "warn" if summary.expiring else "",
        ),
        ("left the fleet", f"{summary.gone:,}", ""),
    ]
    return (
        '<div class="tiles">'
        + "".join(
            f'<div class="tile {kind}"><b>{value}</b><span>{escape(name)}</span></div>'
            for name, value, kind in tiles
        )
        + "</div>\n"
    )


def _progress(summary: Summary) -> str:
    """A bar of the fleet by status."""
    if not summary.total:
        return "<p>No unit is in the ledger.</p>\n"
    failed = summary.statuses["failed"]
    waiting = summary.statuses["not_begun"]
    under_way = summary.total - summary.done - failed - waiting
    parts = [
        ("good", "done", summary.done),
        ("way", "under way", under_way),
        ("bad", "failed", failed),
        ("wait", "not begun", waiting),
    ]
    shown = [(kind, name, count) for kind, name, count in parts if count]
    bar = "".join(
        f'<i class="{kind}" style="flex:{count}" title="{name}: {count:,}"></i>'
        for kind, name, count in shown
    )
    legend = " ".join(
        f'<span><i class="{kind}"></i>{name} {count:,} '
        f'<span class="faint">({100 * count / summary.total:.1f} %)</span></span>'
        for kind, name, count in shown
    )
    return f'<div class="bar">{bar}</div>\n<p class="legend">{legend}</p>\n'


def _days(summary: Summary) -> str:
    """Proofs a day, as bars."""
    if not summary.proofs:
        return ""
    last = datetime.fromisoformat(max(summary.proofs)).date()
    first = max(
        datetime.fromisoformat(min(summary.proofs)).date(), last - timedelta(_DAYS_SHOWN - 1)
    )
    days = [first + timedelta(index) for index in range((last - first).days + 1)]
    counts = [summary.proofs[day.isoformat()] for day in days]
    most = max(counts)
    step = 900 / len(days)
    width = min(step * 0.8, 60)
    bars = "".join(
        f'<rect x="{index * step:.1f}" y="{100 - 90 * count / most:.1f}" width="{width:.1f}" '
        f'height="{90 * count / most:.1f}"><title>{day}: {count:,}</title></rect>'
        for index, (day, count) in enumerate(zip(days, counts, strict=True))
    )
    ends = f"{days[0]}" if len(days) == 1 else f"{days[0]} to {days[-1]}"
    return (
        f'<h2>Latest proofs by day</h2>\n<svg class="days" viewBox="0 0 900 102" '
        f'preserveAspectRatio="none" role="img" aria-label="Units proved on each day, {ends}">'
        f'{bars}<path d="M0 100.5h900"/></svg>\n'
        f'<p class="faint">{ends} (UTC); most in one day: {most:,}</p>\n'
    )


def _failures(summary: Summary) -> str:
    if not summary.failures:
        return ""
    rows = "".join(
        f'<tr><td class="number">{units:,}</td>'
        f'<td class="number">{summary.unmended[step, cause, reason]:,}</td>'
        f"<td>{escape(step)}</td><td>{escape(cause)}</td>"
        f"<td>{escape(reason)}</td></tr>\n"
        for (step, cause, reason), units in summary.failures.most_common(50)
    )
    left = len(summary.failures) - 50
    more = f'<p class="faint">and {left:,} other reasons</p>\n' if left > 0 else ""
    return (
        '<h2>Failures by cause</h2>\n<table><thead><tr><th class="number">Units</th>'
        '<th class="number">Not mended</th><th>Step</th>'
        f"<th>Cause</th><th>Reason</th></tr></thead>\n<tbody>{rows}</tbody></table>\n{more}"
    )


def _roots(summary: Summary) -> str:
    roots = summary.roots()
    if not roots:
        return ""
    rows = "".join(
        f'<tr><td class="number">{root.units:,}</td><td>{escape(root.subject) or "-"}</td>'
        f'<td class="mono">{escape(root.sha256[:16])}</td>'
        f"<td>{_end(root.not_after, summary)}</td></tr>\n"
        for root in roots
    )
    return (
        '<h2>Root certificates</h2>\n<table><thead><tr><th class="number">Units</th>'
        "<th>Subject</th><th>SHA-256</th><th>Ends</th></tr></thead>\n"
        f"<tbody>{rows}</tbody></table>\n"
    )


def _end(not_after: str, summary: Summary) -> str:
    left = days_left(not_after, summary.now)
    if left is None:
        return "-"
    text = f"{escape(not_after[:10])} ({'over' if left < 0 else f'{left:,} days'})"
    if left > summary.expiring_days:
        return text
    return f'<span class="{"bad" if left < 0 else "warn"}">{text}</span>'


def _unit(row: UnitRow, summary: Summary) -> str:
    kind = "good" if row.is_done else "bad" if row.status == "failed" else "gone" * row.is_gone
    remarks = ": ".join(text for text in (row.failed_step, row.failed_reason) if text)
    if remarks and row.status != "failed":
        remarks = f"mended: {remarks}"
    own_left = days_left(row.certificate_not_after, summary.now)
    if own_left is not None and own_left <= summary.expiring_days:
        end = f"its certificate ends {row.certificate_not_after[:10]}"
        remarks = f"{remarks}; {end}" if remarks else end
    cells = (
        f"<th scope=row>{escape(row.unit)}</th>",
        f'<td class="{kind}">{escape(row.status.replace("_", " "))}</td>',
        f"<td>{escape(row.since[:16].replace('T', ' '))}</td>",
        f'<td class="mono">{escape(row.mac)}</td>',
        f"<td>{escape(row.serial_number)}</td>",
        f'<td class="mono">{escape(row.firmware[:12])}</td>',
        f"<td>{_end(row.ca_not_after, summary) if row.ca_not_after else ''}</td>",
        f"<td>{escape(remarks)}</td>",
    )
    return f"<tr>{''.join(cells)}</tr>\n"


def _moment(now: datetime) -> str:
    return escape(f"{now:%Y-%m-%d %H:%M} UTC")


def by_interest(rows: Iterable[UnitRow]) -> list[UnitRow]:
    """Units in the order of a reader's interest: failed, under way, done, gone."""
    return sorted(
        rows, key=lambda row: (row.is_gone, row.status != "failed", row.is_done, row.unit)
    )
