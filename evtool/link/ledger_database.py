# SPDX-License-Identifier: GPL-3.0-or-later
"""The ledger in an SQLite file, or in a PostgreSQL database that several stations share."""

from __future__ import annotations

import heapq
import itertools
import os
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from evtool.errors import ChangeUndone, ConfigError, DeviceError
from evtool.link.ledger_anchor import Anchor, Noted, check_noted
from evtool.link.ledger_change import MOVING_LOCK, SqlChange, read_record
from evtool.link.ledger_claims import claims_of, holder_of, holders_of
from evtool.link.ledger_location import (
    is_url,
    postgresql_engine,
    shown,
    sqlite_engine,
    sqlite_look,
    station_name,
)
from evtool.link.ledger_merging import SqlMergingChange
from evtool.link.ledger_schema import (
    MIGRATIONS,
    about,
    check_version,
    claims,
    contested,
    migrate,
    numbers,
    ranges,
    records,
    sealed,
    stations,
    version_of,
)
from evtool.protocol.ledger_record import NO_HEAD, Claim, Head, Record

_MIGRATION_LOCK = 0x6576746F  # "evto": two stations may open a new database at once
_MERGING_LOCK = 0x65766D67
_UNDONE = ("40001", "40P01")  # serialization_failure, deadlock_detected
_NOTE_EVERY = 50
_LONGEST_NAME = 64
_AT_ONCE = 500  # values of a query; SQLite takes a thousand on every system


@dataclass(frozen=True, slots=True)
class SealedBytes:
    """Bytes that only the sealing key `key_id` opens."""

    name: str
    key_id: str
    data: bytes


@dataclass(frozen=True, slots=True)
class SerialRange:
    """Serial numbers from `first` to `last`; `next` is the first one that is free."""

    name: str
    first: int
    last: int
    next: int


def open_ledger(
    location: str | Path,
    station: str | None = None,
    now: Callable[[], datetime] | None = None,
    anchor: Anchor | None = None,
) -> SqlLedger:
    """Open a ledger, making it if it is missing; close it in the end.

    Args:
        location: a file, or a URL such as postgresql+psycopg://host/database.
        station: the name of this station's chain; None: one that this computer always gives.
        now: the clock of the records; None: the server's, or this computer's for a file.
        anchor: what was noted of it is compared first, and noted anew when it is closed.

    Raises:
        CheckFailed: it is not the ledger that was noted, or an older state of it.
        ConfigError: it is something else, or of a later evtool; or the URL is wrong.
        DeviceError: the database cannot be reached, or the file system refused.
    """
    if is_url(location):
        engine = postgresql_engine(os.fspath(location))
        name = station or station_name()
    else:
        engine = sqlite_engine(Path(location))
        name = station or station_name(Path(location))
    if not name.isprintable() or len(name) > _LONGEST_NAME:
        raise ConfigError(
            f"no name for a station: {name!a}",
            fix=f"use up to {_LONGEST_NAME} printable characters (EVTOOL_STATION)",
        )
    ledger = SqlLedger(engine, shown(location), name, now, anchor)
    try:
        ledger.prepare()
    except BaseException:
        ledger.close()
        raise
    return ledger


def look_at_ledger(
    location: str | Path, station: str | None = None, anchor: Anchor | None = None
) -> SqlLedger | None:
    """A ledger to be read as it is, also an older evtool's: nothing is made or brought up.

    Returns:
        None: there is none at `location` yet.

    Raises: as `open_ledger`.
    """
    over: Callable[[], None] = _nothing
    if is_url(location):
        engine = postgresql_engine(os.fspath(location), looks=True)
        name = station or station_name()
    else:
        path = Path(location)
        if not path.is_file() or not path.stat().st_size:
            return None
        engine, over = sqlite_look(path)
        name = station or station_name(path)
    ledger = SqlLedger(engine, shown(location), name, None, anchor, over)
    try:
        version = ledger.version()
        if version:
            ledger.is_older = version < len(MIGRATIONS)
            if anchor is not None:
                ledger.compare(anchor)
            return ledger
    except BaseException:
        ledger.close()
        raise
    ledger.close()
    return None


def _nothing() -> None:
    pass


def ledger_version(location: str | Path) -> int:
    """The version of the tables at `location`, 0 where there are none; makes nothing.

    Raises: as `open_ledger`.
    """
    ledger = look_at_ledger(location, "-")
    if ledger is None:
        return 0
    with closing(ledger):
        return ledger.version()


class SqlLedger:
    """A `provision.ledger.store.Ledger`; safe in several threads and processes at once.

    Attributes:
        where: the ledger, as it may be shown: without a password.
        twins: claims that an older evtool gave away beside others that differ in their letters'
            case alone; found, and contested from then on, when its tables were brought up.
        is_older: it is looked at as an older evtool left it.
    """

    def __init__(
        self,
        engine: sa.Engine,
        where: str,
        station: str,
        now: Callable[[], datetime] | None,
        anchor: Anchor | None,
        over: Callable[[], None] = _nothing,
    ) -> None:
        self._over = over
        self.is_older = False
        self._engine = engine
        self.where = where
        self._station = station
        self._now = now
        self._anchor = anchor
        self._place = where if is_url(where) else os.fspath(Path(where).resolve())
        self._ledger_id = ""
        self._changes = itertools.count(1)
        self._head = NO_HEAD
        self.twins: list[Claim] = []

    @property
    def station(self) -> str:
        """The name of this station's chain."""
        return self._station

    def prepare(self) -> None:
        """Make the tables, or bring them to this version. Raises as `open_ledger`."""
        if self.version() < len(MIGRATIONS):
            with self._writing() as connection:
                self._alone(connection, _MIGRATION_LOCK)
                self.twins = migrate(connection, str(uuid.uuid4()), self.where)
        if self._anchor is not None:
            self.ledger_id()  # known now, so that closing asks for nothing
            self.compare(self._anchor)

    def version(self) -> int:
        """Of its tables, 0 where there are none. Raises ConfigError for a later evtool's."""
        with self._reading() as connection:
            version = version_of(connection)
        check_version(version, self.where)
        return version

    def compare(self, anchor: Anchor) -> None:
        """Compare with what a station noted outside of it. Raises CheckFailed for a loss."""
        noted = anchor.read(self._place)
        if noted is not None:
            found = [each.hash for each in self._at(noted.station, noted.head.seq)]
            check_noted(noted, self.ledger_id(), found[0] if found else None, self.where)

    def _at(self, station: str, seq: int) -> Iterator[Record]:
        return self.chain(station, after=seq - 1, until=seq)

    def close(self) -> None:
        """Give the connections back."""
        self.note_head()
        self._engine.dispose()
        self._over()

    def note_head(self) -> None:
        """Note outside of the ledger where this station's chain ends."""
        if self._anchor is not None and self._head.seq:
            noted = Noted(self.ledger_id(), self.station, self._head)
            self._anchor.write(self._place, noted)

    def accept(self, anchor: Anchor) -> None:
        """Note the ledger as it is now, whatever was noted before."""
        head = self.heads().get(self.station, NO_HEAD)
        anchor.write(self._place, Noted(self.ledger_id(), self.station, head))

    def general(self, event: str) -> list[Record]:
        """The records of an event that are about no unit."""
        query = sa.select(records).where(records.c.unit.is_(None), records.c.event == event)
        with self._reading() as connection:
            return in_order(read_record(row) for row in connection.execute(query))

    def ledger_id(self) -> str:
        """What distinguishes this ledger from all others."""
        if not self._ledger_id:
            with self._reading() as connection:
                found = connection.execute(sa.select(about.c.ledger_id)).scalar_one()
            self._ledger_id = str(found)
        return self._ledger_id

    @contextmanager
    def change(self) -> Iterator[SqlChange]:
        """A transaction, durable when the block ends; an exception in it undoes all of it."""
        with self._writing() as connection:
            change = SqlChange(connection, self._station, self._now)
            yield change
            change.finish()
        self._committed(change.head)

    @contextmanager
    def merging(self) -> Iterator[SqlMergingChange]:
        """A transaction that takes another ledger in; one such at a time."""
        with self._writing() as connection:
            self._alone(connection, _MERGING_LOCK)
            change = SqlMergingChange(connection, self._station, self._now)
            yield change
            change.finish()
        self._committed(change.head)

    def _committed(self, head: Head) -> None:
        if head.seq > self._head.seq:
            self._head = head
        # Not at each: a process that is killed loses the note of a few records, not them.
        if next(self._changes) % _NOTE_EVERY == 0:
            self.note_head()

    def refuse_itself(self, other: SqlLedger) -> None:
        """Raises ConfigError where `other` is this ledger."""
        if self._place == other._place:
            raise ConfigError(f"{other.where} is this ledger itself", fix="name another one")

    def moved_to(self) -> str | None:
        """Where it is kept now, if it was moved."""
        with self._reading() as connection:
            moved: str | None = connection.execute(sa.select(about.c.moved_to)).scalar_one()
        return moved

    def move_to(self, where: str | None) -> None:
        """Take no more records: they are kept at `where` from now on; None: here again.

        Returns when the changes under way have ended.
        """
        with self._writing() as connection:
            self._alone(connection, MOVING_LOCK)
            connection.execute(about.update().values(moved_to=where))

    def _alone(self, connection: sa.Connection, lock: int) -> None:
        # SQLite has one writer at a time anyway.
        if connection.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(lock)))

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

    def chain(self, station: str, after: int = 0, until: int | None = None) -> Iterator[Record]:
        """The records of a station: those behind `after`, up to `until`."""
        query = sa.select(records).where(records.c.station == station, records.c.seq > after)
        if until is not None:
            query = query.where(records.c.seq <= until)
        query = query.order_by(records.c.seq)
        return map(read_record, self._stream(query))

    def heads(self) -> dict[str, Head]:
        """Where each station's chain ends, as the ledger holds it; by station."""
        noted = sa.select(stations).order_by(stations.c.name)
        # A chain whose head was taken away has none: that is for `verify` to see.
        chains = sa.select(records.c.station).distinct()
        with self._reading() as connection:
            found = dict.fromkeys(connection.execute(chains).scalars(), NO_HEAD)
            found |= {row.name: Head(row.seq, row.hash) for row in connection.execute(noted)}
        return dict(sorted(found.items()))

    def claim_holder(self, kind: str, value: str) -> Claim | None:
        """Who has this value, if anyone."""
        with self._reading() as connection:
            return holder_of(connection, kind, value)

    def holders_of(self, kind: str, values: Sequence[str]) -> dict[str, Claim]:
        """Who has those of `values` that anyone has; one query for hundreds."""
        found: dict[str, Claim] = {}
        with self._reading() as connection:
            for at in range(0, len(values), _AT_ONCE):
                found |= holders_of(connection, kind, values[at : at + _AT_ONCE])
        return found

    def claims_of(self, unit: str) -> list[Claim]:
        """Everything that a unit has claimed."""
        with self._reading() as connection:
            return claims_of(connection, unit)

    def claims(self) -> Iterator[Claim]:
        """Every claim, by kind and value."""
        query = sa.select(claims).order_by(claims.c.kind, claims.c.value)
        return (Claim(*row) for row in self._stream(query))

    def contested(self) -> list[Claim]:
        """Claims on what another holder has, by kind and value."""
        query = sa.select(contested).order_by(
            contested.c.kind, contested.c.value, contested.c.time, contested.c.station
        )
        with self._reading() as connection:
            return [Claim(*row) for row in connection.execute(query)]

    def ranges(self) -> list[SerialRange]:
        """The ranges of serial numbers, by name."""
        with self._reading() as connection:
            found = connection.execute(sa.select(ranges).order_by(ranges.c.name))
            return [SerialRange(*row) for row in found]

    def number_of(self, range_name: str, unit: str) -> int | None:
        """The number that a unit drew from a range, if it did."""
        query = sa.select(numbers.c.number)
        query = query.where(numbers.c.range == range_name, numbers.c.unit == unit)
        with self._reading() as connection:
            return connection.execute(query).scalar_one_or_none()

    def get_sealed(self, name: str) -> SealedBytes | None:
        """The sealed bytes of this name."""
        with self._reading() as connection:
            row = connection.execute(sa.select(sealed).where(sealed.c.name == name)).one_or_none()
            return None if row is None else SealedBytes(*row)

    def sealed_of(self, names: Sequence[str]) -> dict[str, SealedBytes]:
        """The sealed bytes of those of `names` that there are; one query for hundreds."""
        found: dict[str, SealedBytes] = {}
        with self._reading() as connection:
            for at in range(0, len(names), _AT_ONCE):
                query = sa.select(sealed).where(sealed.c.name.in_(names[at : at + _AT_ONCE]))
                found |= {row.name: SealedBytes(*row) for row in connection.execute(query)}
        return found

    def sealed_names(self, prefix: str = "") -> list[tuple[str, str]]:
        """(name, key id) of all sealed bytes whose name begins so, by name."""
        query = (
            sa.select(sealed.c.name, sealed.c.key_id)
            .where(sealed.c.name.startswith(prefix, autoescape=True))
            .order_by(sealed.c.name)
        )
        with self._reading() as connection:
            return [(row.name, row.key_id) for row in connection.execute(query)]

    def _stream(self, query: sa.Select[Any]) -> Iterator[Any]:
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
        except sa.exc.TimeoutError as error:
            raise DeviceError(
                f"the ledger {self.where}: no connection was free for a minute",
                fix="work at fewer boards at once",
            ) from error
        except UnicodeEncodeError:
            # Such as an argument that is no UTF-8.
            raise ConfigError(
                f"the ledger {self.where}: what is asked for is no text", fix="give it in UTF-8"
            ) from None
        except sa.exc.DBAPIError as error:
            said = str(error.orig).strip() or type(error.orig).__name__
            reason = said.splitlines()[0]
            if "not a database" in reason:
                raise ConfigError(
                    f"{self.where}: not a ledger of evtool: {reason}", fix="name another file"
                ) from error
            if getattr(error.orig, "sqlstate", None) in _UNDONE:
                raise ChangeUndone(
                    f"the ledger {self.where}: {reason}", fix="run the same command again"
                ) from error
            what = "that it can be reached" if is_url(self.where) else "its folder's free space"
            raise DeviceError(
                f"the ledger {self.where}: {reason}",
                fix=f"check {what}, and that it can be written; then run the same command again",
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
