# SPDX-License-Identifier: GPL-3.0-or-later
"""The ledger that evtool kept as JSON lines, and its records as this ledger takes them in.

A crash while adding could leave a line without its end; reading passes over such a piece,
which stays in the file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from evtool.protocol.ledger_record import Record

FILE = ".evtool/ledger.jsonl"
TAKEN_IN = "old_ledger"
"""The event that says how much of such a file was taken in, and its SHA-256."""

# What it called a proof that failed.
_NOT_PROVED = "not_proved"


@dataclass(frozen=True, slots=True)
class OldRecord:
    """One line, as `Change.append` takes it."""

    time: datetime
    event: str
    unit: str | None
    mac: str | None
    fields: Mapping[str, object]


def old_records(content: bytes) -> list[OldRecord]:
    """The records of a file, in their order, without what a crash left half written."""
    parsed = (_parse(line) for line in content.split(b"\n"))
    return [record for record in parsed if record is not None]


def holders(records: Iterable[OldRecord]) -> list[OldRecord]:
    """For each board the record of the identity that it was given last, oldest first."""
    latest: dict[str, OldRecord] = {}
    for record in records:
        if record.event == "written" and record.mac is not None and record.unit is not None:
            latest.pop(record.mac, None)
            latest[record.mac] = record
    return list(latest.values())


def not_taken_in(content: bytes, records: Iterable[Record]) -> bytes:
    """The part of a file that `records` do not say was taken in; whole lines only."""
    rest = content
    for record in records:
        match record.fields:
            case {"bytes": int(size), "sha256": str(sha256)} if record.event == TAKEN_IN:
                if 0 < size <= len(content) and _sha256(content[:size]) == sha256:
                    rest = min(rest, content[size:], key=len)
    return rest


def taken_in_fields(content: bytes, rest: bytes) -> dict[str, object]:
    """What the record says when all of `content` is taken in, `rest` of it now."""
    return {
        "file": FILE,
        "bytes": len(content),
        "sha256": _sha256(content),
        "records": len(old_records(rest)),
    }


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _parse(line: bytes) -> OldRecord | None:
    try:
        record = json.loads(line)
        if not isinstance(record, dict):
            return None
        time = datetime.fromisoformat(str(record.pop("time")))
        event = str(record.pop("event"))
    except (ValueError, KeyError):  # bad JSON and bad UTF-8 alike
        return None
    unit, mac = record.get("charge_point"), record.get("mac")
    if event == _NOT_PROVED:
        event = "failed"
        record |= {"step": "boot", "cause": "check"}
    if not event.isprintable():
        return None
    return OldRecord(
        time=time if time.tzinfo is not None else time.replace(tzinfo=UTC),
        event=event,
        unit=_printable(unit),
        mac=_printable(mac),
        fields=record,
    )


def _printable(value: object) -> str | None:
    return value if isinstance(value, str) and value and value.isprintable() else None
