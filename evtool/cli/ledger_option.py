# SPDX-License-Identifier: GPL-3.0-or-later
"""`--ledger`, and the ledger that it or the project names, opened."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from evtool.project import LEDGER_FILE

if TYPE_CHECKING:
    from evtool.link.ledger_database import SqlLedger
    from evtool.project import Project

ANCHOR_FILE = ".evtool/ledger.heads"
"""Where a station notes, outside of the ledger, where its chain in it ends."""

F = TypeVar("F", bound=Callable[..., Any])


def ledger_option(function: F) -> F:
    """`--ledger LOCATION`, passed on as `ledger_location`; None: the project's."""
    decorated: F = click.option(
        "--ledger",
        "ledger_location",
        metavar="FILE|URL",
        help="The ledger: a file, or postgresql+psycopg://... (default: .evtool/ledger.db).",
    )(function)
    return decorated


def ledger_place(location: str | None, project: Project | None) -> str:
    """The file or URL of the ledger: the one that was named, the project's, or here."""
    if location is not None:
        return location
    return LEDGER_FILE if project is None else project.provision.ledger


@contextmanager
def opened_ledger(location: str | None, project: Project | None) -> Iterator[SqlLedger]:
    """The ledger at `location`, or the project's; made if it is missing.

    What this station noted of it is compared first, and the ledger of an older evtool is
    taken in.

    Raises:
        CheckFailed: it lacks what this station recorded.
        ConfigError: it is no ledger, or of a later evtool.
        DeviceError: it cannot be reached.
    """
    from evtool.cli.ledger_old import take_in_old_ledger
    from evtool.link.ledger_anchor import Anchor
    from evtool.link.ledger_database import open_ledger
    from evtool.link.ledger_location import refuse_password

    text = ledger_place(location, project)
    refuse_password(text)
    root = Path() if project is None else project.root
    ledger = open_ledger(text, os.environ.get("EVTOOL_STATION"), anchor=Anchor(root / ANCHOR_FILE))
    try:
        _tell_twins(ledger)
        if text == ledger_place(None, project):  # not into one that was named for once
            take_in_old_ledger(ledger, root)
        yield ledger
    finally:
        ledger.close()


@contextmanager
def existing_ledger(location: str | None, project: Project | None) -> Iterator[SqlLedger | None]:
    """The same for a look that makes nothing: None where there is no ledger yet.

    Raises:
        ConfigError: one was named, and is not there.
        others: as `opened_ledger`.
    """
    from evtool.cli.ledger_old import has_old_ledger
    from evtool.errors import ConfigError

    text = ledger_place(location, project)
    root = Path() if project is None else project.root
    if "://" not in text and not Path(text).is_file():
        if location is not None:
            raise ConfigError(f"--ledger: no such file: {text}", fix="name one that is there")
        if not has_old_ledger(root):
            yield None
            return
    with opened_ledger(location, project) as ledger:
        yield ledger


def named_ledger(
    location: str | None, project: Project | None, what: str = "the ledger"
) -> SqlLedger:
    """A ledger that is there, to be read as it is; the caller closes it.

    Nothing is taken in or compared: this is for those commands that find out what is wrong.

    Raises:
        ConfigError: there is none, or it is of a later evtool.
        DeviceError: it cannot be reached.
    """
    from evtool.errors import ConfigError
    from evtool.link.ledger_database import open_ledger
    from evtool.link.ledger_location import refuse_password

    text = ledger_place(location, project)
    refuse_password(text)
    if "://" not in text and not Path(text).is_file():
        raise ConfigError(f"{what}: no such file: {text}", fix="name one that is there")
    ledger = open_ledger(text, os.environ.get("EVTOOL_STATION"))
    _tell_twins(ledger)
    return ledger


def _tell_twins(ledger: SqlLedger) -> None:
    """Once, when an older ledger is brought up: who shares what with whom."""
    for claim in ledger.twins:
        holder = ledger.claim_holder(claim.kind, claim.value)
        whose = "" if holder is None else f"{holder.unit}'s {holder.kind} {holder.value} and "
        click.echo(
            f"note: {whose}{claim.unit}'s {claim.kind} {claim.value} are one and the same to OCPP; "
            f"{claim.unit} cannot be provisioned again until `evtool provision ledger release` "
            "frees one of the two",
            err=True,
        )
