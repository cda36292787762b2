# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool provision fleet report`: how the fleet stands, as a page to hand on."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from evtool.cli.fleet_rows import Look, fleet_view_options
from evtool.cli.output import EXIT_CODES, Output, json_option


@click.command("report", epilog=EXIT_CODES)
@fleet_view_options
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("fleet-report.html"),
    show_default=True,
    metavar="FILE",
    help="The page.",
)
@click.option("--title", default="Fleet", show_default=True, metavar="TEXT", help="Whose fleet.")
@json_option
def command(
    out: Path,
    title: str,
    as_json: bool,
    **look_at: Any,
) -> None:
    """Write a page: progress, yield, failures by cause, which unit trusts which root, all units.

    It is one HTML file that needs no other and no network. Certificates count as about to end
    90 days before, or as many as --expiring says, which then also chooses the units.
    """
    from evtool.link.files import write_atomically
    from evtool.provision.report.html import by_interest, render_report
    from evtool.provision.report.summary import summarize

    output = Output(as_json)
    look = Look(**look_at)
    with look.rows(output) as found:
        rows = by_interest(found)
    summary = summarize(rows, datetime.now(UTC), look.expiring_days)
    write_atomically(out, "".join(render_report(rows, summary, title)).encode())
    output.result(
        f"{out}: {summary.done:,} of {summary.total:,} units done",
        {"event": "report", "file": str(out)} | summary.as_dict(),
    )
