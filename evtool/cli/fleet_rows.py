# SPDX-License-Identifier: GPL-3.0-or-later
"""The units of a ledger, and of a fleet's file where one is named, for those who only look."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from evtool.cli.fleet_options import optional_fleet_options
from evtool.cli.ledger_option import existing_ledger, ledger_option
from evtool.cli.options import found_project, project_option

if TYPE_CHECKING:
    from evtool.cli.output import Output
    from evtool.provision.report.rows import UnitRow

F = TypeVar("F", bound=Callable[..., Any])
EXPIRING_DAYS = 90


def fleet_view_options(function: F) -> F:
    """[FILE] with its options, `--project`, `--ledger`, `--status` and `--expiring`.

    They are what `Look` is made of.
    """
    status = click.option(
        "--status",
        "statuses",
        multiple=True,
        metavar="STATUS",
        help="Only units of this status, such as failed; may be given several times.",
    )
    expiring = click.option(
        "--expiring",
        type=click.IntRange(0, 36500),
        metavar="DAYS",
        help="Only units of which a certificate ends within so many days.",
    )
    decorated: F = optional_fleet_options(project_option(ledger_option(status(expiring(function)))))
    return decorated


class Look:
    """What a command that only looks is to look at.

    Args:
        file: the fleet's, for the units that the ledger does not know yet.
        statuses: only these; all where it is empty.
        expiring: only units of which a certificate ends within so many days.
        reading: how the file is read, as `open_fleet` takes it.
    """

    def __init__(
        self,
        file: Path | None,
        project_path: Path | None,
        ledger_location: str | None,
        statuses: tuple[str, ...],
        expiring: int | None,
        **reading: Any,
    ) -> None:
        self._file = file
        self._project = found_project(project_path)
        self._root = Path.cwd() if self._project is None else self._project.root
        self._ledger = ledger_location
        self._statuses = statuses
        self._expiring = expiring
        self._reading = reading

    @property
    def expiring_days(self) -> int:
        """When a certificate counts as about to end."""
        return EXPIRING_DAYS if self._expiring is None else self._expiring

    @contextmanager
    def rows(self, output: Output) -> Iterator[Iterator[UnitRow]]:
        """The rows that were asked for, by identity, while the ledger is open.

        Raises:
            ConfigError: there is neither a ledger nor a file, or one of them is wrong.
            DeviceError: the ledger cannot be read.
        """
        from evtool.errors import ConfigError
        from evtool.provision.report.rows import unit_rows

        wanted = [] if self._file is None else self._identities(output, self._file)
        now = datetime.now(UTC)
        with existing_ledger(self._ledger, self._project) as ledger:
            if ledger is None and self._file is None:
                raise ConfigError(
                    f"{self._root}: there is no ledger yet",
                    fix="name one with --ledger, or the fleet's FILE; provisioning makes one",
                )
            rows = unit_rows(() if ledger is None else ledger.latest(), wanted)
            yield (row for row in rows if self._is_wanted(row, now))

    def _is_wanted(self, row: UnitRow, now: datetime) -> bool:
        if self._statuses and row.status not in self._statuses:
            return False
        return self._expiring is None or row.expires_within(self._expiring, now)

    def _identities(self, output: Output, file: Path) -> list[str]:
        """The units of the file; its faults are told, and keep nobody from looking."""
        from evtool.cli.fleet_input import UnseenSecrets, open_fleet
        from evtool.provision.fleet.finding import Finding

        fleet = open_fleet(file, project=self._project, **self._reading)
        problems = 0
        found = []
        for each in fleet.checked(UnseenSecrets(), datetime.now(UTC)):
            if not isinstance(each, Finding):
                found.append(each.identity)
            elif not each.is_warning:
                problems += 1
        if problems:
            output.say(
                f"note: {file}: rows with problems are left out; "
                "`evtool provision fleet check` names them"
            )
            output.event("problems", file=str(file), problems=problems)
        return found
