# SPDX-License-Identifier: GPL-3.0-or-later
"""Who has what, worked out again from the records alone."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Iterator

from evtool.protocol.ledger_record import Claim, Record, folded

CLAIM_EVENTS = frozenset({"claimed", "released"})


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

    A record counts as no older than the one before it in its chain: clocks may be put back.
    """
    dated = []
    for chain in chains:
        records = list(chain)
        times = itertools.accumulate((record.time for record in records), max)
        dated += [
            (time, record.station, record.seq, record)
            for time, record in zip(times, records, strict=True)
        ]
    dated.sort(key=lambda each: each[:3])
    return [record for *_, record in dated]
