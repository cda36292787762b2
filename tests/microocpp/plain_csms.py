# SPDX-License-Identifier: GPL-3.0-or-later
"""A central system for one unit in virtual time that does as it is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from microocpp.unit import Unit, compact

from evtool.protocol import ocpp16

NOON_MS = 1_714_564_800_000
Reply = Callable[[str, dict[str, Any]], Any]


class PlainCsms:
    """Answers what comes; `refuse` and `mute` make it say CALLERROR or nothing.

    Attributes:
        calls: every call of the unit: action and payload.
        ids: of those calls.
        credentials: of the last connection, as its line says them.
        answers: payload, or the code of a CALLERROR, by the id of our call.
    """

    def __init__(self, unit: Unit) -> None:
        self.unit = unit
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.ids: list[str] = []
        self.answers: dict[str, Any] = {}
        self.refuse: set[str] = set()
        self.mute: set[str] = set()
        self.replies: dict[str, dict[str, Any]] = {}
        self.online = True
        self.connects = 0
        self.credentials = ""
        self.transactions = 0
        self._asked = 0
        unit.on_line = self._on_line

    def sent(self, action: str) -> list[dict[str, Any]]:
        """The payloads of that action, in order."""
        return [payload for name, payload in self.calls if name == action]

    def statuses(self, connector: int = 1) -> list[str]:
        """What StatusNotification said of a connector, in order."""
        told = self.sent("StatusNotification")
        return [each["status"] for each in told if each["connectorId"] == connector]

    def ask(self, action: str, payload: dict[str, Any] | None = None, **more: Any) -> Any:
        """Send a call and wait: its payload, or the code of a CALLERROR."""
        self._asked += 1
        unique_id = f"ask-{self._asked}"
        self.say([2, unique_id, action, (payload or {}) | more])
        self.unit.until(lambda: unique_id in self.answers, f"an answer to {action}")
        return self.answers[unique_id]

    def say(self, message: Any) -> None:
        """Send a message at the next step."""
        text = message if isinstance(message, str) else compact(message)
        self.unit.outbox.append("ws recv " + text)

    def drop(self) -> None:
        """Close the connection and take no other one."""
        self.online = False
        self.unit.outbox.append("ws closed")

    def now(self) -> str:
        """The time that it tells."""
        return ocpp16.render_timestamp(NOON_MS + self.unit.now_ms)

    def _on_line(self, line: str) -> None:
        verb, _, rest = line.partition(" ")
        if verb == "connect":
            self.connects += 1
            self.credentials = rest.partition(" ")[2]
            self.unit.outbox.append("ws open" if self.online else "ws closed")
        elif verb == "close":
            self.unit.outbox.append("ws closed")
        elif verb == "send":
            match json.loads(rest):
                case [2, unique_id, action, payload]:
                    self._on_call(unique_id, action, payload)
                case [3, unique_id, payload]:
                    self.answers[unique_id] = payload
                case [4, unique_id, code, *_]:
                    self.answers[unique_id] = code

    def _on_call(self, unique_id: str, action: str, payload: dict[str, Any]) -> None:
        self.calls.append((action, payload))
        self.ids.append(unique_id)
        violation = ocpp16.find_violation(action, payload)
        assert violation is None, (action, payload, violation)
        if action in self.mute:
            return
        if action in self.refuse:
            self.say([4, unique_id, "InternalError", "", {}])
        else:
            self.say([3, unique_id, self.replies.get(action) or self._reply(action)])

    def _reply(self, action: str) -> dict[str, Any]:
        accepted: dict[str, Any] = {"idTagInfo": {"status": "Accepted"}}
        match action:
            case "BootNotification":
                return {"status": "Accepted", "currentTime": self.now(), "interval": 86400}
            case "Heartbeat":
                return {"currentTime": self.now()}
            case "StartTransaction":
                self.transactions += 1
                return accepted | {"transactionId": self.transactions}
            case "Authorize" | "StopTransaction":
                return accepted
        return {}
