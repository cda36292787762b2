# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a ledger is what it was: its chains, its claims, and heads noted outside of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from evtool.errors import ConfigError
from evtool.protocol.ledger_record import (
    NO_HEAD,
    Break,
    Claim,
    Head,
    Record,
    canonical_json,
    first_break,
    folded,
)
from evtool.provision.ledger.claim_book import CLAIM_EVENTS, MERGED, ClaimBook, by_time, claims_in
from evtool.provision.ledger.store import Ledger


@dataclass(frozen=True, slots=True)
class Verified:
    """What was found.

    Attributes:
        heads: where each chain ends.
        breaks: the first of each chain that is broken; claims that records do not bear out.
        contested: claims on what another unit or board has, from merging.
    """

    heads: Mapping[str, Head]
    breaks: tuple[Break, ...]
    contested: tuple[Claim, ...]


def verify(ledger: Ledger) -> Verified:
    """Read the whole ledger, and check every record and every claim.

    It shows any record that was changed, put in, taken out or moved; and records cut off at
    the end of a chain unless the ledger's own note of its head was changed with them: against
    that, see `compare_heads`.
    """
    heads = ledger.heads()
    breaks: list[Break] = []
    about_claims: list[list[Record]] = []
    for station, head in heads.items():
        kept: list[Record] = []
        found = first_break(station, _noting(ledger.chain(station, until=head.seq), kept), head)
        found = found or _behind(ledger, station, head)
        if found is not None:
            breaks.append(found)
        about_claims.append(kept)
    if not breaks and (faults := list(_claim_faults(ledger, about_claims))):
        moved = _moved_since(ledger, heads)
        breaks = [fault for claim, fault in faults if _value(claim) not in moved]
    return Verified(heads, tuple(breaks), tuple(ledger.contested()))


def _behind(ledger: Ledger, station: str, head: Head) -> Break | None:
    """Records behind the head, unless they came since it was read."""
    for record in ledger.chain(station, after=head.seq):
        if ledger.heads()[station] == head:
            return Break(station, record.seq, "it stands behind the head that the ledger holds")
        return None
    return None


def _noting(records: Iterator[Record], kept: list[Record]) -> Iterator[Record]:
    for record in records:
        if record.event in CLAIM_EVENTS or record.event == MERGED:
            kept.append(record)
        yield record


def _moved_since(ledger: Ledger, heads: Mapping[str, Head]) -> set[tuple[str, str]]:
    """What other stations claimed or released behind `heads`: nothing can be said of it."""
    return {
        _value(claim)
        for station in ledger.heads()
        for record in ledger.chain(station, after=heads.get(station, NO_HEAD).seq)
        if record.event in CLAIM_EVENTS
        for claim in claims_in(record)
    }


def _claim_faults(
    ledger: Ledger, about_claims: list[list[Record]]
) -> Iterator[tuple[Claim, Break]]:
    """Claims that no record made, and records whose claim is gone without a release."""
    book = ClaimBook()
    made = set()
    for record in by_time(about_claims):
        book.add(record)
        if record.event == "claimed":
            made |= {_key(each) for each in claims_in(record)}
    held = set()
    for claim in (*ledger.claims(), *ledger.contested()):
        held.add(_key(claim))
        if _key(claim) not in made:
            yield claim, Break(
                claim.station, claim.seq,
                f"{claim.unit} has the {claim.kind} {claim.value}, which no record says",
            )  # fmt: skip
    for rows in book.claims.values():
        for claim in rows:
            if _key(claim) not in held:
                yield claim, Break(
                    claim.station, claim.seq,
                    f"{claim.unit} claimed the {claim.kind} {claim.value} and never released "
                    "it, but does not have it",
                )  # fmt: skip


def _value(claim: Claim) -> tuple[str, str]:
    return claim.kind, folded(claim.value)


def _key(claim: Claim) -> tuple[str, str, str]:
    return *_value(claim), claim.unit


def compare_heads(ledger: Ledger, noted: Mapping[str, Head]) -> list[Break]:
    """Whether the ledger still has what it had when heads were noted outside of it.

    Records that came since then are no difference. Together with `verify` this shows every
    change of what was there at that time.
    """
    heads = ledger.heads()
    breaks = []
    for station, head in noted.items():
        now = heads.get(station, NO_HEAD)
        if now.seq < head.seq:
            breaks.append(
                Break(station, now.seq + 1, f"the chain ends at {now.seq}; it had {head.seq}")
            )
            continue
        for record in ledger.chain(station, after=head.seq - 1, until=head.seq):
            if record.hash != head.hash:
                breaks.append(Break(station, head.seq, "not the record that was noted outside"))
    return breaks


def heads_text(heads: Mapping[str, Head]) -> str:
    """Heads as a file holds them."""
    document = {name: {"seq": head.seq, "hash": head.hash} for name, head in heads.items()}
    return canonical_json({"heads": document}) + "\n"


def parse_heads(text: str, where: str) -> dict[str, Head]:
    """The heads in a file that `heads_text` made, or in the JSON of `ledger verify`.

    Raises:
        ConfigError: it is something else.
    """
    try:
        document = json.loads(text)
        return {
            name: Head(int(head["seq"]), str(head["hash"]))
            for name, head in document["heads"].items()
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"{where}: no heads of a ledger",
            fix="name a file that `evtool provision ledger verify --save-heads` wrote",
        ) from error
