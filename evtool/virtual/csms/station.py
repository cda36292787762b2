# SPDX-License-Identifier: GPL-3.0-or-later
"""The conversation with one connected charge point: Calls both ways, one of ours at a time.

Source: OCPP-J 1.6, paragraph 4.1 (each side waits for the answer before its next Call), 4.2.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from typing import TYPE_CHECKING

from evtool.errors import DeviceError, LinkTimeout
from evtool.protocol import ocpp16
from evtool.protocol.can_frame import Malformed
from evtool.virtual.csms import faults, handlers
from evtool.virtual.csms.masking import shown
from evtool.virtual.csms.ports import Connection, Event, Wire
from evtool.virtual.csms.waiting import Reply, Tasks, Turn, sleep

if TYPE_CHECKING:
    from evtool.virtual.csms.accounts import Account
    from evtool.virtual.csms.central import Csms

MAX_MALFORMED = 100
"""Malformed messages in a row after which a station is disconnected."""

_RATE_WINDOW_MS = 1000


class Station:
    """One connected charge point.

    Attributes:
        identity, account: who it is.
        profile: the security profile of its connection.
        boot: its latest BootNotification.req, also of earlier connections.
        statuses: the latest status of each connector, likewise.
        heard_ms: when it last said something (Unix milliseconds).
    """

    def __init__(
        self, account: Account, connection: Connection, csms: Csms, seen: Seen, profile: int
    ) -> None:
        self.identity = account.identity
        self.account = account
        self.profile = profile
        self.boot = seen.boot
        self.statuses = seen.statuses
        self.tasks = Tasks()
        self.csms = csms
        self.heard_ms = csms.clock()
        self._connection = connection
        self._ids = itertools.count(1)
        self._id_prefix = f"{csms.id_prefix}-"
        self._turn = Turn()
        self._asked: tuple[str, str, Reply[ocpp16.Message]] | None = None
        self._malformed = 0
        self._window_ms = 0
        self._in_window = 0
        self._throttled = False

    async def run(self) -> None:
        """Talk until the connection closes. Raises DeviceError then."""
        recv, receive = self._connection.recv, self._receive
        limit = self.csms.max_rate
        try:
            while True:
                text = await recv()
                if limit is not None:
                    await self._throttle(limit)
                await receive(text)
        finally:
            self.tasks.cancel()
            if self._asked is not None:
                self._asked[2].give(ocpp16.CallError("", "GenericError", "it disconnected"))

    async def supersede(self) -> None:
        """The station has come back on another connection: end this one, where that can be."""
        if isinstance(self._connection, Wire):
            self._connection.abort()

    async def disconnect(self, *, politely: bool) -> None:
        """Close the connection, or cut it."""
        wire = self._wire()
        if politely:
            await wire.close()
        else:
            wire.abort()

    async def ask(
        self,
        action: str,
        payload: ocpp16.Payload,
        timeout_s: float,
        about_to_send: Callable[[], None],
    ) -> ocpp16.Payload:
        """Send a Call whose payload conforms; raises as `Csms.ask` does.

        Args:
            about_to_send: called when its turn has come: the Calls before it are answered.
        """
        async with self._turn:
            about_to_send()
            unique_id = self._id_prefix + str(next(self._ids))
            reply: Reply[ocpp16.Message] = Reply()
            self._asked = (unique_id, action, reply)
            try:
                text = ocpp16.render_message(ocpp16.Call(unique_id, action, payload))
                self._report("sent", "call", action, shown(action, payload))
                await self._transmit(faults.CALL, action, text, unique_id)
                answer = await reply.get(timeout_s)
            except TimeoutError as error:
                raise LinkTimeout(
                    f"station {self.identity} did not answer {action}",
                    fix="look at its console: is it still running?",
                ) from error
            finally:
                self._asked = None
        return self._payload_of(action, answer)

    def _payload_of(self, action: str, answer: ocpp16.Message) -> ocpp16.Payload:
        if isinstance(answer, ocpp16.CallResult):
            violation = ocpp16.find_violation(action, answer.payload, answer=True)
            if violation is None:
                return answer.payload
            self.csms.report(
                {
                    "event": "violation",
                    "station": self.identity,
                    "action": action,
                    "code": violation.code,
                    "description": violation.description,
                }
            )
            answer = ocpp16.CallError("", violation.code, violation.description)
        code = answer.code if isinstance(answer, ocpp16.CallError) else "GenericError"
        description = answer.description if isinstance(answer, ocpp16.CallError) else ""
        raise DeviceError(
            f"station {self.identity} answered {action} with {code}: {description}",
            fix="the CallError code says what it does not like (OCPP-J 1.6, 4.2.3)",
        )

    async def _receive(self, text: str) -> None:
        self.heard_ms = self.csms.clock()
        message = ocpp16.parse_message(text)
        if isinstance(message, ocpp16.Call):
            action = message.action
            self._malformed = 0
            self._report("received", "call", action, shown(action, message.payload))
            if self.csms.faults and await self._is_lost(action):
                return
            await self._serve(message)
        elif isinstance(message, Malformed):
            await self._on_malformed(text, message.reason)
        else:
            self._malformed = 0
            await self._on_answer(message)

    async def _serve(self, call: ocpp16.Call) -> None:
        """Answer a Call."""
        action, unique_id = call.action, call.unique_id
        violation = ocpp16.find_violation(action, call.payload)
        handler = handlers.HANDLERS.get(action)
        if violation is None and handler is None:
            violation = ocpp16.Violation("NotSupported", f"{action} is for charge points")
        if violation is None:
            violation = handlers.find_unkeepable(action, call.payload)
        if violation is not None or handler is None:
            assert violation is not None  # noqa: S101 - for the type checker
            await self._send_error(action, unique_id, violation.code, violation.description)
            return
        answer = handler(self, call.payload)
        text = ocpp16.render_message(ocpp16.CallResult(unique_id, answer))
        self._report("sent", "result", action, answer)
        await self._transmit(faults.ANSWER, action, text, unique_id)
        handlers.after_answer(self, action, call.payload, answer)

    async def _send_error(self, action: str, unique_id: str, code: str, description: str) -> None:
        event: Event = {"event": "message", "station": self.identity, "direction": "sent"}
        event |= {"type": "error", "action": action[:100], "code": code}
        self.csms.report(event | {"description": description})
        text = ocpp16.render_message(ocpp16.CallError(unique_id, code, description))
        await self._transmit(faults.ANSWER, action, text, unique_id)

    async def _on_answer(self, message: ocpp16.CallResult | ocpp16.CallError) -> None:
        asked = self._asked
        is_ours = asked is not None and asked[0] == message.unique_id
        action = asked[1] if asked is not None and is_ours else ""
        event: Event = {"event": "message", "station": self.identity, "direction": "received"}
        if isinstance(message, ocpp16.CallResult):
            event |= {"type": "result", "action": action}
            event["payload"] = shown(action, message.payload)
        else:
            event |= {"type": "error", "action": action, "code": message.code[:100]}
            event["description"] = message.description[:1000]
        if not is_ours:
            event["unexpected"] = True
        self.csms.report(event)
        if asked is not None and is_ours:
            if self.csms.faults and await self._is_lost(action):
                return
            self._asked = None  # a second answer is nobody's
            asked[2].give(message)

    async def _on_malformed(self, text: str, reason: str) -> None:
        event: Event = {"event": "message", "station": self.identity, "direction": "received"}
        self.csms.report(event | {"type": "malformed", "reason": reason})
        self._malformed += 1
        if self._malformed >= MAX_MALFORMED:
            self.csms.report(
                {
                    "event": "gave_up",
                    "station": self.identity,
                    "reason": f"{MAX_MALFORMED} malformed messages in a row",
                }
            )
            await self._wire().close()
        unique_id = _salvaged_id(text)
        if unique_id is not None:
            await self._send_error("", unique_id, "FormationViolation", reason)

    async def _throttle(self, limit: int) -> None:
        """Read no more than `limit` messages a second; the peer's own buffers hold the rest."""
        now_ms = self.csms.clock()
        if now_ms - self._window_ms >= _RATE_WINDOW_MS:
            self._window_ms, self._in_window = now_ms, 0
            self._throttled = False
        self._in_window += 1
        if self._in_window <= limit:
            return
        if not self._throttled:
            self._throttled = True
            reason = f"more than {limit} messages a second: it is read more slowly"
            self.csms.report({"event": "flood", "station": self.identity, "reason": reason})
        await sleep((self._window_ms + _RATE_WINDOW_MS - now_ms) / 1000)

    async def _is_lost(self, action: str) -> bool:
        """Let a fault happen to what was received; True where it is as if it never came."""
        fault = self._fault(faults.RECEIVED, action)
        if fault is None:
            return False
        if fault.kind == "delay":
            await sleep(fault.seconds)
            return False
        if fault.kind == "close":
            self._wire().abort()
        elif fault.kind == "half_open":
            self._wire().stall()
        return True

    def _fault(self, direction: str, action: str) -> faults.Fault | None:
        fault = self.csms.faults.take(self.identity, direction, action)
        if fault is not None:
            self.csms.report(
                {"event": "fault"} | fault.describe() | {"station": self.identity, "on": action}
            )
        return fault

    async def _transmit(self, direction: str, action: str, text: str, unique_id: str) -> None:
        """Send a text, or what a fault makes of it."""
        fault = self._fault(direction, action) if self.csms.faults else None
        if fault is None:
            await self._connection.send(text)
            return
        match fault.kind:
            case "delay":
                self.tasks.spawn(self._send_later(text, fault.seconds))
            case "error":
                reason = "a fault on demand"
                error = ocpp16.CallError(unique_id, fault.value, reason)
                await self._connection.send(ocpp16.render_message(error))
            case "malformed":
                await self._connection.send(text[: len(text) * 2 // 3])
            case "wrong_id":
                fields = json.loads(text)
                fields[1] = "wrong-" + unique_id[:30]
                await self._connection.send(json.dumps(fields))
            case "duplicate":
                await self._connection.send(text)
                await self._connection.send(text)
            case "slow":
                self.tasks.spawn(self._send_slowly(text, fault.seconds))
            case "close":
                self._wire().abort()
            case "half_open":
                self._wire().stall()

    async def _send_later(self, text: str, seconds: float) -> None:
        await sleep(seconds)
        try:
            await self._connection.send(text)
        except DeviceError:
            return  # it has closed meanwhile; the conversation says so

    async def _send_slowly(self, text: str, pause_s: float) -> None:
        try:
            await self._wire().send_slowly(text, pause_s)
        except DeviceError:
            return  # likewise

    def _wire(self) -> Wire:
        if not isinstance(self._connection, Wire):
            raise DeviceError("this connection can only send and receive")
        return self._connection

    def _report(self, direction: str, kind: str, action: str, payload: ocpp16.Payload) -> None:
        self.csms.report(
            {
                "event": "message",
                "station": self.identity,
                "direction": direction,
                "type": kind,
                "action": action,
                "payload": payload,
            }
        )

    def describe(self) -> Event:
        """What is known of the station, as JSON."""
        return {
            "station": self.identity,
            "profile": self.profile,
            "registration": self.account.registration,
            "heard_ms": self.heard_ms,
            "boot": dict(self.boot),
            "statuses": {str(number): status for number, status in self.statuses.items()},
        }


class Seen:
    """What a station said of itself, kept when it goes."""

    __slots__ = ("boot", "statuses")

    def __init__(self) -> None:
        self.boot: dict[str, object] = {}
        self.statuses: dict[int, str] = {}


def _salvaged_id(text: str) -> str | None:
    """The unique id of what was meant to be a Call, where it can be read."""
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        return None
    match fields:
        case [2, str(unique_id), *_] if 0 < len(unique_id) <= ocpp16.MAX_UNIQUE_ID:
            return unique_id
    return None
