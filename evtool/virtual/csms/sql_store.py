# SPDX-License-Identifier: GPL-3.0-or-later
"""Transactions and changed credentials as tables; the database itself comes in."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from evtool.virtual.csms.records import KEPT_METER_VALUES, StoredStation, TransactionRecord

SCHEMA = """
CREATE TABLE transactions (
  transaction_id INTEGER PRIMARY KEY,
  station TEXT NOT NULL,
  connector_id INTEGER NOT NULL,
  id_tag TEXT NOT NULL,
  meter_start INTEGER NOT NULL,
  started TEXT NOT NULL,
  meter_stop INTEGER,
  stopped TEXT,
  reason TEXT,
  UNIQUE (station, connector_id, id_tag, meter_start, started)
);
CREATE TABLE meter_values (
  transaction_id INTEGER NOT NULL REFERENCES transactions,
  meter_value TEXT NOT NULL
);
CREATE INDEX meter_values_of ON meter_values (transaction_id);
CREATE TABLE stations (
  identity TEXT PRIMARY KEY,
  key BLOB,
  next_key BLOB,
  profile INTEGER NOT NULL,
  next_profile INTEGER
);
"""
VERSION = 1

_SELECT = (
    "SELECT transaction_id, station, connector_id, id_tag, meter_start, started,"
    " meter_stop, stopped, reason FROM transactions"
)
_END = (
    "UPDATE transactions SET meter_stop = ?, stopped = ?, reason = ?"
    " WHERE transaction_id = ? AND stopped IS NULL"
)
_ADD = "INSERT INTO meter_values (transaction_id, meter_value) VALUES (?, ?)"


class Database(Protocol):
    """A database with `SCHEMA` in it."""

    def rows(self, sql: str, values: Sequence[Any] = ()) -> Iterable[tuple[Any, ...]]:
        """What a SELECT finds."""

    def write(self, sql: str, rows: Sequence[Sequence[Any]], *, flush: bool) -> None:
        """Change it, all rows or none; with `flush` it is on the disk when this returns."""

    def write_all(self, changes: Sequence[tuple[str, Sequence[Sequence[Any]]]]) -> None:
        """Several changes, all or none; on the disk when this returns."""


class SqlStore:
    """`ports.Store` in a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def transactions(self) -> Sequence[TransactionRecord]:
        """All that were ever begun, with the latest meter values of those that run."""
        records = [
            TransactionRecord(*row)
            for row in self._database.rows(f"{_SELECT} ORDER BY transaction_id")
        ]
        counts = dict(
            self._database.rows(
                "SELECT transaction_id, count(*) FROM meter_values GROUP BY transaction_id"
            )
        )
        for record in records:
            record.meter_value_count = counts.get(record.transaction_id, 0)
            if record.is_running:
                latest = self._database.rows(
                    "SELECT meter_value FROM meter_values WHERE transaction_id = ?"
                    " ORDER BY rowid DESC LIMIT ?",
                    (record.transaction_id, KEPT_METER_VALUES),
                )
                record.meter_values.extendleft(json.loads(text) for (text,) in latest)
        return records

    def stations(self) -> Iterable[StoredStation]:
        """The stations whose credentials have changed."""
        return [
            StoredStation(identity, key, _keys_of(next_keys), profile, next_profile)
            for identity, key, next_keys, profile, next_profile in self._database.rows(
                "SELECT identity, key, next_key, profile, next_profile FROM stations"
            )
        ]

    def begin(self, record: TransactionRecord) -> None:
        """A transaction has begun; on the disk when this returns."""
        row = (record.transaction_id, *record.start_key())
        self._database.write(
            "INSERT INTO transactions (transaction_id, station, connector_id, id_tag,"
            " meter_start, started) VALUES (?, ?, ?, ?, ?, ?)",
            [row],
            flush=True,
        )

    def find(self, start_key: tuple[object, ...]) -> TransactionRecord | None:
        """The transaction that began so."""
        for row in self._database.rows(
            f"{_SELECT} WHERE station = ? AND connector_id = ? AND id_tag = ?"
            " AND meter_start = ? AND started = ?",
            start_key,
        ):
            return TransactionRecord(*row)
        return None

    def end(self, record: TransactionRecord, meter_values: Sequence[Any] = ()) -> None:
        """It has ended, with these meter values; on the disk when this returns."""
        values = (record.meter_stop, record.stopped, record.reason, record.transaction_id)
        changes: list[tuple[str, Sequence[Sequence[Any]]]] = [(_END, [values])]
        if meter_values:
            changes.append((_ADD, _meter_rows(record.transaction_id, meter_values)))
        self._database.write_all(changes)

    def add_meter_values(self, transaction_id: int, meter_values: Sequence[Any]) -> None:
        """MeterValues; they survive the end of the process, and the next flush a power cut."""
        self._database.write(_ADD, _meter_rows(transaction_id, meter_values), flush=False)

    def save_station(self, station: StoredStation) -> None:
        """The credentials of a station have changed; on the disk when this returns."""
        self._database.write(
            "INSERT INTO stations (identity, key, next_key, profile, next_profile)"
            " VALUES (?, ?, ?, ?, ?) ON CONFLICT (identity) DO UPDATE SET key = excluded.key,"
            " next_key = excluded.next_key, profile = excluded.profile,"
            " next_profile = excluded.next_profile",
            [
                (
                    station.identity,
                    station.key,
                    _column_of(station.next_keys),
                    station.profile,
                    station.next_profile,
                )
            ],
            flush=True,
        )


def _column_of(keys: tuple[bytes, ...]) -> bytes | str | None:
    """The keys as `next_key` holds them: one as it is, several as a JSON list of their digits."""
    if len(keys) > 1:
        return json.dumps([key.hex() for key in keys])
    return keys[0] if keys else None


def _keys_of(column: bytes | str | None) -> tuple[bytes, ...]:
    if isinstance(column, str):
        return tuple(map(bytes.fromhex, json.loads(column)))
    return () if column is None else (column,)


def _meter_rows(transaction_id: int, meter_values: Sequence[Any]) -> list[tuple[int, str]]:
    return [(transaction_id, json.dumps(each)) for each in meter_values]
