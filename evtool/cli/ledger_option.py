# SPDX-License-Identifier: GPL-3.0-or-later
"""`--ledger`, and a ledger that is looked into but not made."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from evtool.project import LEDGER_FILE

if TYPE_CHECKING:
    from evtool.link.ledger_database import SqlLedger
    from evtool.project import Project

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
def existing_ledger(location: str | None, project: Project | None) -> Iterator[SqlLedger | None]:
    """The ledger at `location`, or the project's; None where there is none yet.

    Raises:
        ConfigError: one was named, and is not there.
        DeviceError: it cannot be read.
    """
    from evtool.errors import ConfigError

    text = ledger_place(location, project)
    if "://" not in text and not Path(text).is_file():
        if location is not None:
            raise ConfigError(f"--ledger: no such file: {text}", fix="name one that is there")
        yield None
        return
    from evtool.link.ledger_database import open_ledger

    ledger = open_ledger(text)
    try:
        yield ledger
    finally:
        ledger.close()
