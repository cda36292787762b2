# SPDX-License-Identifier: GPL-3.0-or-later
"""`--ledger`, and the ledger that it or the project names, opened."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
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
    taken in. For commands that write; others take `existing_ledger`.

    Raises:
        CheckFailed: it lacks what this station recorded.
        ConfigError: it is no ledger, or of a later evtool.
        DeviceError: it cannot be reached.
    """
    from evtool.cli.ledger_old import take_in_old_ledger

    text, root = ledger_place(location, project), _root(project)
    with _compared(text, root) as ledger:
        if text == ledger_place(None, project):  # not into one that was named for once
            take_in_old_ledger(ledger, root)
        yield ledger


@contextmanager
def existing_ledger(
    location: str | None, project: Project | None, *, writes: bool = False
) -> Iterator[SqlLedger | None]:
    """The same for a look that writes nothing: None where there is no ledger yet.

    That of an older evtool is read and left as it is.

    Args:
        writes: something will be recorded: an older evtool's is taken in first.

    Raises:
        ConfigError: one was named, and is not there.
        others: as `opened_ledger`.
    """
    from evtool.cli.ledger_old import has_old_ledger
    from evtool.errors import ConfigError

    text, root = ledger_place(location, project), _root(project)
    is_there = "://" in text or Path(text).is_file()
    has_old = text == ledger_place(None, project) and has_old_ledger(root)
    if not is_there and location is not None:
        raise ConfigError(f"--ledger: no such file: {text}", fix="name one that is there")
    if not is_there and not has_old:
        yield None
    elif writes:
        with opened_ledger(location, project) as ledger:
            yield ledger
    elif (looked := _looked_at(text, root) if is_there else None) is not None:
        with closing(looked):
            if has_old:
                _tell_old("are not in the ledger yet")
            yield looked
    elif has_old:
        with _stand_in(text, root, has_old=True) as ledger:
            yield ledger
    else:
        yield None


@contextmanager
def tried_ledger(location: str | None, project: Project | None) -> Iterator[SqlLedger]:
    """The same as `opened_ledger` for a dry run: where none is, an empty one stands in for it.

    Raises:
        ConfigError: its tables are of an older evtool.
        others: as `opened_ledger`.
    """
    from evtool.cli.ledger_old import has_old_ledger

    text, root = ledger_place(location, project), _root(project)
    has_old = text == ledger_place(None, project) and has_old_ledger(root)
    if not _refuse_older(text):
        with _stand_in(text, root, has_old=has_old) as ledger:
            yield ledger
        return
    with _compared(text, root) as ledger:
        if has_old:
            _tell_old("are not in the ledger yet")
        yield ledger


@contextmanager
def looked_ledger(location: str | None, project: Project | None) -> Iterator[SqlLedger]:
    """The same for a dry run that only looks: older tables are read, too.

    Raises: as `opened_ledger`.
    """
    from evtool.cli.ledger_old import has_old_ledger

    text, root = ledger_place(location, project), _root(project)
    ledger = _looked_at(text, root)
    if ledger is not None:
        with closing(ledger):
            yield ledger
        return
    has_old = text == ledger_place(None, project) and has_old_ledger(root)
    with _stand_in(text, root, has_old=has_old) as stand_in:
        yield stand_in


def named_ledger(
    location: str | None,
    project: Project | None,
    what: str = "the ledger",
    *,
    writes: bool = False,
) -> SqlLedger:
    """A ledger that is there, to be read as it is; the caller closes it.

    Nothing is taken in or compared: this is for those commands that find out what is wrong.

    Args:
        writes: something will be written: tables of an older evtool are brought up.

    Raises:
        ConfigError: there is none, or it is of a later evtool.
        DeviceError: it cannot be reached.
    """
    from evtool.errors import ConfigError
    from evtool.link.ledger_database import look_at_ledger, open_ledger
    from evtool.link.ledger_location import refuse_password, shown

    text = ledger_place(location, project)
    refuse_password(text)
    station = os.environ.get("EVTOOL_STATION")
    ledger = look_at_ledger(text, station)
    if ledger is None:
        is_there = "://" in text or Path(text).is_file()
        problem = f"no ledger: {shown(text)}" if is_there else f"no such file: {text}"
        raise ConfigError(f"{what}: {problem}", fix="name one that is there")
    if writes:
        ledger.close()
        ledger = open_ledger(text, station)
        _tell_twins(ledger)
    return ledger


def _looked_at(text: str, root: Path) -> SqlLedger | None:
    """The ledger as it is, compared with what this station noted of it; None: there is none."""
    from evtool.link.ledger_anchor import Anchor
    from evtool.link.ledger_database import look_at_ledger
    from evtool.link.ledger_location import refuse_password

    refuse_password(text)
    return look_at_ledger(text, os.environ.get("EVTOOL_STATION"), Anchor(root / ANCHOR_FILE))


def _root(project: Project | None) -> Path:
    return Path() if project is None else project.root


@contextmanager
def _compared(text: str, root: Path) -> Iterator[SqlLedger]:
    """The ledger, made if it is missing, and compared with what this station noted of it."""
    from evtool.link.ledger_anchor import Anchor
    from evtool.link.ledger_database import open_ledger
    from evtool.link.ledger_location import refuse_password

    refuse_password(text)
    ledger = open_ledger(text, os.environ.get("EVTOOL_STATION"), anchor=Anchor(root / ANCHOR_FILE))
    with closing(ledger):
        _tell_twins(ledger)
        yield ledger


@contextmanager
def _stand_in(text: str, root: Path, *, has_old: bool) -> Iterator[SqlLedger]:
    """A ledger of this command alone, as the one at `text` would begin."""
    import tempfile

    from evtool.cli.ledger_old import copy_old_ledger
    from evtool.link.ledger_database import open_ledger
    from evtool.link.ledger_location import shown, station_name

    station = os.environ.get("EVTOOL_STATION")
    station = station or station_name(None if "://" in text else Path(text))
    with (
        tempfile.TemporaryDirectory(prefix="evtool-") as folder,
        closing(open_ledger(Path(folder) / "ledger.db", station)) as ledger,
    ):
        ledger.where = shown(text)
        if has_old:
            copy_old_ledger(ledger, root)
            _tell_old("were read")
        yield ledger


def _refuse_older(text: str) -> bool:
    """Whether there is a ledger at `text`; opens nothing that would change by it.

    Raises:
        ConfigError: its tables are of an older evtool.
        others: as `opened_ledger`.
    """
    from evtool.errors import ConfigError
    from evtool.link.ledger_database import ledger_version
    from evtool.link.ledger_location import refuse_password, shown
    from evtool.link.ledger_schema import MIGRATIONS

    refuse_password(text)
    version = ledger_version(text)
    if 0 < version < len(MIGRATIONS):
        raise ConfigError(
            f"{shown(text)}: its tables are of version {version}, and a dry run does not bring "
            f"them to {len(MIGRATIONS)}",
            fix=f"evtool provision ledger migrate --ledger {shlex.quote(shown(text))}",
        )
    return version > 0


def _tell_old(what: str) -> None:
    from evtool.provision.ledger.old_lines import FILE

    click.echo(
        f"note: the records in {FILE}, of an older evtool, {what}; the next command that "
        "records something takes them in",
        err=True,
    )


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
