# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables of a ledger, the same in SQLite and PostgreSQL, and how older ones become these.

Records are only ever added: triggers refuse to change or delete one, and to add one that does
not continue its station's chain. The other tables say what holds now, and each of their
changes stands in a record too.
"""

from __future__ import annotations

from collections.abc import Callable

import sqlalchemy as sa

from evtool.errors import ConfigError

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


def _first_version(connection: sa.Connection) -> None:
    metadata.create_all(connection, tables=[t for t in metadata.sorted_tables if t is not about])
    guards = _SQLITE_GUARDS if connection.dialect.name == "sqlite" else _POSTGRESQL_GUARDS
    for guard in guards:
        connection.exec_driver_sql(guard)


MIGRATIONS: tuple[Callable[[sa.Connection], None], ...] = (_first_version,)
"""Migration n makes version n + 1 of the tables from version n."""


def version_of(connection: sa.Connection) -> int:
    """The version of the tables; 0 where there are none of evtool's."""
    if not sa.inspect(connection).has_table(about.name):
        return 0
    return int(connection.execute(sa.select(about.c.version)).scalar_one())


def migrate(connection: sa.Connection, ledger_id: str, where: str) -> None:
    """Bring the tables to this evtool's version, within the transaction of `connection`.

    Args:
        connection: within a transaction that no other process has at the same time.
        ledger_id: of a ledger that is new.
        where: the ledger, as a message may show it.

    Raises:
        ConfigError: the tables are of a later evtool.
    """
    version = version_of(connection)
    check_version(version, where)
    if version == len(MIGRATIONS):
        return
    if version == 0:
        about.create(connection)
        connection.execute(about.insert().values(only=1, version=0, ledger_id=ledger_id))
    for migration in MIGRATIONS[version:]:
        migration(connection)
    connection.execute(about.update().values(version=len(MIGRATIONS)))


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
