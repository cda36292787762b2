# SPDX-License-Identifier: GPL-3.0-or-later
"""The central system of a scenario: it answers and calls as the scenario has it.

Each charge point has one of its own. What it does follows from the scenario and from what the
charge point sends, never from the order in which streams overtake each other: an odd answer is
given to the next so many calls of an action.
"""

from __future__ import annotations

import heapq
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from evtool.protocol import ocpp16
from evtool.protocol.can_frame import Malformed
from evtool.verify.ocpp.record import Happening, Message, Record

NOON_MS = 1_714_564_800_000
"""2024-05-01T12:00:00Z, when every scenario begins."""

_ACCEPTED = {"status": "Accepted"}


@dataclass(frozen=True, slots=True)
class Oddity:
    """What the next calls of an action get instead of the usual answer.

    Attributes:
        how: `error`, `silence`, `drop` (the connection, instead of an answer), `payload` or
            `status`.
        code: of the CALLERROR.
        payload: instead of the usual answer, or beside it.
        delay_ms: how much later.
    """

    how: str
    code: str = "InternalError"
    payload: Mapping[str, Any] | None = None
    delay_ms: int = 0


class ScriptedCsms:
    """One central system; time comes in as an argument.

    Args:
        boot: what BootNotification gets, in turn; the last one stays.
        interval_s: told in each of these answers.
        record: takes everything that goes over the wire.
    """

    def __init__(self, boot: Iterable[str], interval_s: int, record: Record) -> None:
        self.online = True
        self.silent = False
        self.id_tags: dict[str, dict[str, Any]] = {}
        self.last_transaction = -1
        self._boot = list(boot)
        self._interval_s = interval_s
        self._record = record
        self._open = False
        self._wanted = False  # the charge point waits for its connection
        self._due: list[tuple[int, int, str]] = []
        self._count = 0
        self._odd: dict[str, list[Oddity]] = {}
        self._transactions: dict[str, int] = {}
        self._calls: dict[str, tuple[str, Any]] = {}
        self._asked: dict[str, str] = {}

    def tick(self, now_ms: int) -> list[str]:
        """Lines for the charge point that have come due."""
        lines = []
        if self._wanted and self.online:
            self._wanted, self._open = False, True
            self._record.happenings.append(Happening(now_ms, "open"))
            lines.append("ws open")
        while self._due and self._due[0][0] <= now_ms:
            _, _, text = heapq.heappop(self._due)
            if text == "drop":
                lines += self.drop(now_ms)
            elif self._open:
                self._note(text, now_ms, sent=False)
                lines.append(f"ws recv {text}")
        return lines

    def drop(self, now_ms: int) -> list[str]:
        """Close the connection; the charge point may come back at once."""
        if not self._open:
            return []
        self._open = False
        self._due.clear()
        self._record.happenings.append(Happening(now_ms, "closed"))
        return ["ws closed"]

    def power_lost(self) -> None:
        """The charge point is gone, and what was under way."""
        self._open = self._wanted = False
        self._due.clear()

    def odd(self, action: str, oddity: Oddity, times: int) -> None:
        """Give the next `times` calls of `action` an odd answer."""
        self._odd.setdefault(action, []).extend([oddity] * times)

    def call(self, action: str, payload: Mapping[str, Any], now_ms: int) -> None:
        """Send a call; `$transaction` and `$now+60` in its payload become what they say."""
        self._count += 1
        unique_id = f"csms-{self._count}"
        self._asked[unique_id] = action
        filled = self._filled(dict(payload), now_ms)
        self._later(now_ms, [2, unique_id, action, filled])

    def on_line(self, rest: str, now_ms: int) -> None:
        """A `ws` line of the charge point, without that word."""
        verb, _, text = rest.partition(" ")
        if verb == "connect":
            self._wanted = True
        elif verb == "send" and self._open:
            message = self._note(text, now_ms, sent=True)
            if isinstance(message, ocpp16.Call) and not self.silent:
                self._answer(message, now_ms)

    def _note(self, text: str, now_ms: int, *, sent: bool) -> ocpp16.Message | Malformed:
        message = ocpp16.parse_message(text)
        noted: Message | None = None
        match message:
            case ocpp16.Call(unique_id, action, payload):
                noted = Message(now_ms, sent, "call", unique_id, action, payload)
                if sent:
                    self._calls[unique_id] = (action, payload)
            case ocpp16.CallResult(unique_id, payload):
                noted = Message(
                    now_ms, sent, "result", unique_id, self._of(unique_id, sent), payload
                )
            case ocpp16.CallError(unique_id, code, _, details):
                of = self._of(unique_id, sent)
                noted = Message(now_ms, sent, "error", unique_id, of, details, code)
        if noted is None:
            self._record.unreadable.append((now_ms, text[:200]))
        else:
            self._record.messages.append(noted)
        return message

    def _of(self, unique_id: str, sent: bool) -> str:
        return self._asked.get(unique_id, "") if sent else self._calls.get(unique_id, ("",))[0]

    def _answer(self, call: ocpp16.Call, now_ms: int) -> None:
        odd = self._odd.get(call.action)
        oddity = odd.pop(0) if odd else Oddity("payload")
        if oddity.how == "silence":
            return
        if oddity.how == "drop":
            self._push(now_ms + oddity.delay_ms, "drop")
            return
        if oddity.how == "error":
            text = [4, call.unique_id, oddity.code, "", {}]
        else:
            payload = self._usual(call, now_ms + oddity.delay_ms) | dict(oddity.payload or {})
            text = [3, call.unique_id, payload]
        self._later(now_ms + oddity.delay_ms, text)

    def _usual(self, call: ocpp16.Call, now_ms: int) -> dict[str, Any]:
        now = ocpp16.render_timestamp(NOON_MS + now_ms)
        match call.action:
            case "BootNotification":
                status = self._boot.pop(0) if len(self._boot) > 1 else self._boot[0]
                return {"status": status, "currentTime": now, "interval": self._interval_s}
            case "Heartbeat":
                return {"currentTime": now}
            case "Authorize":
                return {"idTagInfo": self._info(call.payload)}
            case "StartTransaction":
                key = json.dumps(call.payload, sort_keys=True)
                number = self._transactions.setdefault(key, len(self._transactions) + 1)
                self.last_transaction = number
                return {"transactionId": number, "idTagInfo": self._info(call.payload)}
            case "StopTransaction":
                return {"idTagInfo": dict(_ACCEPTED)} if "idTag" in call.payload else {}
        return {}

    def _info(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        return dict(self.id_tags.get(str(payload.get("idTag")), _ACCEPTED))

    def _later(self, at_ms: int, message: list[Any]) -> None:
        self._push(at_ms, json.dumps(message, separators=(",", ":")))

    def _push(self, at_ms: int, text: str) -> None:
        self._count += 1
        heapq.heappush(self._due, (at_ms, self._count, text))

    def _filled(self, value: Any, now_ms: int) -> Any:
        match value:
            case "$transaction":
                return self.last_transaction
            case str() if value.startswith("$now"):
                seconds = int(value.removeprefix("$now") or "0")
                return ocpp16.render_timestamp(NOON_MS + now_ms + seconds * 1000)
            case dict():
                return {key: self._filled(each, now_ms) for key, each in value.items()}
            case list():
                return [self._filled(each, now_ms) for each in value]
        return value
