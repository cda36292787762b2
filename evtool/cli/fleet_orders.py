# SPDX-License-Identifier: GPL-3.0-or-later
"""A fleet's rows as orders, every one of them checked, with the ledger and what opens it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evtool.cli.fleet_input import open_fleet
from evtool.cli.ledger_option import existing_ledger, opened_ledger
from evtool.cli.options import found_project
from evtool.cli.provision_fleet_check import FindingReport, LedgerHolders, opened
from evtool.cli.sealing_option import open_sealed, sealing_place, unit_secrets
from evtool.errors import ConfigError, SecretMissing
from evtool.link.core_dumps import forbid_core_dumps
from evtool.provision.fleet.finding import Finding
from evtool.provision.fleet.order import UnitOrder

if TYPE_CHECKING:
    from evtool.cli.output import Output
    from evtool.link.ledger_database import SqlLedger
    from evtool.project import Project
    from evtool.provision.secrets.sealed_store import SealedStore
    from evtool.provision.secrets.unit_secrets import UnitSecretStore


@dataclass(frozen=True, slots=True)
class OpenFleet:
    """A project's ledger, and the secrets of its units.

    Attributes:
        where: the ledger, as it may be shown.
    """

    project: Project
    ledger: SqlLedger
    where: str
    sealed: SealedStore
    secrets: UnitSecretStore


@contextmanager
def opened_fleet(
    project_path: Path | None, ledger_location: str | None, sealing_key: str | None
) -> Iterator[OpenFleet]:
    """The project's ledger, made if it is missing, and its sealed values.

    Raises:
        ConfigError: there is no project, no sealing key, or it is not the ledger's.
        DeviceError: the ledger cannot be reached.
    """
    forbid_core_dumps()
    project = _project(project_path)
    place = sealing_place(sealing_key, project)
    if place is None:
        raise SecretMissing(
            "no sealing key: what a board is given is kept sealed, for a rollback",
            fix="make one with `evtool provision secrets new-key`, and name it in evtool.toml: "
            "[provision] sealing_key",
        )
    with opened_ledger(ledger_location, project) as ledger:
        sealed = open_sealed(ledger, place, project.root)
        secrets = unit_secrets(sealed, project.root)
        yield OpenFleet(project, ledger, ledger.where, sealed, secrets)


def read_orders(
    output: Output,
    file: Path,
    project: Project,
    secrets: UnitSecretStore,
    ledger: SqlLedger | None,
    **options: Any,
) -> list[UnitOrder]:
    """Every row of the fleet; a secret that is asked for is asked for here.

    Args:
        ledger: what rows are compared with; None where there is none yet.
        options: as `open_fleet` takes them.

    Raises:
        ConfigError: a row breaks a rule; all that do have been told.
    """
    read = open_fleet(file, project=project, **options)
    report = FindingReport(output)
    orders = []
    holders = None if ledger is None else LedgerHolders(ledger)
    for found in read.checked(secrets, datetime.now(UTC), holders):
        if isinstance(found, Finding):
            report.add(found)
        else:
            orders.append(found)
    report.end()
    if report.problems:
        raise ConfigError(
            f"{read.file}: {report.problems} problem{'s' * (report.problems != 1)}; "
            "no board was touched",
            fix="mend the lines above; `evtool provision fleet check` shows the same",
        )
    return orders


@contextmanager
def looked_at(
    project_path: Path | None, ledger_location: str | None, sealing_key: str | None
) -> Iterator[tuple[Project, SqlLedger | None, UnitSecretStore]]:
    """The same for a look that changes nothing: the ledger is not made where there is none.

    Raises:
        ConfigError: there is no project, or the key is not the ledger's.
    """
    project = _project(project_path)
    with existing_ledger(ledger_location, project) as ledger:
        sealed = opened(ledger, sealing_key, project, project.root)
        yield project, ledger, unit_secrets(sealed, project.root)


def _project(path: Path | None) -> Project:
    project = found_project(path)
    if project is None:
        raise ConfigError(
            "this command needs a project: no evtool.toml here or in a folder above",
            fix="make one with `evtool init DIR`, or name it with --project",
        )
    return project
