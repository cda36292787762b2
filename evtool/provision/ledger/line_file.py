# SPDX-License-Identifier: GPL-3.0-or-later
"""The ledger of provisioned units: one JSON object a line, only ever added to.

A crash while adding can leave a line without its end. Reading passes over such a piece, and
the next addition keeps it as a record of its own, so that every line parses again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

FILE = ".evtool/ledger.jsonl"


@dataclass(frozen=True, slots=True)
class Addition:
    """How to add to a ledger.

    Attributes:
        keep: bytes of the file to keep; what stands behind them is replaced.
        data: what to write there.
    """

    keep: int
    data: bytes


def record_line(event: str, now: datetime, fields: Mapping[str, object]) -> bytes:
    """One record; `now` is aware and stands in it as UTC."""
    record = {"time": now.isoformat(timespec="milliseconds"), "event": event} | dict(fields)
    return json.dumps(record, ensure_ascii=True, separators=(",", ":")).encode() + b"\n"


def plan_addition(content: bytes, line: bytes) -> Addition:
    """Add `line` to a ledger that holds `content`, mending a last line without an end."""
    keep = content.rfind(b"\n") + 1
    rest = content[keep:]
    if not rest:
        return Addition(keep, line)
    if _parse(rest) is not None:
        return Addition(len(content), b"\n" + line)
    torn = {"event": "torn_line", "text": rest.decode("utf-8", "backslashreplace")}
    return Addition(keep, json.dumps(torn, separators=(",", ":")).encode() + b"\n" + line)


def read_records(content: bytes) -> list[dict[str, object]]:
    """The records of a ledger, without what a crash left half written."""
    parsed = (_parse(line) for line in content.split(b"\n"))
    return [record for record in parsed if record is not None]


def other_boards(content: bytes, identity: str, mac: str) -> list[str]:
    """The boards, other than `mac`, that were given `identity` and no other one since."""
    latest: dict[str, object] = {}
    for record in read_records(content):
        if record.get("event") == "written":
            latest[str(record.get("mac"))] = record.get("charge_point")
    return [board for board, given in latest.items() if given == identity and board != mac]


def _parse(line: bytes) -> dict[str, object] | None:
    try:
        record = json.loads(line)
    except ValueError:  # bad JSON and bad UTF-8 alike
        return None
    return record if isinstance(record, dict) else None
