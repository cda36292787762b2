# SPDX-License-Identifier: GPL-3.0-or-later
"""A central system's events as people read them; what a station said comes escaped."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any


def render_line(event: Mapping[str, Any]) -> str:
    """One event as text, with the time of day."""
    stamp = time.strftime("%H:%M:%S")
    name = event["event"]
    if name in _LISTS:
        return "\n".join(map(_plain, _LISTS[name](event)))
    if name in _LINES:
        return _plain(f"{stamp} {_LINES[name](event)}")
    rest = {key: value for key, value in event.items() if key not in ("event", "station")}
    station = f"{event['station']} " if "station" in event else ""
    return _plain(f"{stamp} {station}{name} {json.dumps(rest)}")


def _stations(event: Mapping[str, Any]) -> list[str]:
    lines = [f"{s['station']!a}: {s['statuses']}" for s in event["stations"]]
    return lines or ["no station is connected"]


def _transactions(event: Mapping[str, Any]) -> list[str]:
    return [_transaction(each) for each in event["transactions"]] or ["no transaction yet"]


def _answer(event: Mapping[str, Any]) -> str:
    return f"{event['command']}: {json.dumps(event['payload'])}"


def _refused(event: Mapping[str, Any]) -> list[str]:
    return [f"refused: {event['command']}: {event['reason']}"]


def _rejected(event: Mapping[str, Any]) -> str:
    return f"{event['station']!a} rejected ({event['status']}): {event['reason']}"


def _disconnected(event: Mapping[str, Any]) -> str:
    return f"{event['station']} disconnected: {event['reason']}"


def _message(event: Mapping[str, Any]) -> str:
    arrow = "<-" if event["direction"] == "received" else "->"
    kind = event["type"]
    what = {"call": "", "result": ".conf", "error": " failed:"}.get(kind, "malformed")
    body = event.get("payload", event.get("code", event.get("reason", "")))
    text = json.dumps(body) if isinstance(body, dict) else str(body)
    return f"{event['station']} {arrow} {event.get('action', '')}{what} {text}"


def _transaction(record: Mapping[str, Any]) -> str:
    end = f"to {record['meter_stop']} Wh, {record['reason']}" if record["stopped"] else "running"
    return (
        f"{record['transaction_id']}: {record['station']} {record['id_tag']!a} "
        f"from {record['meter_start']} Wh {end}"
    )


def _plain(text: object) -> str:
    """A text without what could steer a terminal."""
    return str(text).encode("ascii", "backslashreplace").decode().translate(_CONTROL)


_CONTROL = {number: f"\\x{number:02x}" for number in (*range(32), 127)}

_LISTS: Mapping[str, Callable[[Mapping[str, Any]], list[str]]] = {
    "stations": _stations,
    "transactions": _transactions,
    "refused": _refused,
}
_LINES: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "message": _message,
    "answer": _answer,
    "rejected": _rejected,
    "disconnected": _disconnected,
}
