# SPDX-License-Identifier: GPL-3.0-or-later
"""Who has what, worked out again from the records alone."""

from __future__ import annotations

import dataclasses
import heapq
import itertools
from collections import deque
from collections.abc import Iterable, Iterator

from evtool.protocol.ledger_record import Claim, Record, folded

CLAIM_EVENTS = frozenset({"claimed", "released"})
MERGED = "merged"


class ClaimBook:
    """The claims that `claimed` and `released` records leave, in the order they are added.

    Attributes:
        claims: for each (kind, folded value) its holder, then who else claims it.
    """

    def __init__(self) -> None:
        self.claims: dict[tuple[str, str], list[Claim]] = {}

    def add(self, record: Record) -> None:
        """Follow one more record; others than those two change nothing."""
        if record.event not in CLAIM_EVENTS:
            return
        for claim in claims_in(record):
            key = claim.kind, folded(claim.value)
            rows = self.claims.setdefault(key, [])
            place = next((n for n, row in enumerate(rows) if row.fits(claim.unit, claim.mac)), None)
            if record.event == "claimed":
                if place is None:
                    rows.append(claim)
                elif rows[place].mac is None and claim.mac is not None:
                    rows[place] = (
                        claim if place == 0 else dataclasses.replace(rows[place], mac=claim.mac)
                    )
            elif place is not None:
                del rows[place]
            if not rows:
                del self.claims[key]


def claims_in(record: Record) -> Iterator[Claim]:
    """The claims that a `claimed` or `released` record is about; what is no claim is left out."""
    listed = record.fields.get("claims")
    for each in listed if isinstance(listed, list) else ():
        match each:
            case [str(kind), str(value)] if record.unit is not None:
                yield Claim(
                    kind, value, record.unit, record.mac, record.station, record.seq, record.time
                )


def by_time(chains: Iterable[Iterable[Record]]) -> list[Record]:
    """Records of several chains, each in its own order, as they followed one another.

    A record counts as no older than the one before it in its chain: clocks may be put back. And
    what a station took in comes before its record `merged`, whatever the other one's clock said.
    """
    left: dict[str, deque[tuple[str, Record]]] = {}
    for chain in chains:
        records = list(chain)
        times = itertools.accumulate((record.time for record in records), max)
        for time, record in zip(times, records, strict=True):
            left.setdefault(record.station, deque()).append((time, record))
    heads = [(queue[0][0], station) for station, queue in left.items()]
    heapq.heapify(heads)
    ordered: list[Record] = []
    while heads:
        time, station = heapq.heappop(heads)
        queue = left[station]
        if queue and queue[0][0] == time:
            _take_first(station, left, ordered, frozenset())
        if queue:
            heapq.heappush(heads, (queue[0][0], station))
    return ordered


def _take_first(
    station: str,
    left: dict[str, deque[tuple[str, Record]]],
    ordered: list[Record],
    waiting: frozenset[str],
) -> None:
    """Take a chain's first record that is left, behind those that it knows of."""
    record = left[station][0][1]
    waiting |= {station}
    for other, seq in known_heads(record).items():
        queue = left.get(other, deque())
        while other not in waiting and queue and queue[0][1].seq <= seq:
            _take_first(other, left, ordered, waiting)
    ordered.append(record)
    left[station].popleft()


def known_heads(record: Record) -> dict[str, int]:
    """How much of other chains the record's station has seen by it: what it took in."""
    heads = record.fields.get("heads") if record.event == MERGED else None
    return {
        str(name): head[0]
        for name, head in (heads.items() if isinstance(heads, dict) else ())
        if isinstance(head, list) and head and isinstance(head[0], int)
    }
