# SPDX-License-Identifier: GPL-3.0-or-later
"""Taking another ledger in: its chains as they are, its claims against ours, its sealed bytes.

Where both say something else, both stay: the first holder keeps a claim and the other one
contests it, until a person releases one of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from typing import Protocol

from evtool.protocol.ledger_record import Break, Claim, Head, Record
from evtool.provision.ledger.claim_book import MERGED, by_time, claims_in, known_heads
from evtool.provision.ledger.in_change import again
from evtool.provision.ledger.store import Change, Ledger

_EVENTS = frozenset({"claimed", "released", "range_added", "serial_taken", MERGED})


class MergingChange(Change, Protocol):
    """A transaction that takes in what another ledger recorded."""

    def head_of(self, station: str) -> Head:
        """Where our copy of a chain ends; no other adds to it until the transaction ends."""

    def take_chain(self, station: str, records: Iterable[Record], after: Head) -> int:
        """Add records behind `after`, all of them or none; returns how many.

        Raises:
            ValueError: they do not form one chain.
        """

    def take_claim(self, claim: Claim) -> Claim | None:
        """Keep a claim; returns the holder in its way, against whom it is contested then."""

    def is_contested(self, claim: Claim) -> bool:
        """Whether this unit and board want what another holder has."""

    def take_release(self, claim: Claim) -> bool:
        """Release what this unit holds on this board, or on none yet.

        Returns:
            False: it has a board here of which who released it did not know.
        """

    def take_range(self, name: str, first: int, last: int) -> tuple[int, int] | None:
        """Keep a range; returns the limits of another one of that name."""

    def take_number(self, name: str, number: int, unit: str) -> str | None:
        """Note a range's number as taken; returns the other unit that has it."""


class MergingLedger(Ledger, Protocol):
    """A ledger that can take another one in."""

    def ledger_id(self) -> str:
        """What distinguishes it from all others."""

    def general(self, event: str) -> list[Record]:
        """The records of an event that are about no unit, oldest first."""

    def merging(self) -> AbstractContextManager[MergingChange]:
        """A transaction; one such at a time."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """A claim that two holders have.

    Attributes:
        ours: who holds it here.
        theirs: who contests it now.
    """

    ours: Claim
    theirs: Claim


@dataclass(frozen=True, slots=True)
class Fork:
    """Two chains of one name: from `seq` on they are not the same.

    Attributes:
        station: whose.
        seq: of the first record that differs.
        ours: that record here.
        theirs: and there. Nothing behind it was taken in.
    """

    station: str
    seq: int
    ours: Record
    theirs: Record


@dataclass(slots=True)
class Merged:
    """What came of it.

    Attributes:
        taken: for each station how many records are new here.
        breaks: chains of theirs that are broken; nothing of these was taken in.
        forks: chains that are not the continuation of ours, or ours of them.
        conflicts: claims that both ledgers gave away.
        kept: claims released there, but not here, where the unit has newer records.
        notes: serial numbers given twice, ranges that differ, in words.
        sealed: how many sealed bytes are new here.
        sealed_apart: names under which both have other bytes, and the name of theirs here.
    """

    taken: dict[str, int] = field(default_factory=dict)
    breaks: list[Break] = field(default_factory=list)
    forks: list[Fork] = field(default_factory=list)
    conflicts: list[Conflict] = field(default_factory=list)
    kept: list[Claim] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    sealed: int = 0
    sealed_apart: list[tuple[str, str]] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        """Whether nothing needs a person."""
        return not (self.breaks or self.forks or self.conflicts or self.notes)


class _OnlyTried(Exception):
    """Undoes a merge that was only to be tried."""


def merge(ours: MergingLedger, theirs: MergingLedger, *, only_try: bool = False) -> Merged:
    """Take `theirs` in, in one transaction: killed, it leaves ours as it was.

    A second time it finds nothing new.

    Args:
        only_try: say what would come of it, and change nothing.
    """

    def once() -> Merged:
        merged = Merged()
        with suppress(_OnlyTried):
            _merge(ours, theirs, merged, only_try=only_try)
        return merged

    return again(once)


def _merge(ours: MergingLedger, theirs: MergingLedger, merged: Merged, *, only_try: bool) -> None:
    there = theirs.heads()
    their_id = theirs.ledger_id()
    with ours.merging() as change:
        news = [
            _take_station(ours, theirs, change, (station, there[station]), merged)
            for station in sorted(there)
        ]
        merges = theirs.general(MERGED)
        for record in by_time(news):
            _follow(ours, merges, change, record, merged)
        # Some ended within what was taken in: one of the two gave it up.
        merged.conflicts = [each for each in merged.conflicts if change.is_contested(each.theirs)]
        _take_sealed(ours, theirs, change, their_id, merged)
        if any(merged.taken.values()) or merged.sealed or merged.sealed_apart:
            change.append("merged", fields=_as_fields(their_id, there, merged))
        if only_try:
            raise _OnlyTried


def _take_station(
    ours: Ledger,
    theirs: Ledger,
    change: MergingChange,
    chain: tuple[str, Head],
    merged: Merged,
) -> list[Record]:
    """Take one chain; returns those of its new records that claims and ranges follow from."""
    station, there = chain
    here = change.head_of(station)
    common = min(here.seq, there.seq)
    if common and _at(ours, station, common) != _at(theirs, station, common):
        merged.forks.append(_fork(ours, theirs, station, common))
        return []
    if there.seq <= here.seq:
        return []
    news: list[Record] = []
    records = theirs.chain(station, after=here.seq, until=there.seq)
    try:
        taken = change.take_chain(station, _noting(records, news), here)
    except ValueError as error:
        merged.breaks.append(Break(station, here.seq + 1, str(error)))
        return []
    merged.taken[station] = taken
    return news


def _noting(records: Iterator[Record], news: list[Record]) -> Iterator[Record]:
    for record in records:
        if record.event in _EVENTS:
            news.append(record)
        yield record


def _at(ledger: Ledger, station: str, seq: int) -> str:
    return "".join(each.hash for each in ledger.chain(station, after=seq - 1, until=seq))


def _fork(ours: Ledger, theirs: Ledger, station: str, common: int) -> Fork:
    """The first record that differs; what is equal at one place is equal before it."""
    low, high = 0, common  # equal at low, not at high
    while high - low > 1:
        middle = (low + high) // 2
        if _at(ours, station, middle) == _at(theirs, station, middle):
            low = middle
        else:
            high = middle
    [mine] = ours.chain(station, after=high - 1, until=high)
    [other] = theirs.chain(station, after=high - 1, until=high)
    return Fork(station, high, mine, other)


def _follow(
    ours: Ledger, merges: list[Record], change: MergingChange, record: Record, merged: Merged
) -> None:
    fields = record.fields
    match record.event, fields:
        case "claimed", _:
            for claim in claims_in(record):
                holder = change.take_claim(claim)
                if holder is not None:
                    merged.conflicts.append(Conflict(holder, claim))
        case "released", _:
            for claim in claims_in(record):
                if _has_newer(ours, merges, record) or not change.take_release(claim):
                    merged.kept.append(claim)
        case "range_added", {"range": str(name), "first": int(first), "last": int(last)}:
            other = change.take_range(name, first, last)
            if other is not None:
                merged.notes.append(
                    f"range {name} is {other[0]} to {other[1]} here, {first} to {last} there"
                )
        case "serial_taken", {"range": str(name), "number": int(number)}:
            unit = change.take_number(name, number, record.unit or "")
            if unit is not None:
                merged.notes.append(
                    f"number {number} of range {name} went to {unit} here, to {record.unit} there"
                )
        case _:
            pass


def _has_newer(ours: Ledger, merges: list[Record], release: Record) -> bool:
    """Whether our stations did something with the unit when it was released there, or after it.

    Then the claim stays: giving a name away twice is worse than keeping one too many.

    Args:
        merges: what their stations took in, and when: they knew of it.
    """
    if release.unit is None:
        return False
    known: dict[str, int] = {}
    for record in merges:
        if record.station == release.station and record.seq < release.seq:
            known |= known_heads(record)
    return any(
        record.time >= release.time
        and record.station != release.station
        and record.seq > known.get(record.station, 0)
        for record in ours.history(unit=release.unit)
    )


def _take_sealed(
    ours: Ledger, theirs: Ledger, change: MergingChange, their_id: str, merged: Merged
) -> None:
    for name, _ in theirs.sealed_names():
        other = theirs.get_sealed(name)
        if other is None:
            continue
        if change.put_sealed(name, other.key_id, other.data):
            merged.sealed += 1
            continue
        mine = ours.get_sealed(name)
        # An image's name says what is in it, however it was sealed.
        if mine is None or mine.data == other.data or name.startswith("image/"):
            continue
        apart = f"merged/{their_id}/{name}"
        if change.put_sealed(apart, other.key_id, other.data):
            merged.sealed_apart.append((name, apart))


def _as_fields(their_id: str, heads: dict[str, Head], merged: Merged) -> dict[str, object]:
    return {
        "ledger": their_id,
        "taken": merged.taken,
        "heads": {name: [head.seq, head.hash] for name, head in heads.items()},
        "conflicts": [
            {
                "kind": each.ours.kind,
                "value": each.ours.value,
                "ours": [each.ours.unit, each.ours.mac, each.ours.station, each.ours.seq],
                "theirs": [each.theirs.unit, each.theirs.mac, each.theirs.station, each.theirs.seq],
            }
            for each in merged.conflicts
        ],
        "forks": [[each.station, each.seq] for each in merged.forks],
        "broken": [[each.station, each.seq] for each in merged.breaks],
        "notes": merged.notes,
        "sealed": merged.sealed,
    }
