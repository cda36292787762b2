# SPDX-License-Identifier: GPL-3.0-or-later
"""A central system that is slow, deaf, wrong, rude or away, as its mood has it."""

from __future__ import annotations

import heapq
import json
import random
from collections import Counter
from dataclasses import dataclass
from typing import Any

from microocpp.unit import Unit, compact

from evtool.protocol import ocpp16

NOON_MS = 1_714_564_800_000
ATTEMPTS = 3  # TransactionMessageAttempts, which chaos leaves alone
MOODS = ("fine", "fine", "fine", "slow", "deaf", "errors", "mad", "away")
GARBAGE = (
    "", "nonsense", "{}", "[]", "[2]", "[3]", "[4]", "null", "7", "[" * 60 + "]" * 60,
    '[5,"x",{}]', '[2,"x"]', '[2,5,"Reset",{}]', '[2,"x","Reset"]', '[2,"x",7,{}]',
    '[3,"unknown",{}]', '[4,"unknown","InternalError","",{}]', "[3,null,null]", "[4,[],{}]",
    '[2,"x","NoSuch",{"a":[1]}]', '[2,"x","Heartbeat",{}', '[2,"x","Authorize",{"idTag":"A"}]',
    '[2,"x","DataTransfer",{"vendorId":"' + "y" * 20000 + '"}]',
    '[2,"x","TriggerMessage",{"requestedMessage":"StartTransaction"}]',
    '[2,"x","ChangeConfiguration",{"key":"HeartbeatInterval","value":"0"}]',
    '[2,"x","RemoteStopTransaction",{"transactionId":-1}]',
    '[2,"x","ReserveNow",{"connectorId":-4}]',
    '[2,"x","SetChargingProfile",{"connectorId":1,"csChargingProfiles":{"stackLevel":8}}]',
)  # fmt: skip


@dataclass(slots=True)
class Ledger:
    """What this system has recorded of one transaction, Wh."""

    transaction_id: int
    id_tag: str
    meter_start: int
    started_ms: int
    meter_stop: int | None = None
    stops: int = 0


class ChaosCsms:
    """The other end of the wire.

    Attributes:
        ledger: by (id_tag, meterStart, timestamp), which a repeated StartTransaction shares.
        failed: how often a StartTransaction or StopTransaction got no proper answer, by its text.
        broken: StartTransactions whose answer had no transactionId (D13).
        grants: how often a start was allowed, by Authorize or RemoteStartTransaction (from the
            moment it is sent, until it is refused).
    """

    def __init__(self, unit: Unit, chance: random.Random) -> None:
        self.mood = "fine"
        self.ledger: dict[tuple[str, int, str], Ledger] = {}
        self.failed: Counter[str] = Counter()
        self.broken: set[tuple[str, int, str]] = set()
        self.unknown_stops: list[dict[str, Any]] = []
        self.grants = 0
        self.messages: Counter[str] = Counter()
        self.open = False
        self._unit = unit
        self._chance = chance
        self._due: list[tuple[int, int, str]] = []
        self._count = 0
        self._seen_ids: set[str] = set()
        self._asked: dict[str, str] = {}
        # The transaction message that is not answered yet: its id, and its text without that.
        self._awaited: tuple[str, str] | None = None
        self._settled: str | None = None  # one whose answer the unit takes in in this very step
        unit.on_line = self._on_line

    def tick(self) -> None:
        """Say what has come due."""
        self._settled = None
        while self._due and self._due[0][0] <= self._unit.now_ms:
            _, _, line = heapq.heappop(self._due)
            if line in ("ws open", "ws closed"):
                self.open = line == "ws open"
            elif not self.open:
                continue  # what was on its way when the connection closed
            self._deliver(line)

    def drop(self) -> None:
        """The connection breaks."""
        if self.open:
            self.open = False
            self._give_up_answer()
            self._unit.outbox.append("ws closed")

    def power_lost(self) -> None:
        """The unit is gone, and with it what was under way."""
        self.open = False
        self._due.clear()
        self._give_up_answer()
        if self._settled is not None:  # it may not have been written any more
            self.failed[self._settled] += 1

    def ask(self, action: str, payload: dict[str, Any]) -> None:
        """Send a call; its answer is heard when it comes."""
        self._count += 1
        unique_id = f"ask-{self._count}"
        self._asked[unique_id] = action
        self.grants += action == "RemoteStartTransaction"
        self._later(compact([2, unique_id, action, payload]))

    def garbage(self) -> None:
        """Send what is no message, or one that ought not to come."""
        self._later(self._chance.choice(GARBAGE))

    def _later(self, text: str, delay_ms: int = 0) -> None:
        self._push(delay_ms, "ws recv " + text)

    def _push(self, delay_ms: int, line: str) -> None:
        self._count += 1
        heapq.heappush(self._due, (self._unit.now_ms + delay_ms, self._count, line))

    def _deliver(self, line: str) -> None:
        self._unit.outbox.append(line)
        if self._awaited is not None and line.startswith(f'ws recv [3,"{self._awaited[0]}"'):
            self._settled, self._awaited = self._awaited[1], None

    def _on_line(self, line: str) -> None:
        verb, _, rest = line.partition(" ")
        if verb == "connect":
            refused = self.mood == "away" or self._chance.random() < 0.1
            self._push(self._chance.randrange(0, 2000, 20), "ws closed" if refused else "ws open")
        elif verb == "send":
            self._hear(json.loads(rest))

    def _hear(self, message: Any) -> None:
        match message:
            case [2, str(unique_id), str(action), dict(payload)]:
                assert unique_id not in self._seen_ids, f"id {unique_id} again"
                self._seen_ids.add(unique_id)
                violation = ocpp16.find_violation(action, payload)
                assert violation is None, (action, payload, violation)
                self.messages[action] += 1
                self._on_call(unique_id, action, payload)
            case [3, str(unique_id), dict(payload)]:
                action = self._asked.pop(unique_id, "")
                if action == "RemoteStartTransaction" and payload.get("status") != "Accepted":
                    self.grants -= 1
            case [4, *_]:
                pass
            case _:
                raise AssertionError(f"the unit sent {message}")

    def _on_call(self, unique_id: str, action: str, payload: dict[str, Any]) -> None:
        billing = action in ("StartTransaction", "StopTransaction")
        if billing:
            self._give_up_answer()
            self._awaited = unique_id, action + compact(payload)
            assert payload.get("meterStart", 0) >= 0, payload
            assert payload.get("meterStop", 0) >= 0, payload
        kind = self._kind()
        if kind == "none":
            return
        if kind == "error":
            code = self._chance.choice(["InternalError", "GenericError", "NotImplemented"])
            self._later(compact([4, unique_id, code, "", {}]), self._delay())
            return
        if kind == "mad":
            for _ in range(self._chance.randrange(1, 4)):
                self.garbage()
            self._later(compact([3, "wrong" + unique_id, {}]))
            if billing and action == "StartTransaction" and self._chance.random() < 0.1:
                self._start(payload)
                self.broken.add(_key(payload))
                self._later(
                    compact([3, unique_id, self._chance.choice([{}, None, {"idTagInfo": 1}])])
                )
                return
        delay = self._delay()
        text = compact([3, unique_id, self._result(action, payload, delay)])
        self._later(text, delay)
        if kind == "mad" and self._chance.random() < 0.5:
            self._later(text, delay + 500)  # the same once more

    def _kind(self) -> str:
        roll = self._chance.random()
        match self.mood:
            case "deaf":
                return "none" if roll < 0.7 else "fine"
            case "errors":
                return "error" if roll < 0.5 else "fine"
            case "mad":
                return "none" if roll < 0.1 else "mad"
        return "fine"

    def _delay(self) -> int:
        if self.mood == "slow":
            return self._chance.randrange(0, 35_000, 20)
        return self._chance.choice((0, 20, 40, 200))

    def _result(self, action: str, payload: dict[str, Any], delay_ms: int) -> dict[str, Any]:
        # What it says of the time is right when it arrives: the accounts are matched by it.
        now = ocpp16.render_timestamp(NOON_MS + self._unit.now_ms + delay_ms)
        match action:
            case "BootNotification":
                status = self._chance.choices(("Accepted", "Pending", "Rejected"), (8, 1, 1))[0]
                return {
                    "status": status,
                    "currentTime": now,
                    "interval": 0 if status == "Accepted" else 5,
                }
            case "Heartbeat":
                return {"currentTime": now}
            case "Authorize":
                good = payload["idTag"] != "BAD"
                self.grants += good
                return {"idTagInfo": {"status": "Accepted" if good else "Blocked"}}
            case "StartTransaction":
                return self._start(payload)
            case "StopTransaction":
                self._stop(payload)
        return {}

    def _start(self, payload: dict[str, Any]) -> dict[str, Any]:
        key = _key(payload)
        if key not in self.ledger:
            started = ocpp16.parse_timestamp(payload["timestamp"])
            assert started is not None
            self.ledger[key] = Ledger(
                len(self.ledger) + 1, payload["idTag"], payload["meterStart"], started - NOON_MS
            )
        status = "Invalid" if payload["idTag"] == "TURNS" else "Accepted"
        return {
            "transactionId": self.ledger[key].transaction_id,
            "idTagInfo": {"status": status},
        }

    def _stop(self, payload: dict[str, Any]) -> None:
        for record in self.ledger.values():
            if record.transaction_id == payload["transactionId"]:
                same = record.meter_stop in (None, payload["meterStop"])
                assert same, f"another meterStop: {record} {payload}"
                record.meter_stop = payload["meterStop"]
                record.stops += 1
                return
        self.unknown_stops.append(payload)

    def _give_up_answer(self) -> None:
        if self._awaited is not None:
            self.failed[self._awaited[1]] += 1
            self._awaited = None


def _key(payload: dict[str, Any]) -> tuple[str, int, str]:
    return payload["idTag"], payload["meterStart"], payload["timestamp"]
