# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables of a ledger, the same in SQLite and PostgreSQL, and how older ones become these.

Records are only ever added: triggers refuse to change or delete one, and to add one that does
not continue its station's chain. The other tables say what holds now, and each of their
changes stands in a record too.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles

from evtool.errors import ConfigError
from evtool.protocol.ledger_record import Claim, folded

metadata = sa.MetaData()

about = sa.Table(
    "evtool_ledger",
    metadata,
    sa.Column("only", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("ledger_id", sa.Text, nullable=False),
    # Where it went, if it was moved: it takes no more records then.
    sa.Column("moved_to", sa.Text),
)

records = sa.Table(
    "ledger_records",
    metadata,
    sa.Column("station", sa.Text, primary_key=True),
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("time", sa.Text, nullable=False),
    sa.Column("event", sa.Text, nullable=False),
    sa.Column("unit", sa.Text),
    sa.Column("mac", sa.Text),
    sa.Column("fields", sa.Text, nullable=False),
    sa.Column("previous_hash", sa.String(64), nullable=False),
    sa.Column("hash", sa.String(64), nullable=False),
)
# They hold all that finding the latest of each event needs: no record is read for it.
sa.Index(
    "ledger_records_unit",
    records.c.unit,
    records.c.station,
    records.c.event,
    records.c.mac,
    records.c.seq,
)
sa.Index("ledger_records_mac", records.c.mac, records.c.station, records.c.seq)

stations = sa.Table(
    "ledger_stations",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("seq", sa.BigInteger, nullable=False),
    sa.Column("hash", sa.String(64), nullable=False),
)

claims = sa.Table(
    "ledger_claims",
    metadata,
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, primary_key=True),
    sa.Column("unit", sa.Text, nullable=False),
    sa.Column("mac", sa.Text),
    sa.Column("station", sa.Text, nullable=False),
    sa.Column("seq", sa.BigInteger, nullable=False),
    sa.Column("time", sa.Text, nullable=False),
)
sa.Index("ledger_claims_unit", claims.c.unit)

# Claims that another holder was in the way of when two stations' ledgers were merged.
contested = sa.Table(
    "ledger_contested",
    metadata,
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, primary_key=True),
    sa.Column("unit", sa.Text, nullable=False),
    sa.Column("mac", sa.Text),
    sa.Column("station", sa.Text, primary_key=True),
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("time", sa.Text, nullable=False),
)

ranges = sa.Table(
    "ledger_ranges",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("first", sa.BigInteger, nullable=False),
    sa.Column("last", sa.BigInteger, nullable=False),
    sa.Column("next", sa.BigInteger, nullable=False),
)

numbers = sa.Table(
    "ledger_numbers",
    metadata,
    sa.Column("range", sa.Text, primary_key=True),
    sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("unit", sa.Text, nullable=False),
    sa.UniqueConstraint("range", "unit", name="ledger_numbers_unit"),
)

sealed = sa.Table(
    "ledger_sealed",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("key_id", sa.Text, nullable=False),
    sa.Column("data", sa.LargeBinary, nullable=False),
)

_SQLITE_GUARDS = (
    """CREATE TRIGGER ledger_records_kept BEFORE UPDATE ON ledger_records
    BEGIN SELECT RAISE(ABORT, 'records of the ledger are only ever added'); END""",
    """CREATE TRIGGER ledger_records_not_deleted BEFORE DELETE ON ledger_records
    BEGIN SELECT RAISE(ABORT, 'records of the ledger are only ever added'); END""",
    # INSERT OR REPLACE would delete without the trigger above.
    """CREATE TRIGGER ledger_records_chained BEFORE INSERT ON ledger_records
    WHEN NEW.seq IS NOT 1 + coalesce(
        (SELECT max(seq) FROM ledger_records WHERE station = NEW.station), 0)
      OR NEW.previous_hash IS NOT coalesce(
        (SELECT hash FROM ledger_records WHERE station = NEW.station AND seq = NEW.seq - 1),
        lower(hex(zeroblob(32))))
    BEGIN SELECT RAISE(ABORT, 'the record does not continue its chain'); END""",
)

_POSTGRESQL_GUARDS = (
    """CREATE FUNCTION ledger_records_kept() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION 'records of the ledger are only ever added'; END $$""",
    """CREATE TRIGGER ledger_records_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_records
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_records_kept()""",
    """CREATE FUNCTION ledger_records_chained() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      IF NEW.seq IS DISTINCT FROM 1 + coalesce(
           (SELECT max(seq) FROM ledger_records WHERE station = NEW.station), 0)
         OR NEW.previous_hash IS DISTINCT FROM coalesce(
           (SELECT hash FROM ledger_records WHERE station = NEW.station AND seq = NEW.seq - 1),
           repeat('0', 64))
      THEN RAISE EXCEPTION 'the record does not continue its chain';
      END IF;
      RETURN NEW;
    END $$""",
    """CREATE TRIGGER ledger_records_chained BEFORE INSERT ON ledger_records
    FOR EACH ROW EXECUTE FUNCTION ledger_records_chained()""",
)


class FoldedColumn(sa.sql.functions.FunctionElement[str]):
    """`evtool.protocol.ledger_record.folded` of a column, as the index of claims has it."""

    name = "folded"
    type = sa.Text()
    inherit_cache = True


@compiles(FoldedColumn)
def _lower(element: FoldedColumn, compiler: Any, **options: Any) -> str:
    return f"lower({compiler.process(element.clauses, **options)})"


@compiles(FoldedColumn, "postgresql")
def _lower_of_ascii(element: FoldedColumn, compiler: Any, **options: Any) -> str:
    # The letters A to Z alone, whatever the database's language: in Turkish, I is not i.
    return f'lower({compiler.process(element.clauses, **options)} COLLATE "C")'


def _first_version(connection: sa.Connection) -> None:
    metadata.create_all(connection, tables=[t for t in metadata.sorted_tables if t is not about])
    guards = _SQLITE_GUARDS if connection.dialect.name == "sqlite" else _POSTGRESQL_GUARDS
    for guard in guards:
        connection.exec_driver_sql(guard)


def _claims_in_any_case(connection: sa.Connection) -> None:
    """A claim is one whatever its letters' case; what was claimed twice so is contested.

    As after a merge: the first holder keeps it, and `verify` names the other one until one of
    the two is released.
    """
    value = "value"
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("LOCK TABLE ledger_claims IN SHARE ROW EXCLUSIVE MODE")
        value = 'value COLLATE "C"'
    first: dict[tuple[str, str], Claim] = {}
    for twin in _twins(connection):
        key = twin.kind, folded(twin.value)
        holder = first.setdefault(key, twin)
        if holder is twin:
            continue
        connection.execute(
            claims.delete().where(claims.c.kind == twin.kind, claims.c.value == twin.value)
        )
        if not holder.fits(twin.unit, twin.mac):
            connection.execute(contested.insert().values(**dataclasses.asdict(twin)))
        elif holder.mac is None and twin.mac is not None:
            # One unit that was written in two ways has it once, on its board.
            first[key] = dataclasses.replace(holder, mac=twin.mac)
            connection.execute(
                claims.update()
                .where(claims.c.kind == holder.kind, claims.c.value == holder.value)
                .values(mac=twin.mac)
            )
    connection.exec_driver_sql(
        f"CREATE UNIQUE INDEX ledger_claims_any_case ON ledger_claims (kind, lower({value}))"
    )


def _twins(connection: sa.Connection) -> list[Claim]:
    """Claims that are there in several ways to write them, the earliest first."""
    value = FoldedColumn(claims.c.value)
    twice = (
        sa.select(claims.c.kind, value.label("folded"))
        .group_by(claims.c.kind, value)
        .having(sa.func.count() > 1)
        .subquery()
    )
    query = sa.select(claims).join(
        twice, sa.and_(claims.c.kind == twice.c.kind, value == twice.c.folded)
    )
    query = query.order_by(claims.c.time, claims.c.station, claims.c.seq, claims.c.value)
    return [Claim(*row) for row in connection.execute(query)]


MIGRATIONS: tuple[Callable[[sa.Connection], None], ...] = (_first_version, _claims_in_any_case)
"""Migration n makes version n + 1 of the tables from version n."""


def version_of(connection: sa.Connection) -> int:
    """The version of the tables; 0 where there are none of evtool's."""
    if not sa.inspect(connection).has_table(about.name):
        return 0
    return int(connection.execute(sa.select(about.c.version)).scalar_one())


def migrate(connection: sa.Connection, ledger_id: str, where: str) -> list[Claim]:
    """Bring the tables to this evtool's version, within the transaction of `connection`.

    Args:
        connection: within a transaction that no other process has at the same time.
        ledger_id: of a ledger that is new.
        where: the ledger, as a message may show it.

    Returns:
        the claims that are contested since then, as they were made in two ways of writing.

    Raises:
        ConfigError: the tables are of a later evtool.
    """
    version = version_of(connection)
    check_version(version, where)
    if version == len(MIGRATIONS):
        return []
    before = _contested(connection) if version else []
    if version == 0:
        about.create(connection)
        connection.execute(about.insert().values(only=1, version=0, ledger_id=ledger_id))
    for migration in MIGRATIONS[version:]:
        migration(connection)
    connection.execute(about.update().values(version=len(MIGRATIONS)))
    return [each for each in _contested(connection) if each not in before]


def _contested(connection: sa.Connection) -> list[Claim]:
    query = sa.select(contested).order_by(contested.c.kind, contested.c.value)
    return [Claim(*row) for row in connection.execute(query)]


def check_version(version: int, where: str) -> None:
    """Refuse the ledger of a later evtool.

    Raises:
        ConfigError: it is one.
    """
    if version > len(MIGRATIONS):
        raise ConfigError(
            f"{where}: the ledger's tables are of version {version}, which a later evtool made; "
            f"this one knows {len(MIGRATIONS)}",
            fix="use the evtool that made it, or a later one",
        )
