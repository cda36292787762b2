# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool provision ledger verify`: is everything there that was recorded, as it was?"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from evtool.cli.ledger_option import ANCHOR_FILE, ledger_option, named_ledger
from evtool.cli.options import found_project, project_option
from evtool.cli.output import EXIT_CODES, Output, json_option
from evtool.cli.provision_ledger_release import release_words

if TYPE_CHECKING:
    from evtool.link.ledger_database import SqlLedger
    from evtool.protocol.ledger_record import Break
    from evtool.provision.ledger.verify import Verified


@click.command("verify", epilog=EXIT_CODES)
@project_option
@ledger_option
@click.option(
    "--heads",
    "heads_path",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Compare with heads that were saved earlier, outside of the ledger.",
)
@click.option(
    "--save-heads",
    "save_path",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Save the heads, if all is well.",
)
@click.option(
    "--accept",
    is_flag=True,
    help="This station goes on with the ledger as it is, although it noted another state.",
)
@json_option
def command(
    project_path: Path | None,
    ledger_location: str | None,
    heads_path: Path | None,
    save_path: Path | None,
    accept: bool,
    as_json: bool,
) -> int:
    """Check every record, every chain, and every claim of a ledger.

    The first record of each chain that is not what it was is named. Records that were cut
    off at the end show by the heads: those in the ledger, the one that this station notes
    beside it, and those that you saved with --save-heads and keep somewhere else.

    Exit code 1: something is wrong, or two units claim the same thing.
    """
    from evtool.errors import CheckFailed
    from evtool.link.files import write_atomically
    from evtool.link.ledger_anchor import Anchor
    from evtool.provision.ledger.verify import compare_heads, heads_text, parse_heads, verify

    output = Output(as_json)
    project = found_project(project_path)
    anchor = Anchor((Path() if project is None else project.root) / ANCHOR_FILE)
    with closing(named_ledger(ledger_location, project)) as ledger:
        found = verify(ledger)
        breaks = list(found.breaks)
        if heads_path is not None:
            noted = parse_heads(_text(heads_path), str(heads_path))
            breaks += compare_heads(ledger, noted)
        lost = None
        try:
            ledger.compare(anchor)
        except CheckFailed as error:
            lost = error.message
        # A chain that is broken is never taken for what this station goes on with.
        if accept and not breaks:
            ledger.accept(anchor)
            lost = None
        _show(output, ledger, found, breaks, lost)
        if ledger.is_older:
            output.say(
                "note: an older evtool's tables, read as they are; whether two units differ in "
                "capital letters alone says `evtool provision ledger migrate`"
            )
        good = not breaks and lost is None and not found.contested
        if save_path is not None and good:
            write_atomically(save_path, heads_text(found.heads), 0o600)
            output.say(f"saved the heads in {save_path}")
    return 0 if good else 1


def _text(path: Path) -> str:
    return path.read_bytes().decode("utf-8", "replace")


def _show(
    output: Output, ledger: SqlLedger, found: Verified, breaks: list[Break], lost: str | None
) -> None:
    lines = []
    by_station = {each.station: each for each in reversed(breaks)}
    for station, head in found.heads.items():
        state = "intact" if station not in by_station else "BROKEN"
        lines.append(f"{station}: {head.seq:,} records, head {head.hash[:16]}, {state}")
    if not found.heads:
        lines.append("no records yet")
    lines += [f"BROKEN {each.station} {each.seq}: {each.reason}" for each in breaks]
    if lost is not None:
        lines.append(f"LOST {lost}")
    for claim in found.contested:
        holder = ledger.claim_holder(claim.kind, claim.value)
        first = "nobody" if holder is None else _unit(holder.unit, holder.mac)
        lines.append(
            f"TWICE {claim.kind} {claim.value}: {first}, and {_unit(claim.unit, claim.mac)}; one "
            "of the two gives it up:"
        )
        lines += [f"  {release_words(each)}" for each in (holder, claim) if each is not None]
    document: dict[str, object] = {
        "event": "verified",
        "ledger": ledger.where,
        "heads": {name: {"seq": head.seq, "hash": head.hash} for name, head in found.heads.items()},
        "breaks": [
            {"station": each.station, "seq": each.seq, "reason": each.reason} for each in breaks
        ],
        "lost": lost,
        "contested": [
            {"kind": each.kind, "value": each.value, "unit": each.unit, "mac": each.mac}
            for each in found.contested
        ],
    }
    output.result("\n".join(lines), document)


def _unit(unit: str, mac: str | None) -> str:
    return unit if mac is None else f"{unit} on board {mac}"
