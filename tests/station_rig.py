# SPDX-License-Identifier: GPL-3.0-or-later
"""A charge point and the CSMS at its far end, in one process and in no time."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping
from typing import Any

import pytest

from evtool.protocol import ocpp16
from evtool.reference_impl.charge_point import (
    STRICT,
    AskRegister,
    ChargePoint,
    Inputs,
    Mode,
    Noticed,
    Persist,
    Reconnect,
    Restart,
    Send,
    Settings,
    Unlock,
)
from evtool.reference_impl.charge_point.effects import (
    Abandon,
    Download,
    Install,
    MakeKey,
    Upload,
    Work,
)
from evtool.reference_impl.controller_types import Report

NOON = "2024-05-01T12:00:00Z"
PLUGGED = Inputs(plugged=True, ev_ready=True, evse_ready=True, energy_mwh=1_234_567)
UNPLUGGED = Inputs(evse_ready=True, energy_mwh=1_234_567)


class Station:
    """A charge point, and the far end that answers it in the plainest way."""

    def __init__(
        self,
        *,
        restart_reason: str = "PowerLoss",
        mode: Mode = STRICT,
        connectors: int = 1,
        presets: Mapping[str, str] | None = None,
        has_lock: bool = False,
        stored: Mapping[str, str] | None = None,
        **more: Any,  # of Settings
    ) -> None:
        settings = Settings(
            "Vendor",
            "Model",
            "SN-1",
            "1.0",
            restart_reason=restart_reason,
            stored=stored or {},
            mode=mode,
            connectors=connectors,
            presets=presets or {},
            has_lock=has_lock,
            **more,
        )
        self.charge_point = ChargePoint(settings)
        self.now_ms = 0
        self.sent: list[tuple[str, ocpp16.Payload]] = []
        self.calls: deque[ocpp16.Call] = deque()
        self.unanswered: list[ocpp16.Call] = []  # those of muted actions
        self.answers: dict[str, ocpp16.Message] = {}
        self.kept: dict[str, str] = dict(stored or {})
        self.noticed: list[Noticed] = []
        self.security_events: list[str] = []  # what was told; not among `sent`
        self.work: list[Work] = []
        self.reconnects: list[str] = []
        self.unlocks: list[int] = []
        self.restarts: list[str] = []
        self.registers_asked: list[Report] = []
        self.asked: dict[str, str] = {}
        self.transaction_id = 0
        self.id_tag_status = "Accepted"
        self.parent = ""  # of every tag
        self.refuse: set[str] = set()  # actions answered with a CallError
        self.mute: set[str] = set()  # actions not answered at all

    def kept_keys(self) -> set[str]:
        """What is kept, beside the security log."""
        return {key for key in self.kept if not key.startswith("security.")}

    def collect(self) -> None:
        for output in self.charge_point.drain():
            match output:
                case Send(text):
                    self._take(ocpp16.parse_message(text))
                case Persist(key, None):
                    self.kept.pop(key, None)
                case Persist(key, str(value)):
                    self.kept[key] = value
                case Restart(kind):
                    self.restarts.append(kind)
                case AskRegister(report):
                    self.registers_asked.append(report)
                case Unlock(connector):
                    self.unlocks.append(connector)
                case Reconnect(reason):
                    self.reconnects.append(reason)
                case Noticed():
                    self.noticed.append(output)
                case Download() | Upload() | Install() | Abandon() | MakeKey():
                    self.work.append(output)

    def _take(self, message: object) -> None:
        match message:
            case ocpp16.Call(_, action, payload):
                assert ocpp16.find_violation(action, payload) is None, (action, payload)
                self.calls.append(message)
                if action == "SecurityEventNotification":
                    self.security_events.append(payload["type"])
                else:
                    self.sent.append((action, payload))
            case ocpp16.CallResult(unique_id, payload):
                violation = ocpp16.find_violation(self.asked[unique_id], payload, answer=True)
                assert violation is None, (violation, payload)
                self.answers[unique_id] = message
            case ocpp16.CallError(unique_id, code):
                assert code in ocpp16.CALL_ERROR_CODES
                self.answers[unique_id] = message
            case _:
                pytest.fail(f"not a message: {message}")

    def serve(self) -> None:
        """Answer until the charge point has nothing more to say."""
        self.collect()
        while self.calls:
            call = self.calls.popleft()
            if call.action in self.mute:
                self.unanswered.append(call)
                continue
            if call.action in self.refuse:
                self.text([4, call.unique_id, "InternalError", "", {}])
            else:
                self.text([3, call.unique_id, self.result(call.action)])

    def result(self, action: str) -> ocpp16.Payload:
        match action:
            case "BootNotification":
                return {"currentTime": NOON, "interval": 300, "status": "Accepted"}
            case "Heartbeat":
                return {"currentTime": NOON}
            case "SignCertificate":
                return {"status": "Accepted"}
            case "Authorize":
                return {"idTagInfo": self._info()}
            case "StartTransaction":
                self.transaction_id += 1
                return {"transactionId": self.transaction_id, "idTagInfo": self._info()}
        return {}

    def _info(self) -> ocpp16.Payload:
        info = {"status": self.id_tag_status}
        return info | ({"parentIdTag": self.parent} if self.parent else {})

    def text(self, fields: list[Any]) -> None:
        self.charge_point.on_text(json.dumps(fields), self.now_ms)
        self.collect()

    def ask(self, action: str, **payload: Any) -> Any:
        """Call the charge point: the payload of its answer, or the code of its CallError."""
        unique_id = f"c{len(self.asked)}"
        self.asked[unique_id] = action
        self.text([2, unique_id, action, payload])
        answer = self.answers[unique_id]
        self.serve()
        return answer.payload if isinstance(answer, ocpp16.CallResult) else answer.code  # type: ignore[union-attr]  # never a Call

    def wait(self, seconds: float) -> None:
        end = self.now_ms + round(seconds * 1000)
        while self.now_ms < end:
            self.now_ms = min(end, self.now_ms + 500)
            self.charge_point.tick(self.now_ms)
            self.serve()

    def see(self, inputs: Inputs, connector: int = 1) -> None:
        self.charge_point.on_inputs(inputs, self.now_ms, connector)
        self.serve()

    def online(self) -> Station:
        self.charge_point.on_open(self.now_ms)
        self.serve()
        return self

    def offline(self) -> None:
        self.calls.clear()
        self.charge_point.on_closed(self.now_ms)
        self.collect()

    def present(self, id_tag: str) -> None:
        self.charge_point.on_start_request(id_tag, self.now_ms)
        self.serve()

    def swipe(self, id_tag: str, connector: int | None = None) -> None:
        """A card, at the reader of one connector or of all."""
        self.charge_point.on_card(id_tag, self.now_ms, connector)
        self.serve()

    def heard(self) -> list[str]:
        """What was sent since the last look, with the status of StatusNotifications."""
        sent, self.sent = self.sent, []
        return [
            f"{payload['connectorId']}:{payload['status']}"
            if action == "StatusNotification"
            else action
            for action, payload in sent
        ]


def profile(purpose: str, limit: float, level: int = 0, **more: Any) -> dict[str, Any]:
    """A charging profile of one period in amperes; `schedule` adds to its schedule."""
    schedule = {
        "chargingRateUnit": "A",
        "chargingSchedulePeriod": [{"startPeriod": 0, "limit": limit}],
    } | more.pop("schedule", {})
    return {
        "chargingProfileId": more.pop("profile_id", 1),
        "stackLevel": level,
        "chargingProfilePurpose": purpose,
        "chargingProfileKind": "Absolute",
        "chargingSchedule": schedule,
    } | more
