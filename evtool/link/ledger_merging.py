# SPDX-License-Identifier: GPL-3.0-or-later
"""The transaction in which one ledger takes in what another recorded."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import sqlalchemy as sa

from evtool.link.ledger_change import SqlChange, locked_head, row_of, set_head
from evtool.link.ledger_claims import contenders_of, contest, give_up_there, insert_if_new, take
from evtool.link.ledger_schema import numbers, ranges, records
from evtool.protocol.ledger_record import Claim, Head, Record, chain_of

_BATCH = 1000


class SqlMergingChange(SqlChange):
    """A `provision.ledger.merge.MergingChange`."""

    def head_of(self, station: str) -> Head:
        """Where our copy of a chain ends; no other adds to it until the transaction ends."""
        return self.head if station == self._station else locked_head(self._connection, station)

    def take_chain(self, station: str, taken: Iterable[Record], after: Head) -> int:
        """Add records behind `after`, all of them or none; returns how many.

        Raises:
            ValueError: they do not form one chain.
        """
        head = after
        with self._connection.begin_nested():
            chain = chain_of(taken, after)
            while batch := list(itertools.islice(chain, _BATCH)):
                if any(record.station != station for record in batch):
                    raise ValueError(f"a record of another station in the chain of {station}")
                self._connection.execute(records.insert(), [row_of(record) for record in batch])
                head = Head(batch[-1].seq, batch[-1].hash)
            set_head(self._connection, station, head)
        if station == self._station:  # what this station had lost
            self.head = head
        return head.seq - after.seq

    def take_claim(self, claim: Claim) -> Claim | None:
        """Keep a claim; returns the holder in its way, against whom it is contested then."""
        _, holder = take(self._connection, claim)
        if holder is not None:
            contest(self._connection, claim)
        return holder

    def is_contested(self, claim: Claim) -> bool:
        """Whether this unit and board want what another holder has."""
        others = contenders_of(self._connection, claim.kind, claim.value)
        return any(each.fits(claim.unit, claim.mac) for each in others)

    def take_release(self, claim: Claim) -> bool:
        """Release what this unit holds on this board, or on none yet.

        Returns:
            False: it has a board here of which who released it did not know.
        """
        return give_up_there(self._connection, claim)

    def take_range(self, name: str, first: int, last: int) -> tuple[int, int] | None:
        """Keep a range; returns the limits of another one of that name."""
        if insert_if_new(self._connection, ranges, name=name, first=first, last=last, next=first):
            return None
        found = self._connection.execute(sa.select(ranges).where(ranges.c.name == name)).one()
        return None if (found.first, found.last) == (first, last) else (found.first, found.last)

    def take_number(self, name: str, number: int, unit: str) -> str | None:
        """Note a range's number as taken; returns the other unit that has it."""
        if not insert_if_new(self._connection, numbers, range=name, number=number, unit=unit):
            query = sa.select(numbers.c.unit).where(
                numbers.c.range == name, numbers.c.number == number
            )
            other = self._connection.execute(query).scalar_one_or_none()
            if other is not None:
                return other if other != unit else None
            # The unit drew another one here, and keeps it; this one is no other unit's either.
        self._connection.execute(
            ranges.update()
            .where(ranges.c.name == name, ranges.c.next <= number)
            .values(next=number + 1)
        )
        return None
