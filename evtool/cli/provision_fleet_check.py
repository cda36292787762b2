# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool provision fleet check`: everything that is wrong with a fleet's file, in one run."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from evtool.cli.fleet_options import fleet_options
from evtool.cli.ledger_option import existing_ledger, ledger_option
from evtool.cli.options import found_project, project_option
from evtool.cli.output import EXIT_CODES, Output, counted, json_option
from evtool.cli.sealing_option import (
    is_anything_sealed,
    open_sealed,
    sealing_option,
    sealing_place,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from evtool.link.ledger_database import SqlLedger
    from evtool.project import Project
    from evtool.protocol.ledger_record import Claim
    from evtool.provision.fleet.finding import Finding
    from evtool.provision.fleet.uniqueness import Held, Numbers
    from evtool.provision.secrets.sealed_store import SealedStore

SHOWN = 40
"""Lines on the screen; --json has all."""


@click.command("check", epilog=EXIT_CODES)
@fleet_options
@project_option
@ledger_option
@sealing_option
@json_option
def command(
    file: Path,
    project_path: Path | None,
    ledger_location: str | None,
    sealing_key: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Check a fleet's FILE (CSV or TOML) before anything is written.

    Every field of every unit, the secrets and certificates that it refers to, and what no two
    units may have: in the file, and in the ledger. Every bad row is named in one run, with
    line, column and rule. Nothing is written, and no secret is made or shown.

    With --json a line for each problem and warning; without it no more than 40 of each.
    """
    from datetime import UTC, datetime

    from evtool.cli.fleet_input import open_fleet
    from evtool.cli.sealing_option import unit_secrets
    from evtool.errors import ConfigError
    from evtool.provision.fleet.finding import Finding

    output = Output(as_json)
    project = found_project(project_path)
    root = Path.cwd() if project is None else project.root
    fleet = open_fleet(file, project=project, **options)
    report = FindingReport(output)
    good = 0
    with existing_ledger(ledger_location, project) as ledger:
        sealed = opened(ledger, sealing_key, project, root)
        if ledger is not None and sealed is None and is_anything_sealed(ledger):
            output.say("note: no sealing key is named; what is sealed counts as not made yet")
        look = unit_secrets(sealed, root)
        holders = None if ledger is None else LedgerHolders(ledger)
        reading = fleet.checked(look, datetime.now(UTC), holders)
        for found in reading:
            if isinstance(found, Finding):
                report.add(found)
            else:
                good += 1
    report.end()
    separator = {",": "", "": ""}.get(reading.separator, repr(reading.separator))
    if report.problems:
        raise ConfigError(
            f"{fleet.file}: {counted(report.problems, 'problem')}",
            fix="mend the lines above; nothing was written"
            + ("; --json has all of them" if report.problems > SHOWN else ""),
        )
    text = f"{fleet.file}: {counted(good, 'unit')} checked, all good"
    if separator:
        text += f" (cells separated by {separator})"
    text += f"\n  {counted(reading.check.to_generate, 'secret')} to be generated"
    text += "\n  compared with the ledger" if holders else "\n  there is no ledger yet"
    output.result(
        text,
        {
            "event": "checked",
            "file": fleet.file,
            "units": good,
            "to_generate": reading.check.to_generate,
            "delimiter": reading.separator or None,
            "warnings": report.warnings,
            "ledger": holders is not None,
        },
    )


def opened(
    ledger: SqlLedger | None, text: str | None, project: Project | None, root: Path
) -> SealedStore | None:
    """What is sealed in the ledger already, where there is something, and a key for it.

    Raises:
        ConfigError: it is not the ledger's key.
    """
    place = sealing_place(text, project)
    if ledger is None or place is None or not is_anything_sealed(ledger):
        return None
    return open_sealed(ledger, place, root, create=False)


@dataclass(slots=True)
class FindingReport:
    """Findings as they come: each a line of JSON, or the first of them as text.

    Warnings that say the same of many units are told once, with their number.
    """

    output: Output
    problems: int = 0
    warnings: int = 0
    _warned: dict[tuple[str, str], tuple[Finding, int]] = field(default_factory=dict)

    def add(self, finding: Finding) -> None:
        self.output.event(**finding.as_dict())  # type: ignore[arg-type]
        if finding.is_warning:
            self.warnings += 1
            same = (finding.column, finding.rule)
            if same in self._warned or len(self._warned) < SHOWN:
                first, count = self._warned.get(same, (finding, 0))
                self._warned[same] = (first, count + 1)
            return
        self.problems += 1
        if self.problems <= SHOWN:
            self.output.say(str(finding))

    def end(self) -> None:
        """Say what was counted."""
        if self.problems > SHOWN:
            self.output.say(f"... and {self.problems - SHOWN:,} more problems")
        told = 0
        for first, count in self._warned.values():
            told += count
            more = f" (and {counted(count - 1, 'more unit')})" if count > 1 else ""
            self.output.say(f"note: {first}{more}")
        if self.warnings > told:
            self.output.say(f"... and {self.warnings - told:,} more notes")


@dataclass(slots=True)
class LedgerHolders:
    """What the ledger knows of claims; a `provision.fleet.uniqueness.Holders`."""

    ledger: SqlLedger
    _ahead: dict[tuple[str, str], Claim | None] = field(default_factory=dict)
    _ranges: dict[str, Numbers] | None = None

    def prepare(self, wanted: Iterable[tuple[str, str]]) -> None:
        self._ahead.clear()
        values: dict[str, list[str]] = {}
        for kind, value in wanted:
            values.setdefault(kind, []).append(value)
        for kind, each in values.items():
            found = self.ledger.holders_of(kind, each)
            self._ahead |= {(kind, value): found.get(value) for value in each}

    def holder(self, kind: str, value: str) -> Held | None:
        from evtool.provision.fleet.uniqueness import Held

        if (kind, value) in self._ahead:
            claim = self._ahead[kind, value]
        else:
            claim = self.ledger.claim_holder(kind, value)
        return None if claim is None else Held(claim.unit, claim.time)

    def serial_of(self, identity: str) -> str | None:
        claims = self.ledger.claims_of(identity)
        return next((claim.value for claim in claims if claim.kind == "serial"), None)

    def has_number(self, range_name: str, identity: str) -> bool:
        return (
            self.serial_of(identity) is not None
            or self.ledger.number_of(range_name, identity) is not None
        )

    def numbers_of(self, range_name: str) -> Numbers | None:
        from evtool.provision.fleet.uniqueness import Numbers

        if self._ranges is None:
            self._ranges = {
                each.name: Numbers(each.last, each.last - each.next + 1)
                for each in self.ledger.ranges()
            }
        return self._ranges.get(range_name)
