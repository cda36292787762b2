# SPDX-License-Identifier: GPL-3.0-or-later
"""One transaction on the ledger's tables: records, claims, serial numbers, sealed bytes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any

import sqlalchemy as sa

from evtool.errors import ConfigError
from evtool.link.ledger_claims import claims_of, give_up, holder_of, insert_if_new, take_all
from evtool.link.ledger_schema import about, numbers, ranges, records, sealed, stations
from evtool.protocol.ledger_record import (
    CLAIM_KINDS,
    NO_HASH,
    Claim,
    ClaimTaken,
    Head,
    RangeEnded,
    Record,
    canonical_json,
    folded,
    free_number,
    next_record,
    time_text,
)

MOVING_LOCK = 0x65766D76  # "evmv": shared by those who change, of one who moves the ledger

_BEGIN = sa.select(
    sa.func.pg_advisory_xact_lock_shared(MOVING_LOCK),
    sa.func.set_config("idle_in_transaction_session_timeout", "60s", True),
    sa.func.clock_timestamp(),
)
_HEAD = (
    sa.select(about.c.moved_to, stations.c.seq, stations.c.hash)
    .select_from(about.join(stations, sa.true()))
    .where(stations.c.name == sa.bindparam("station"))
    .with_for_update(of=stations)
)
_SEALING_LOCK = 0x65766B79  # "evky": shared by those who seal, of one who makes or changes a key
_LAST_NUMBER = 2**63 - 1  # the next one must fit into its column too


class SqlChange:
    """A `provision.ledger.store.Change` within the transaction of `connection`.

    Args:
        connection: in a transaction, which the caller commits or rolls back.
        station: whose chain is added to.
        now: the clock; None: the server's, or this computer's for a file.

    Attributes:
        head: the end of the station's chain.
    """

    def __init__(
        self, connection: sa.Connection, station: str, now: Callable[[], datetime] | None
    ) -> None:
        self._connection = connection
        self._station = station
        clock = self._begin()
        self.head = self._kept_head = self._locked_head()
        self._clock = now or clock

    def _begin(self) -> Callable[[], datetime]:
        """The clock: one for all stations of a server, so that records can be put in order."""
        if self._connection.dialect.name == "sqlite":
            return lambda: datetime.now(UTC)
        # Who moves the ledger waits for changes that are under way; and one whose computer
        # stands still in the middle of it loses what it has locked.
        *_, moment = self._connection.execute(_BEGIN).one()
        began = monotonic()
        start: datetime = moment
        return lambda: start + timedelta(seconds=monotonic() - began)

    def _locked_head(self) -> Head:
        """The end of this station's chain; until the transaction ends no other adds to it.

        Raises:
            ConfigError: the ledger was moved elsewhere.
        """
        # In a statement of its own: it must see what the wait for the lock has let happen.
        row = self._connection.execute(_HEAD, {"station": self._station}).one_or_none()
        if row is None:
            moved_to = self._connection.execute(sa.select(about.c.moved_to)).scalar_one()
        else:
            moved_to = row.moved_to
        if moved_to is not None:
            raise ConfigError(
                f"this ledger was moved to {moved_to}",
                fix="name that one as `ledger` in [provision] of evtool.toml; if the move was "
                "stopped, run `evtool provision ledger move` again",
            )
        return locked_head(self._connection, self._station) if row is None else Head(*row[1:])

    def finish(self) -> None:
        """Note where the chain ends now; called once, before the transaction is committed."""
        if self.head != self._kept_head:
            set_head(self._connection, self._station, self.head)

    def _now(self) -> str:
        return time_text(self._clock())

    def append(
        self,
        event: str,
        *,
        unit: str | None = None,
        mac: str | None = None,
        fields: Mapping[str, object] | None = None,
        time: datetime | None = None,
    ) -> Record:
        """Add a record to this station's chain.

        Args:
            event: what happened,
            unit: to which unit,
            mac: on which board.
            fields: what else is known.
            time: when, if it was before now.

        Raises:
            ValueError, TypeError: `fields` are no JSON values, or a text is none.
        """
        moment = self._now() if time is None else time_text(time)
        return self._keep(moment, event, unit, mac, fields)

    def _keep(
        self,
        time: str,
        event: str,
        unit: str | None,
        mac: str | None,
        fields: Mapping[str, object] | None,
    ) -> Record:
        record = next_record(
            self._station, self.head, time, event, unit=unit, mac=mac, fields=fields
        )
        self._connection.execute(records.insert(), row_of(record))
        self.head = Head(record.seq, record.hash)
        return record

    def claim(
        self, unit: str, claims: Iterable[tuple[str, str]], *, mac: str | None = None
    ) -> Record | None:
        """Win every (kind, value) for `unit` on board `mac`, or raise ClaimTaken and win none."""
        # In one order everywhere, so that two stations never wait for one another.
        wanted = sorted(set(claims), key=lambda each: (each[0], folded(each[1])))
        for kind, _ in wanted:
            if kind not in CLAIM_KINDS:
                raise ValueError(f"no kind of claim: {kind}")
        time = self._now()
        origin = self._station, self.head.seq + 1, time
        made = [Claim(kind, value, unit, mac, *origin) for kind, value in wanted]
        new, holder = take_all(self._connection, made)
        if holder is not None:
            wants = next(
                value
                for kind, value in wanted
                if (kind, folded(value)) == (holder.kind, folded(holder.value))
            )
            raise ClaimTaken(holder, unit, mac, wants)
        if not new:
            return None
        won = [(each.kind, each.value) for each in new]
        return self._keep(time, "claimed", unit, mac, {"claims": won})

    def claim_holder(self, kind: str, value: str) -> Claim | None:
        """Who has this value, if anyone, as this transaction sees it."""
        return holder_of(self._connection, kind, value)

    def release(
        self,
        unit: str,
        claims: Iterable[tuple[str, str]],
        *,
        mac: str | None = None,
        fields: Mapping[str, object] | None = None,
    ) -> Record | None:
        """Give up every (kind, value) that `unit` on board `mac` holds."""
        given_up = [
            released
            for kind, value in sorted(set(claims))
            if (released := give_up(self._connection, kind, value, unit, mac)) is not None
        ]
        if not given_up:
            return None
        boards = {each.mac for each in given_up if each.mac is not None}
        left = claims_of(self._connection, unit)
        return self.append(
            "released",
            unit=unit,
            mac=boards.pop() if len(boards) == 1 else mac,
            fields=dict(fields or {})
            | {
                "claims": [(each.kind, each.value) for each in given_up],
                "left": [(each.kind, each.value) for each in left],
            },
        )

    def hold_sealing_key(self) -> None:
        """Until this ends, no other makes a key of the ledger or replaces one."""
        self._lock_sealing(sa.func.pg_advisory_xact_lock_shared)

    def change_sealing_key(self) -> None:
        """Until this ends, no other seals, makes a key or replaces one; waits for those who do."""
        self._lock_sealing(sa.func.pg_advisory_xact_lock)

    def _lock_sealing(self, lock: Callable[[int], sa.ColumnElement[Any]]) -> None:
        # SQLite has one writer at a time anyway.
        if self._connection.dialect.name == "postgresql":
            self._connection.execute(sa.select(lock(_SEALING_LOCK)))

    def put_sealed(self, name: str, key_id: str, data: bytes) -> bool:
        """Keep sealed bytes. False: there are some of this name, which stay."""
        return insert_if_new(self._connection, sealed, name=name, key_id=key_id, data=data)

    def has_sealed(self, name: str) -> bool:
        """Whether sealed bytes of this name are kept, as this transaction sees it."""
        query = sa.select(sealed.c.name).where(sealed.c.name == name)
        return self._connection.execute(query).one_or_none() is not None

    def replace_sealed(self, name: str, old_key_id: str, key_id: str, data: bytes) -> bool:
        """Seal anew what `old_key_id` sealed. False: there is no such thing (now)."""
        done = self._connection.execute(
            sealed.update()
            .where(sealed.c.name == name, sealed.c.key_id == old_key_id)
            .values(key_id=key_id, data=data)
        )
        return done.rowcount > 0

    def add_range(self, name: str, first: int, last: int) -> None:
        """Define a range of serial numbers; the same one again changes nothing."""
        if not 0 <= first <= last < _LAST_NUMBER:
            raise ConfigError(
                f"range {name}: {first} to {last} is no range of numbers from 0 to 2^63 - 2",
                fix="give its first number, then its last",
            )
        if insert_if_new(self._connection, ranges, name=name, first=first, last=last, next=first):
            self.append("range_added", fields={"range": name, "first": first, "last": last})
            return
        found = self._connection.execute(sa.select(ranges).where(ranges.c.name == name)).one()
        if (found.first, found.last) != (first, last):
            raise ConfigError(
                f"range {name} is {found.first} to {found.last}, not {first} to {last}",
                fix="name a new range: the numbers of this one are in use",
            )

    def next_serial(
        self, range_name: str, unit: str, is_free: Callable[[int], bool] = lambda _number: True
    ) -> int:
        """The unit's number from a range: the one that it took before, or the next free one."""
        taken_before = sa.select(numbers.c.number).where(
            numbers.c.range == range_name, numbers.c.unit == unit
        )
        # First the range's row, which only one station has at a time.
        found = self._connection.execute(
            sa.select(ranges).where(ranges.c.name == range_name).with_for_update()
        ).one_or_none()
        if found is None:
            raise RangeEnded(
                f"there is no range of serial numbers named {range_name}",
                fix="define it: evtool provision ledger range NAME FIRST LAST",
            )
        before = self._connection.execute(taken_before).scalar_one_or_none()
        if before is not None and is_free(int(before)):
            return int(before)
        number = free_number(range_name, found.first, found.last, found.next, is_free)
        self._connection.execute(
            ranges.update().where(ranges.c.name == range_name).values(next=number + 1)
        )
        set_number(self._connection, range_name, number, unit, is_first=before is None)
        fields = {"range": range_name, "number": number}
        more = {} if before is None else {"instead_of": int(before)}
        self.append("serial_taken", unit=unit, fields=fields | more)
        return number


def set_number(
    connection: sa.Connection, range_name: str, number: int, unit: str, *, is_first: bool
) -> None:
    """Note which number of a range the unit has; one that it had before is nobody's any more."""
    if is_first:
        connection.execute(numbers.insert().values(range=range_name, number=number, unit=unit))
        return
    connection.execute(
        numbers.update()
        .where(numbers.c.range == range_name, numbers.c.unit == unit)
        .values(number=number)
    )


def row_of(record: Record) -> dict[str, object]:
    """A record as its table holds it."""
    return {
        "station": record.station,
        "seq": record.seq,
        "time": record.time,
        "event": record.event,
        "unit": record.unit,
        "mac": record.mac,
        "fields": canonical_json(dict(record.fields)),
        "previous_hash": record.previous_hash,
        "hash": record.hash,
    }


def set_head(connection: sa.Connection, station: str, head: Head) -> None:
    """Note where a station's chain ends now."""
    connection.execute(
        stations.update().where(stations.c.name == station).values(seq=head.seq, hash=head.hash)
    )


def locked_head(connection: sa.Connection, station: str) -> Head:
    """The end of a station's chain, which no other adds to until the transaction ends."""
    query = (
        sa.select(stations.c.seq, stations.c.hash)
        .where(stations.c.name == station)
        .with_for_update()
    )
    row = connection.execute(query).one_or_none()
    if row is None:
        insert_if_new(connection, stations, name=station, seq=0, hash=NO_HASH)
        row = connection.execute(query).one()
    return Head(*row)


def read_record(row: sa.Row[Any]) -> Record:
    """A record from its row.

    What cannot be parsed is what a tamperer left: it stays visible, and its hash is wrong.
    """
    try:
        fields = json.loads(row.fields)
    except ValueError:
        fields = None
    if not isinstance(fields, dict):
        fields = {"unreadable": str(row.fields)}
    return Record(
        row.station, int(row.seq), row.time, row.event, row.unit, row.mac, fields,
        row.previous_hash, row.hash,
    )  # fmt: skip
