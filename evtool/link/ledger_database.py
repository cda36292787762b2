# SPDX-License-Identifier: GPL-3.0-or-later
"""The ledger in an SQLite file, or in a PostgreSQL database that several stations share."""

from __future__ import annotations

import contextlib
import hashlib
import heapq
import itertools
import os
import platform
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from evtool.errors import ConfigError, DeviceError
from evtool.link.ledger_change import SqlChange, claims_of, holder_of, read_record
from evtool.link.ledger_schema import (
    MIGRATIONS,
    about,
    check_version,
    migrate,
    records,
    sealed,
    stations,
    version_of,
)
from evtool.protocol.ledger_record import Claim, Head, Record, time_text

_BUSY_S = 60.0
_MIGRATION_LOCK = 0x6576746F  # "evto": two stations may open a new database at once


@dataclass(frozen=True, slots=True)
class SealedBytes:
    """Bytes that only the sealing key `key_id` opens."""

    name: str
    key_id: str
    data: bytes


def utc_now() -> datetime:
    """This computer's clock."""
    return datetime.now(UTC)


def open_ledger(
    location: str | Path,
    station: str | None = None,
    now: Callable[[], datetime] = utc_now,
) -> SqlLedger:
    """Open a ledger, making it if it is missing; close it in the end.

    Args:
        location: a file, or a URL such as postgresql+psycopg://host/database.
        station: the name of this station's chain; None: one that this computer always gives.
        now: the clock of the records.

    Raises:
        ConfigError: it is something else, or of a later evtool; or the URL is wrong.
        DeviceError: the database cannot be reached, or the file system refused.
    """
    text = os.fspath(location)
    if "://" in text:
        engine, where = _postgresql(text)
        name = station or station_name()
    else:
        path = Path(text)
        _make_private(path)
        engine, where = _sqlite(text), text
        name = station or station_name(path)
    ledger = SqlLedger(engine, where, name, now)
    try:
        ledger.prepare()
    except BaseException:
        ledger.close()
        raise
    return ledger


def station_name(path: Path | None = None) -> str:
    """A name for this computer's chain (in the ledger `path`, where it is a file of its own).

    A copy of the file on another computer, or elsewhere on this one, gets another name: two
    stations with one name would each continue the same chain.
    """
    seed = _machine_id() + ("" if path is None else "\0" + os.fspath(path.resolve()))
    host = "".join(c for c in platform.node() if c.isalnum() or c in "-.")[:40] or "station"
    return f"{host}-{hashlib.sha256(seed.encode()).hexdigest()[:8]}"


def _machine_id() -> str:
    for path in ("/etc/machine-id", "/var/lib/dbus/machine-id"):
        with contextlib.suppress(OSError):
            return Path(path).read_text("ascii", errors="replace").strip()
    return f"{uuid.getnode():012x}"


class SqlLedger:
    """A `provision.ledger.store.Ledger`; safe in several threads and processes at once.

    Attributes:
        where: the ledger, as it may be shown: without a password.
    """

    def __init__(
        self, engine: sa.Engine, where: str, station: str, now: Callable[[], datetime]
    ) -> None:
        self._engine = engine
        self.where = where
        self._station = station
        self._now = now

    @property
    def station(self) -> str:
        """The name of this station's chain."""
        return self._station

    def prepare(self) -> None:
        """Make the tables, or bring them to this version. Raises as `open_ledger`."""
        with self._reading() as connection:
            version = version_of(connection)
        check_version(version, self.where)
        if version < len(MIGRATIONS):
            with self._writing() as connection:
                if connection.dialect.name == "postgresql":
                    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_MIGRATION_LOCK)))
                migrate(connection, str(uuid.uuid4()), self.where)

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()

    def ledger_id(self) -> str:
        """What distinguishes this ledger from all others."""
        with self._reading() as connection:
            return str(connection.execute(sa.select(about.c.ledger_id)).scalar_one())

    @contextmanager
    def change(self) -> Iterator[SqlChange]:
        """A transaction, durable when the block ends; an exception in it undoes all of it."""
        with self._writing() as connection:
            yield SqlChange(connection, self._station, lambda: time_text(self._now()))

    def history(self, *, unit: str | None = None, mac: str | None = None) -> list[Record]:
        """All records of a unit or a board, oldest first."""
        query = sa.select(records)
        if unit is not None:
            query = query.where(records.c.unit == unit)
        if mac is not None:
            query = query.where(records.c.mac == mac)
        if unit is None and mac is None:
            raise ValueError("whose history?")
        with self._reading() as connection:
            return in_order(read_record(row) for row in connection.execute(query))

    def latest(self) -> Iterator[list[Record]]:
        """For each unit, the latest record of each event and board, oldest first; by unit."""
        newest = (
            sa.select(records.c.station, sa.func.max(records.c.seq).label("seq"))
            .where(records.c.unit.is_not(None))
            .group_by(records.c.unit, records.c.station, records.c.event, records.c.mac)
            .subquery()
        )
        query = (
            sa.select(records)
            .join(
                newest,
                sa.and_(records.c.station == newest.c.station, records.c.seq == newest.c.seq),
            )
            .order_by(records.c.unit)
        )
        rows = map(read_record, self._stream(query))
        for _, group in itertools.groupby(rows, key=lambda record: record.unit):
            yield in_order(group)

    def chain(self, station: str) -> Iterator[Record]:
        """The records of a station, from the first."""
        query = sa.select(records).where(records.c.station == station).order_by(records.c.seq)
        return map(read_record, self._stream(query))

    def heads(self) -> dict[str, Head]:
        """Where each station's chain ends, as the ledger holds it; by station."""
        query = sa.select(stations).order_by(stations.c.name)
        with self._reading() as connection:
            return {row.name: Head(row.seq, row.hash) for row in connection.execute(query)}

    def claim_holder(self, kind: str, value: str) -> Claim | None:
        """Who has this value, if anyone."""
        with self._reading() as connection:
            return holder_of(connection, kind, value)

    def claims_of(self, unit: str) -> list[Claim]:
        """Everything that a unit has claimed."""
        with self._reading() as connection:
            return claims_of(connection, unit)

    def get_sealed(self, name: str) -> SealedBytes | None:
        """The sealed bytes of this name."""
        with self._reading() as connection:
            row = connection.execute(sa.select(sealed).where(sealed.c.name == name)).one_or_none()
            return None if row is None else SealedBytes(*row)

    def sealed_names(self, prefix: str = "") -> list[tuple[str, str]]:
        """(name, key id) of all sealed bytes whose name begins so, by name."""
        query = (
            sa.select(sealed.c.name, sealed.c.key_id)
            .where(sealed.c.name.startswith(prefix, autoescape=True))
            .order_by(sealed.c.name)
        )
        with self._reading() as connection:
            return [(row.name, row.key_id) for row in connection.execute(query)]

    def _stream(self, query: sa.Select[Any]) -> Iterator[sa.Row[Any]]:
        with self._reading() as connection:
            yield from connection.execution_options(yield_per=1000).execute(query)

    @contextmanager
    def _reading(self) -> Iterator[sa.Connection]:
        with self._translated(), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def _writing(self) -> Iterator[sa.Connection]:
        engine = self._engine.execution_options(evtool_writes=True)
        with self._translated(), engine.begin() as connection:
            yield connection

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sa.exc.DBAPIError as error:
            reason = str(error.orig).strip().splitlines()[0]
            if "not a database" in reason:
                raise ConfigError(
                    f"{self.where}: not a ledger of evtool: {reason}", fix="name another file"
                ) from error
            raise DeviceError(
                f"the ledger {self.where}: {reason}",
                fix="check that it can be reached and written, then run the same command again",
            ) from error


def in_order(rows: Iterator[Record] | list[Record]) -> list[Record]:
    """Records of several chains, oldest first; each chain stays in its own order.

    Clocks of stations differ, and one that is put back must not turn its chain round: a
    record counts as no older than the one before it.
    """
    chains: dict[str, list[Record]] = {}
    for record in rows:
        chains.setdefault(record.station, []).append(record)
    dated = []
    for chain in chains.values():
        chain.sort(key=lambda record: record.seq)
        times = itertools.accumulate((record.time for record in chain), max)
        dated.append(list(zip(times, (r.station for r in chain), chain, strict=True)))
    return [each[2] for each in heapq.merge(*dated, key=lambda each: each[:2])]


def _make_private(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise DeviceError(
            f"cannot open the ledger {path}: {error.strerror or error}",
            fix="check the permissions of the folder, or name another file",
        ) from error


def _sqlite(path: str) -> sa.Engine:
    engine = sa.create_engine(
        sa.URL.create("sqlite", database=path),
        connect_args={"timeout": _BUSY_S, "check_same_thread": False},
    )

    @sa.event.listens_for(engine, "connect")
    def _connected(connection: Any, _record: Any) -> None:
        # SQLAlchemy, not the driver, says where a transaction begins.
        connection.isolation_level = None
        [[mode]] = connection.execute("PRAGMA journal_mode").fetchall()
        deadline = time.monotonic() + _BUSY_S
        while mode != "wal":
            try:
                [[mode]] = connection.execute("PRAGMA journal_mode = WAL").fetchall()
            except Exception as error:
                # Another process opens it too: SQLite does not wait for this one.
                if "locked" not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
        connection.execute("PRAGMA synchronous = FULL")

    @sa.event.listens_for(engine, "begin")
    def _began(connection: sa.Connection) -> None:
        writes = connection.get_execution_options().get("evtool_writes")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _postgresql(text: str) -> tuple[sa.Engine, str]:
    try:
        url = sa.make_url(text)
    except (sa.exc.ArgumentError, ValueError) as error:
        raise ConfigError(
            "the ledger's URL cannot be read",  # nor shown: it may hold a password
            fix="give postgresql+psycopg://USER@HOST/DATABASE; the password in PGPASSFILE",
        ) from error
    if url.drivername == "postgresql":
        url = url.set(drivername="postgresql+psycopg")
    where = url.render_as_string(hide_password=True)
    if url.drivername != "postgresql+psycopg":
        raise ConfigError(
            f"the ledger {where}: no ledger can be kept there",
            fix="name a file, or postgresql+psycopg://HOST/DATABASE",
        )
    engine = sa.create_engine(
        url, isolation_level="READ COMMITTED", connect_args={"connect_timeout": 15}
    )

    @sa.event.listens_for(engine, "connect")
    def _connected(connection: Any, _record: Any) -> None:
        # What a station locked is free again soon after its computer or its cable has gone.
        with connection.cursor() as cursor:
            for setting in (
                "synchronous_commit = on",
                "lock_timeout = '60s'",
                "idle_in_transaction_session_timeout = '60s'",
                "tcp_keepalives_idle = 10",
                "tcp_keepalives_interval = 5",
                "tcp_keepalives_count = 3",
            ):
                cursor.execute(f"SET {setting}")
        connection.commit()

    return engine, where
