# SPDX-License-Identifier: GPL-3.0-or-later
"""Records of the ledger of provisioned units, and the hash chain that they form.

Each station has one chain. A record carries the hash of the one before it, so a record that
is changed, taken out or put in breaks its chain at that place.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from evtool.errors import ConfigError

NO_HASH = "0" * 64
"""What the first record of a chain carries as the hash of the one before it."""

CLAIM_KINDS = ("identity", "serial", "mac", "key")
"""What can be claimed: an OCPP identity, a serial number, a board's MAC, and a secret's
fingerprint."""


@dataclass(frozen=True, slots=True)
class Record:
    """One thing that happened.

    Attributes:
        station: whose chain it is in.
        seq: its place there, from 1.
        time: UTC, such as 2030-01-01T12:00:00.000Z.
        event: such as `claimed`, `written`, `proved`.
        unit: the OCPP identity it is about, if one.
        mac: the board it is about, if one, such as 24:0a:c4:00:00:01.
        fields: what else is known; JSON values, never a secret.
        previous_hash: `hash` of the record before it, or NO_HASH.
        hash: SHA-256 of the canonical JSON of all the others, as hex digits.
    """

    station: str
    seq: int
    time: str
    event: str
    unit: str | None
    mac: str | None
    fields: Mapping[str, object]
    previous_hash: str
    hash: str

    def as_dict(self) -> dict[str, object]:
        """The record as `--json` prints it."""
        return _content(self) | {"hash": self.hash}


@dataclass(frozen=True, slots=True)
class Head:
    """The last record of a chain: its `seq` (0 for none) and its `hash`."""

    seq: int
    hash: str


NO_HEAD = Head(0, NO_HASH)


@dataclass(frozen=True, slots=True)
class Claim:
    """A value that belongs to one unit, and to one board once that is known.

    Attributes:
        kind: one of CLAIM_KINDS.
        value: the identity, the serial number, the MAC, or the fingerprint.
        unit: the unit that has it.
        mac: its board, or None while no board was bound.
        station: whose record says so,
        seq: and which one,
        time: and when.
    """

    kind: str
    value: str
    unit: str
    mac: str | None
    station: str
    seq: int
    time: str

    def fits(self, unit: str, mac: str | None) -> bool:
        """Whether `unit` on the board `mac` is its holder (None: no board is named)."""
        return self.unit == unit and (mac is None or self.mac is None or self.mac == mac)


def folded(value: str) -> str:
    """What is compared of a claim's value: capital and small letters A to Z count as the same.

    OCPP compares identities and serial numbers so, and allows them no other letters; a MAC and
    a fingerprint are written in small letters anyway.

    Raises:
        UnicodeEncodeError: it is no text.
    """
    return value.encode().lower().decode()


class ClaimTaken(ConfigError):
    """What a unit wants belongs to another unit, or to another board of the same name.

    Args:
        value: what it wants, where that may differ from the holder's in its letters' case.
    """

    def __init__(self, holder: Claim, unit: str, mac: str | None, value: str | None = None) -> None:
        where = "" if holder.mac is None else f" on board {holder.mac}"
        wanted = unit if mac is None else f"{unit} on board {mac}"
        shown = holder.value if holder.kind != "key" else f"{holder.value[:12]}..."
        cause = ""
        if value not in (None, holder.value):
            cause = f" the {holder.kind} {value}: capital and small letters count as the same"
        super().__init__(
            f"{holder.kind} {shown} belongs to {holder.unit}{where} since {holder.time} "
            f"(station {holder.station}); {wanted} cannot have {cause.strip() or 'it'}",
            fix="give this unit another one, or release it from the unit that has it",
        )
        self.holder = holder

    def as_dict(self) -> dict[str, object]:
        holder = self.holder
        return super().as_dict() | {
            "claim": {"kind": holder.kind, "value": holder.value},
            "holder": {"unit": holder.unit, "mac": holder.mac, "station": holder.station},
            "since": holder.time,
        }


class RangeEnded(ConfigError):
    """A range of serial numbers is used up, or is not defined."""


def free_number(
    name: str, first: int, last: int, start: int, is_free: Callable[[int], bool]
) -> int:
    """The first number of the range `name`, from `start` to `last`, that is to be had.

    Raises:
        RangeEnded: none is.
    """
    for number in range(start, last + 1):
        if is_free(number):
            return number
    raise RangeEnded(
        f"range {name} is used up: {first} to {last} are all taken",
        fix="define another range: evtool provision ledger range NAME FIRST LAST",
    )


def canonical_json(value: object) -> str:
    """The one text of a JSON value: ASCII, keys sorted, no blanks.

    Raises:
        ValueError, TypeError: it is no JSON value (NaN and infinities are none).
    """
    return json.dumps(
        value, ensure_ascii=True, allow_nan=False, sort_keys=True, separators=(",", ":")
    )


def time_text(now: datetime) -> str:
    """A moment as a record carries it; `now` is aware.

    Raises:
        ValueError: it has no time zone.
    """
    if now.tzinfo is None:
        raise ValueError("a moment without a time zone")
    return now.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def next_record(
    station: str,
    head: Head,
    time: str,
    event: str,
    *,
    unit: str | None = None,
    mac: str | None = None,
    fields: Mapping[str, object] | None = None,
) -> Record:
    """The record that follows `head` in the chain of `station`.

    Raises:
        ValueError, TypeError: `fields` are no JSON values, or a text has control characters.
    """
    for text in (station, event, unit, mac):
        if text is not None and not text.isprintable():  # which lone surrogates are not either
            raise ValueError(f"not for a ledger: {text!a}")
    # As they will be read: tuples become lists, and nothing that the caller changes later counts.
    kept = json.loads(canonical_json(dict(fields or {})))
    record = Record(station, head.seq + 1, time, event, unit, mac, kept, head.hash, "")
    return Record(station, head.seq + 1, time, event, unit, mac, kept, head.hash, hash_of(record))


def hash_of(record: Record) -> str:
    """The hash that `record` must carry."""
    return hashlib.sha256(canonical_json(_content(record)).encode("ascii")).hexdigest()


def _content(record: Record) -> dict[str, object]:
    return {
        "station": record.station,
        "seq": record.seq,
        "time": record.time,
        "event": record.event,
        "unit": record.unit,
        "mac": record.mac,
        "fields": dict(record.fields),
        "previous_hash": record.previous_hash,
    }


@dataclass(frozen=True, slots=True)
class Break:
    """Where a chain is not what it was.

    Attributes:
        station: whose chain.
        seq: of the first record that is not what it was, or is missing.
        reason: what is wrong, for people.
    """

    station: str
    seq: int
    reason: str


def first_break(station: str, records: Iterable[Record], head: Head) -> Break | None:
    """Check a chain from its first record to its last.

    Args:
        station: whose chain it is.
        records: of this station, by `seq`.
        head: what the ledger holds as its end.
    """
    last = NO_HEAD
    for record in records:
        reason = _fault(record, last)
        if reason is not None:
            return Break(station, min(record.seq, last.seq + 1), reason)
        last = Head(record.seq, record.hash)
    if last.seq < head.seq:
        return Break(
            station, last.seq + 1, f"the chain ends at {last.seq}; it had {head.seq} records"
        )
    if last != head:
        return Break(station, min(last.seq, head.seq + 1), "not the head that the ledger holds")
    return None


def _fault(record: Record, last: Head) -> str | None:
    if record.seq != last.seq + 1:
        return f"record {last.seq + 1} is missing; {record.seq} follows {last.seq}"
    if record.previous_hash != last.hash:
        return "it does not follow the record before it"
    if hash_of(record) != record.hash:
        return "its content is not what it was"
    return None


def chain_of(records: Iterable[Record], after: Head = NO_HEAD) -> Iterator[Record]:
    """Pass records on as long as they continue the chain that ends with `after`.

    Raises:
        ValueError: one does not follow; the message says which and why.
    """
    last = after
    for record in records:
        reason = _fault(record, last)
        if reason is not None:
            raise ValueError(f"{record.station} {record.seq}: {reason}")
        last = Head(record.seq, record.hash)
        yield record
