# SPDX-License-Identifier: GPL-3.0-or-later
"""The messages of a life as streams, each in its own order.

Streams overtake each other freely: a queue of statuses, one of transaction messages, answers in
between. Within a stream the order is the charge point's word.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from evtool.verify.ocpp.record import Message, Record

_TRANSACTION = ("StartTransaction", "StopTransaction")


@dataclass(frozen=True, slots=True)
class Item:
    """One thing of a stream.

    Attributes:
        what: what must be equal for two items to stand for the same thing.
        fields: the rest, flat: `meterValue.0.timestamp`.
    """

    at_ms: int
    what: str
    fields: Mapping[str, Any]

    def __str__(self) -> str:
        fields = " ".join(f"{name}={value}" for name, value in self.fields.items())
        return f"{self.at_ms / 1000:9.2f} s  {self.what}  {fields}".rstrip()


@dataclass(slots=True)
class Streams:
    """By name, in the order of their first item.

    Attributes:
        answered: the central system's calls that `answers` holds the answers to, in order.
    """

    items: dict[str, list[Item]] = field(default_factory=dict)
    answered: list[Message] = field(default_factory=list)

    def add(self, stream: str, at_ms: int, what: str, fields: Mapping[str, Any]) -> None:
        """Put an item at the end of a stream."""
        self.items.setdefault(stream, []).append(Item(at_ms, what, fields))


def streams_of(record: Record) -> Streams:
    """Sort a life's messages into streams."""
    streams = Streams()
    _split_calls(record, streams)
    _split_answers(record, streams)
    for at_ms, text in record.unreadable:
        streams.add("unreadable", at_ms, text, {})
    before: Mapping[str, str] = {}
    for at_ms, state in record.states:
        for name in ("transaction", "permitted", "energised", "limit_ma"):
            if before and state[name] != before[name]:
                streams.add("word", at_ms, f"{name} {state[name]}", {})
        before = state
    for happening in record.happenings:
        if happening.what.startswith(("off", "boot")):
            streams.add("power", happening.at_ms, happening.what, {})
    return streams


def _split_calls(record: Record, streams: Streams) -> None:
    number = 0  # of the transaction whose messages are being delivered
    told: dict[str, int] = {}  # how often each transaction message was sent
    for message in record.messages:
        if not message.sent or message.kind != "call":
            continue
        action, payload = message.action, message.payload
        text = action + json.dumps(_without_id(payload), sort_keys=True)
        again = told.get(text, 0)
        told[text] = again + 1
        if action == "StartTransaction":
            number += again == 0
            # Whoever sends it again has numbered it already.
            _add(streams, f"transaction {number}", message, "" if again == 0 else " again")
        elif action == "StopTransaction":
            _add(streams, f"transaction {number}", message, "" if again == 0 else " again")
        elif action == "MeterValues":
            if _contexts(payload) == {"Trigger"}:
                _add(streams, "triggered", message)
            else:
                contexts = ",".join(sorted(_contexts(payload)))
                _add(streams, f"metering {number}", message, f" {contexts}")
        elif action == "StatusNotification":
            stream = f"status {payload.get('connectorId')}"
            what = f" {payload.get('status')} {payload.get('errorCode')}"
            _add(streams, stream, message, what)
        elif action == "Authorize":
            _add(streams, "authorization", message, f" {payload.get('idTag')}")
        elif action in ("BootNotification", "Heartbeat"):
            _add(streams, action, message)
        else:
            _add(streams, "notifications", message)


def _split_answers(record: Record, streams: Streams) -> None:
    answers = {
        each.unique_id: each for each in record.messages if each.sent and each.kind != "call"
    }
    calls = [each for each in record.messages if not each.sent and each.kind == "call"]
    for number, call in enumerate(calls):
        streams.answered.append(call)
        answer = answers.get(call.unique_id)
        asked = f"{call.action}"
        if answer is None:
            streams.add("answers", call.at_ms, f"{asked}: no answer", {})
        elif answer.kind == "error":
            streams.add("answers", answer.at_ms, f"{asked}: CALLERROR {answer.code}", {})
        elif call.action == "GetConfiguration":
            _configuration(streams, answer, "configuration" if number == len(calls) - 1 else "keys")
        else:
            status = str(answer.payload.get("status", ""))
            fields = dict(flat(answer.payload))
            streams.add("answers", answer.at_ms, f"{asked}: {status}".rstrip(": "), fields)


def _configuration(streams: Streams, answer: Message, stream: str) -> None:
    for each in sorted(answer.payload.get("configurationKey", []), key=lambda each: each["key"]):
        fields = {"value": each.get("value"), "readonly": each.get("readonly")}
        streams.add(stream, answer.at_ms, each["key"], fields)
    for key in sorted(answer.payload.get("unknownKey", [])):
        streams.add(stream, answer.at_ms, f"{key} (unknown)", {})


def _add(streams: Streams, stream: str, message: Message, more: str = "") -> None:
    streams.add(stream, message.at_ms, message.action + more, dict(flat(message.payload)))


def _without_id(payload: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in payload.items() if key != "transactionId"}


def _contexts(payload: Mapping[str, Any]) -> set[str]:
    return {
        sample.get("context", "Sample.Periodic")
        for value in payload.get("meterValue", [])
        for sample in value.get("sampledValue", [])
    }


def flat(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every leaf of a payload under its path; samples under their measurand."""
    match value:
        case dict():
            for key, each in value.items():
                yield from flat(each, f"{name}.{key}" if name else key)
        case list():
            for number, each in enumerate(value):
                part = str(number)
                if isinstance(each, dict) and "measurand" in each:
                    part = f"{each['measurand']}"
                yield from flat(each, f"{name}.{part}")
        case _:
            yield name, value
