# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a ledger is: an SQLite file or a PostgreSQL database, and connections to it."""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import sqlite3
import time
import urllib.parse
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from evtool.errors import ConfigError, DeviceError
from evtool.link.files import sync_folder

_BUSY_S = 60.0
_PASSWORDS = ("password", "sslpassword")
_NO_URL = "give postgresql+psycopg://USER@HOST/DATABASE, and the password in PGPASSFILE"


def is_url(location: str | Path) -> bool:
    """Whether it names a database server, not a file."""
    return "://" in os.fspath(location)


def shown(location: str | Path) -> str:
    """A location as it may be printed: without a password.

    Raises:
        ConfigError: it is a URL that cannot be read.
    """
    text = os.fspath(location)
    if not is_url(text):
        return text
    url = _url(text)
    url = url.difference_update_query(_PASSWORDS)
    return url.render_as_string(hide_password=True)


def refuse_password(location: str | Path) -> None:
    """A password is a secret: it stands in no option and in no project's file.

    Raises:
        ConfigError: `location` is a URL that holds one, or that cannot be read.
    """
    text = os.fspath(location)
    if not is_url(text):
        return
    url = _url(text)
    if url.password is not None or any(name in url.query for name in _PASSWORDS):
        raise ConfigError(
            f"the ledger {url.render_as_string(hide_password=True).partition('?')[0]}: "
            "a password stands in its URL",
            fix="leave it out, and name a file for it: PGPASSFILE, or ~/.pgpass",
        )


def station_name(path: Path | None = None) -> str:
    """A name for this computer's chain (in the ledger `path`, where it is a file of its own).

    A copy of the file on another computer, or elsewhere on this one, gets another name: two
    stations with one name would each continue the same chain.
    """
    seed = _machine_id().encode() + (b"" if path is None else b"\0" + os.fsencode(path.resolve()))
    host = "".join(c for c in platform.node() if c.isalnum() or c in "-.")[:40] or "station"
    return f"{host}-{hashlib.sha256(seed).hexdigest()[:8]}"


def _machine_id() -> str:
    for path in ("/etc/machine-id", "/var/lib/dbus/machine-id"):
        with contextlib.suppress(OSError):
            return Path(path).read_text("ascii", errors="replace").strip()
    return f"{uuid.getnode():012x}"


def sqlite_engine(path: Path) -> sa.Engine:
    """Connections to an SQLite file, which is made if it is missing, mode 0600.

    Raises:
        DeviceError: the file system refused.
    """
    _make_private(path)
    engine = sa.create_engine(
        sa.URL.create("sqlite", database=os.fspath(path)),
        connect_args={"timeout": _BUSY_S, "check_same_thread": False},
        pool_timeout=_BUSY_S,
        hide_parameters=True,
    )

    @sa.event.listens_for(engine, "connect")
    def _connected(connection: Any, _record: Any) -> None:
        # SQLAlchemy, not the driver, says where a transaction begins.
        connection.isolation_level = None
        _switch_to_wal(connection)
        connection.execute("PRAGMA synchronous = FULL")

    @sa.event.listens_for(engine, "begin")
    def _began(connection: sa.Connection) -> None:
        writes = connection.get_execution_options().get("evtool_writes")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def sqlite_look(path: Path) -> tuple[sa.Engine, Callable[[], None]]:
    """Connections to an SQLite file that is there, which change nothing in it.

    Also on a medium that cannot be written.

    Returns:
        the connections, and what is to be called when the reading is over; it raises DeviceError
        where the file changed, of which nobody could tell SQLite.

    Raises:
        DeviceError: some of it is in a log that SQLite cannot read without writing.
    """
    path = Path(os.path.realpath(path))
    mode, is_settled = "mode=rw", False
    if not (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)):
        is_settled = not _size(path, "-wal")
        mode = "mode=ro&immutable=1" if is_settled else "mode=ro"
        if not is_settled and not _size(path, "-shm"):
            raise DeviceError(
                f"the ledger {path}: its last changes are in {path.name}-wal, which SQLite does "
                "not read in a folder that cannot be written",
                fix=f"copy {path.name} and {path.name}-wal into one that can, and name it there",
            )
    place = f"file:{urllib.parse.quote(os.fsencode(path))}?{mode}"
    engine = sa.create_engine(
        "sqlite://",
        creator=lambda: sqlite3.connect(
            place, uri=True, timeout=_BUSY_S, check_same_thread=False, isolation_level=None
        ),
        poolclass=sa.QueuePool,
        pool_timeout=_BUSY_S,
        hide_parameters=True,
    )

    @sa.event.listens_for(engine, "connect")
    def _connected(connection: Any, _record: Any) -> None:
        connection.execute("PRAGMA query_only = ON")

    @sa.event.listens_for(engine, "begin")
    def _began(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    before = _state_of(path)

    def over() -> None:
        if is_settled and (_state_of(path) != before or _size(path, "-wal")):
            raise DeviceError(
                f"the ledger {path}: it was changed while it was read, in a folder that cannot "
                "be written from here",
                fix="run the same command again",
            )

    return engine, over


def _size(path: Path, ending: str) -> int:
    with contextlib.suppress(OSError):
        return path.with_name(path.name + ending).stat().st_size
    return 0


def _state_of(path: Path) -> tuple[int, ...]:
    with contextlib.suppress(OSError):
        found = path.stat()
        return found.st_ino, found.st_size, found.st_mtime_ns
    return ()


def _switch_to_wal(connection: Any) -> None:
    """Readers and the writer do not wait for one another."""
    deadline = time.monotonic() + _BUSY_S
    while True:
        [[mode]] = connection.execute("PRAGMA journal_mode").fetchall()
        if mode == "wal":
            return
        try:
            connection.execute("PRAGMA journal_mode = WAL").fetchall()
        except Exception as error:
            # Another process opens it too: for this lock SQLite does not wait by itself.
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def _make_private(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Never a file that is there already: closing it would drop the locks that SQLite holds
        # on it elsewhere in this process, and another process would think itself alone.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        sync_folder(path.parent)  # SQLite does this for its other files, not for one it finds
    except FileExistsError:
        return
    except OSError as error:
        raise DeviceError(
            f"cannot open the ledger {path}: {error.strerror or error}",
            fix="check the permissions of the folder, or name another file",
        ) from error


def postgresql_engine(text: str, *, looks: bool = False) -> sa.Engine:
    """Connections to a PostgreSQL database; none is made yet.

    Args:
        looks: nothing can be changed through them.

    Raises:
        ConfigError: the URL is wrong.
    """
    url = _url(text)
    if url.drivername == "postgresql":
        url = url.set(drivername="postgresql+psycopg")
    if url.drivername != "postgresql+psycopg":
        raise ConfigError(
            f"the ledger {url.render_as_string(hide_password=True)}: no ledger can be kept there",
            fix="name a file, or postgresql+psycopg://HOST/DATABASE",
        )
    limits = {name: value for name, value in _LIMITS.items() if name not in url.query}
    engine = sa.create_engine(
        url,
        isolation_level="READ COMMITTED",
        pool_timeout=_BUSY_S,
        pool_pre_ping=True,  # the server may have been started anew between two units
        connect_args=limits,
        hide_parameters=True,
    )

    @sa.event.listens_for(engine, "connect")
    def _connected(connection: Any, _record: Any) -> None:
        with connection.cursor() as cursor:
            for setting in _SETTINGS:
                cursor.execute(f"SET {setting}")
            if looks:
                cursor.execute("SET default_transaction_read_only = on")
        connection.commit()

    return engine


# A server whose cable has gone is found out, not waited for as long as the system's own TCP
# would: a quarter of an hour for what was sent, two hours for an answer.
_LIMITS = {
    "connect_timeout": 15,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}

# What a station locked is free again soon after its computer, or its cable, has gone.
_SETTINGS = (
    "synchronous_commit = on",
    "lock_timeout = '60s'",
    "tcp_keepalives_idle = 10",
    "tcp_keepalives_interval = 5",
    "tcp_keepalives_count = 3",
)


def _url(text: str) -> sa.URL:
    try:
        return sa.make_url(text)
    except (sa.exc.ArgumentError, ValueError) as error:
        # Not shown: it may hold a password.
        raise ConfigError("the ledger's URL cannot be read", fix=_NO_URL) from error
