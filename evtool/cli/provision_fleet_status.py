# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool provision fleet status`: how the fleet stands, in the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from evtool.cli.fleet_rows import Look, fleet_view_options
from evtool.cli.output import EXIT_CODES, Output, json_option

if TYPE_CHECKING:
    from evtool.provision.report.rows import UnitRow
    from evtool.provision.report.summary import Summary

_SHOWN = 40


@click.command("status", epilog=EXIT_CODES)
@fleet_view_options
@click.option("--all", "show_all", is_flag=True, help=f"List more than {_SHOWN} units.")
@json_option
def command(
    show_all: bool,
    as_json: bool,
    **look_at: Any,
) -> None:
    """Say how the units of the ledger stand, and those of a fleet's FILE that are to come.

    Units that need somebody come first: failed ones, then those under way, then the rest.
    With --json a line for each unit, the last line being the figures.
    """
    from evtool.provision.report.html import by_interest
    from evtool.provision.report.summary import Summary

    output = Output(as_json)
    look = Look(**look_at)
    summary = Summary(datetime.now(UTC), look.expiring_days)
    rows = []
    with look.rows(output) as found:
        for row in found:
            summary.add(row)
            output.event("unit", **row.as_dict())
            if not as_json:
                rows.append(row)
    text = "" if as_json else _text(by_interest(rows), summary, None if show_all else _SHOWN)
    output.result(text, {"event": "status"} | summary.as_dict())


def _text(rows: Sequence[UnitRow], summary: Summary, most: int | None) -> str:
    lines = [_figures(summary)]
    for root in summary.roots():
        left = root.days_left
        if left is not None and left <= summary.expiring_days:
            when = "has ended" if left < 0 else f"ends in {left:,} days"
            lines.append(
                f"root {root.sha256[:16]} {root.subject} {when} ({root.not_after[:10]}): "
                f"{root.units:,} units trust it"
            )
    if rows:
        lines.extend(["", *_table(rows[:most])])
    if most is not None and len(rows) > most:
        lines.append(f"... and {len(rows) - most:,} more units (--all lists them)")
    return "\n".join(lines)


def _figures(summary: Summary) -> str:
    parts = [f"{summary.done:,} of {summary.total:,} units done"]
    parts += [
        f"{count:,} {status.replace('_', ' ')}"
        for status, count in sorted(summary.statuses.items())
        if status != "proved"
    ]
    rate = summary.yield_percent()
    if rate is not None:
        parts.append(f"{rate:.1f} % right at the first try")
    if summary.expiring:
        parts.append(
            f"{summary.expiring:,} with a certificate that ends within {summary.expiring_days} days"
        )
    return "; ".join(parts)


def _table(rows: Sequence[UnitRow]) -> list[str]:
    cells = [("UNIT", "STATUS", "SINCE (UTC)", "MAC", "ROOT ENDS", "REMARKS")]
    for row in rows:
        remarks = ": ".join(text for text in (row.failed_step, row.failed_reason) if text)
        if row.status != "failed":
            remarks = ""
        cells.append(
            (
                row.unit,
                row.status.replace("_", " "),
                row.since[:16].replace("T", " "),
                row.mac,
                row.ca_not_after[:10],
                remarks,
            )
        )
    widths = [max(len(row[column]) for row in cells) for column in range(5)]
    return [
        "  ".join(
            [*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[5]]
        ).rstrip()
        for row in cells
    ]
