# SPDX-License-Identifier: GPL-3.0-or-later
"""A charge point's conversation with its central system, as events."""

from __future__ import annotations

from collections.abc import Callable

from evtool.protocol import ocpp16
from evtool.protocol.can_frame import Malformed

_MAX_UNANSWERED = 100
"""Calls that nobody answers are forgotten in the end."""

Report = Callable[[str, dict[str, object]], None]


class Conversation:
    """Reports every message as it passes, and what it means for connector and transaction.

    Args:
        report: called with an event's name and its fields, ready for JSON; keys are masked.
    """

    def __init__(self, report: Report) -> None:
        self._report = report
        # (who asked, unique_id): what it asked
        self._calls: dict[tuple[str, str], ocpp16.Call] = {}

    def sent(self, text: str) -> None:
        """A message of the charge point."""
        message = self._tell("sent", "received", text)
        if not isinstance(message, ocpp16.Call):
            return
        payload = message.payload
        if message.action == "StatusNotification":
            self._report(
                "status",
                {
                    "connector": payload.get("connectorId"),
                    "status": payload.get("status"),
                    "error_code": payload.get("errorCode"),
                },
            )
        elif message.action == "StopTransaction":
            self._report(
                "transaction",
                {
                    "state": "stopped",
                    "transaction_id": payload.get("transactionId"),
                    "meter_stop": payload.get("meterStop"),
                    "reason": payload.get("reason"),
                },
            )

    def received(self, text: str) -> None:
        """A message of the central system."""
        asked = dict(self._calls)
        message = self._tell("received", "sent", text)
        if not isinstance(message, ocpp16.CallResult):
            return
        call = asked.get(("sent", message.unique_id))
        if call is not None and call.action == "StartTransaction":
            info = message.payload.get("idTagInfo")
            self._report(
                "transaction",
                {
                    "state": "started",
                    "transaction_id": message.payload.get("transactionId"),
                    "id_tag": call.payload.get("idTag"),
                    "meter_start": call.payload.get("meterStart"),
                    "status": info.get("status") if isinstance(info, dict) else None,
                },
            )

    def _tell(self, direction: str, other: str, text: str) -> ocpp16.Message | Malformed:
        message = ocpp16.parse_message(text)
        event: dict[str, object] = {"direction": direction}
        match message:
            case Malformed(reason):
                event |= {"type": "malformed", "reason": reason}
            case ocpp16.Call(unique_id, action, payload):
                self._calls[direction, unique_id] = message
                if len(self._calls) > _MAX_UNANSWERED:
                    del self._calls[next(iter(self._calls))]
                event |= {"type": "call", "action": action}
                event["payload"] = ocpp16.masked(action, payload)
            case ocpp16.CallResult(unique_id, payload):
                action = self._asked(other, unique_id)
                event |= {"type": "result", "action": action}
                event["payload"] = ocpp16.masked(action, payload)
            case ocpp16.CallError(unique_id, code, description):
                event |= {"type": "error", "action": self._asked(other, unique_id), "code": code}
                event["description"] = description
        self._report("message", event)
        return message

    def _asked(self, by: str, unique_id: str) -> str:
        call = self._calls.pop((by, unique_id), None)
        return call.action if call is not None else ""
