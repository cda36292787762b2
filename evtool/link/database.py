# SPDX-License-Identifier: GPL-3.0-or-later
"""An SQLite file that one process uses at a time, and that survives its end at any moment."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from evtool.errors import ConfigError, DeviceError


class Database:
    """An open database; close it in the end.

    Args:
        path: made if it is missing, mode 0600.
        schema: the statements that make its tables.
        version: of the schema; kept in the file.

    Raises:
        ConfigError: the file is something else, or of another version.
        DeviceError: another process uses it, or the file system refused.
    """

    def __init__(self, path: Path, schema: str, version: int) -> None:
        self._path = path
        self._lock = _locked(path)
        self._flushes = True
        try:
            # Autocommit: what is not within BEGIN and COMMIT is a transaction of its own.
            self._connection = sqlite3.connect(path, isolation_level=None)
            self._connection.execute("PRAGMA synchronous = FULL")
            # First whose it is: the mode stays in the file, also in one that is not ours.
            self._prepare(schema, version)
            self._connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            os.close(self._lock)
            raise DeviceError(
                f"{path}: {error}",
                fix="check free space and permissions of the --database folder",
            ) from error
        except sqlite3.DatabaseError as error:
            os.close(self._lock)
            raise ConfigError(
                f"{path}: not a database of evtool: {error}",
                fix="name another file with --database",
            ) from error
        except ConfigError:
            self._connection.close()
            os.close(self._lock)
            raise

    def _prepare(self, schema: str, version: int) -> None:
        [(found,)] = self._connection.execute("PRAGMA user_version")
        [(tables,)] = self._connection.execute("SELECT count(*) FROM sqlite_master")
        if found == 0 and tables == 0:
            self._connection.executescript(
                f"BEGIN; {schema} PRAGMA user_version = {version}; COMMIT;"
            )
        elif found != version or not _objects_of(schema) <= self._objects():
            raise ConfigError(
                f"{self._path}: a database of another program, or of another version of evtool",
                fix="name another file with --database",
            )

    def _objects(self) -> set[tuple[str, str]]:
        return set(self._connection.execute(_OBJECTS))

    def rows(self, sql: str, values: Sequence[Any] = ()) -> Iterable[tuple[Any, ...]]:
        """What a SELECT finds.

        Raises:
            DeviceError: the file cannot be read any more.
        """
        try:
            return self._connection.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise self._failure(error) from error

    def write(self, sql: str, rows: Sequence[Sequence[Any]], *, flush: bool) -> None:
        """Change it, all rows or none.

        What was written outlives the process; with `flush` a power cut as well, and with it
        everything that was written before.

        Raises:
            DeviceError: the file system refused; nothing was changed.
        """
        try:
            self._set_flush(flush)
            if len(rows) == 1:
                self._connection.execute(sql, rows[0])
                return
            with self._connection:
                self._connection.execute("BEGIN")
                self._connection.executemany(sql, rows)
        except sqlite3.Error as error:
            raise self._failure(error) from error

    def write_all(self, changes: Sequence[tuple[str, Sequence[Sequence[Any]]]]) -> None:
        """Several such changes, all or none; on the disk when this returns. Raises as `write`."""
        try:
            self._set_flush(True)
            with self._connection:
                self._connection.execute("BEGIN")
                for sql, rows in changes:
                    self._connection.executemany(sql, rows)
        except sqlite3.Error as error:
            raise self._failure(error) from error

    def _set_flush(self, flush: bool) -> None:
        if flush is not self._flushes:
            level = "FULL" if flush else "NORMAL"
            self._connection.execute(f"PRAGMA synchronous = {level}")
            self._flushes = flush

    def close(self) -> None:
        """Let another process have it."""
        self._connection.close()
        os.close(self._lock)

    def _failure(self, error: sqlite3.Error) -> DeviceError:
        return DeviceError(
            f"{self._path}: {error}", fix="check free space and permissions of the folder"
        )


_OBJECTS = "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"


def _objects_of(schema: str) -> set[tuple[str, str]]:
    """The tables and indexes of a schema, as SQLite writes them down."""
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(schema)
        return set(connection.execute(_OBJECTS))


def _locked(path: Path) -> int:
    """A lock beside the database. SQLite's own would only be noticed at the first write."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        lock = os.open(
            path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
        )
    except OSError as error:
        raise DeviceError(
            f"cannot open {path}: {error.strerror or error}",
            fix="check the permissions of the --database folder",
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(lock)
        raise DeviceError(
            f"{path}: another process uses this database",
            fix="stop that one, or name another file with --database",
        ) from error
    return lock
