# SPDX-License-Identifier: GPL-3.0-or-later
"""The transactions: each begun once and ended once, however often a station repeats itself."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from itertools import islice
from typing import Any

from evtool.virtual.csms.ports import Store
from evtool.virtual.csms.records import MAX_LATE, MAX_METER_VALUES, TransactionRecord

MAX_RUNNING = 256
"""At one station, which has one a connector at most; those beyond have lost their stop."""

MAX_ENDED = 50_000
"""Kept in memory, the latest; a database keeps all."""


class Ledger:
    """All transactions, in memory and in a store; the store knows of each change first.

    Attributes:
        records: by transaction_id, oldest first.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.records: dict[int, TransactionRecord] = {}
        self._starts: dict[tuple[object, ...], int] = {}
        self._running: dict[str, dict[int, TransactionRecord]] = {}
        self._ended: OrderedDict[int, None] = OrderedDict()
        self._has_forgotten = False
        for record in store.transactions():
            self._keep(record)
        for station in self._running:
            self.abandon(station)
        self._next = max(self.records, default=0) + 1
        self._forget()

    def begin(
        self, station: str, connector_id: int, id_tag: str, meter_start: int, started: str
    ) -> tuple[TransactionRecord, bool]:
        """Record a start; a repeated one is the first one's record. Also: whether it is new."""
        record = TransactionRecord(self._next, station, connector_id, id_tag, meter_start, started)
        known = self._starts.get(record.start_key())
        if known is not None:
            return self.records[known], False
        forgotten = self._store.find(record.start_key()) if self._has_forgotten else None
        if forgotten is not None:
            return forgotten, False
        self._store.begin(record)
        self._next += 1
        self._keep(record)
        return record, True

    def end(
        self,
        station: str,
        transaction_id: int,
        meter_stop: int,
        stopped: str,
        reason: str,
        meter_values: Sequence[dict[str, Any]] = (),
    ) -> str:
        """Record a stop, and with it the meter values of its transactionData.

        Returns:
            "stopped"; or why nothing was recorded: "repeated", "differs" (it has ended with
            other values before, which stay), "unknown" (no transaction of that station).
        """
        record = self.records.get(transaction_id)
        if record is None or record.station != station:
            return "unknown"
        if not record.is_running:
            same = (record.meter_stop, record.stopped, record.reason)
            return "repeated" if same == (meter_stop, stopped, reason) else "differs"
        record.meter_stop, record.stopped, record.reason = meter_stop, stopped, reason
        try:
            self._store.end(record, meter_values)
        except BaseException:
            record.meter_stop = record.stopped = record.reason = None
            raise
        self._running.get(station, {}).pop(transaction_id, None)
        record.meter_value_count += len(meter_values)
        record.meter_values.clear()
        self._ended[transaction_id] = None
        self._forget()
        return "stopped"

    def add_meter_values(
        self, station: str, transaction_id: int | None, meter_values: Sequence[dict[str, Any]]
    ) -> TransactionRecord | None:
        """Keep meter values with their transaction; None where there is none.

        A transaction has room for so many, and after its end for a few: what is beyond is not
        kept, and its record says `is_full` from then on.
        """
        record = self.records.get(transaction_id or 0)
        if record is None or record.station != station:
            return None
        if record.is_running:
            for meter_value in meter_values:
                record.keep(meter_value)
        room = MAX_METER_VALUES - record.meter_value_count
        if not record.is_running:
            room = min(room, MAX_LATE - record.late)
        kept = meter_values[: max(room, 0)]
        record.is_full = record.is_full or len(kept) < len(meter_values)
        if kept:
            self._store.add_meter_values(record.transaction_id, kept)
            record.meter_value_count += len(kept)
            record.late += 0 if record.is_running else len(kept)
        return record

    def abandon(self, station: str) -> list[TransactionRecord]:
        """Count no more transactions of a station as running than there is room for.

        Returns:
            the oldest beyond that: their StopTransaction is still taken while memory has them.
        """
        running = self._running.get(station, {})
        lost = [running.pop(next(iter(running))) for _ in range(len(running) - MAX_RUNNING)]
        self._ended.update((record.transaction_id, None) for record in lost)
        self._forget()
        return lost

    def running(self, station: str) -> list[TransactionRecord]:
        """Those that run at a station, oldest first."""
        return list(self._running.get(station, {}).values())

    def latest(self, count: int | None, station: str | None = None) -> list[TransactionRecord]:
        """The latest `count` (None: all), of a station or of all, oldest first."""
        newest_first = (
            record
            for record in reversed(self.records.values())
            if station is None or record.station == station
        )
        return list(islice(newest_first, count))[::-1]

    def is_charging(self, id_tag: str) -> bool:
        """Whether a transaction of that id_tag runs anywhere."""
        wanted = id_tag.casefold()
        return any(
            record.id_tag.casefold() == wanted
            for running in self._running.values()
            for record in running.values()
        )

    def _keep(self, record: TransactionRecord) -> None:
        self.records[record.transaction_id] = record
        self._starts[record.start_key()] = record.transaction_id
        if record.is_running:
            self._running.setdefault(record.station, {})[record.transaction_id] = record
        else:
            self._ended[record.transaction_id] = None

    def _forget(self) -> None:
        """Keep no more of those that have ended than there is room for."""
        while len(self._ended) > MAX_ENDED:
            self._has_forgotten = True
            record = self.records.pop(self._ended.popitem(last=False)[0])
            self._starts.pop(record.start_key(), None)
