# SPDX-License-Identifier: GPL-3.0-or-later
"""One scenario at a board as it goes: the models that surround it, and the reference beside it.

Times are milliseconds of any monotonic clock. What the board did comes in by `frame`, `line`
and `csms`; what is to be done for it is taken from `acts` after every call.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evtool.protocol.can_frame import CanFrame, Malformed
from evtool.protocol.can_line import render_can_line
from evtool.protocol.console import Record, parse_line
from evtool.reference_impl.controller_types import Config
from evtool.reference_impl.line_format import parse_command
from evtool.reference_impl.numbers import current_setpoint_to_milli, current_setpoint_to_raw
from evtool.verify.bench_moves import frame_of_event, make_bench, move_bench
from evtool.verify.board.course import Course, Sighting
from evtool.verify.board.ocpp import BoardWord, Expected, no_transaction_said
from evtool.verify.board.reference import LiveReference
from evtool.verify.board.seen import (
    CONNECTED,
    CURRENT,
    FLAGS,
    PERMIT,
    SWITCH,
    TRANSACTION,
    VOLTAGE,
    Seen,
    field_of_event,
    fields_of_frame,
    fields_of_record,
)
from evtool.verify.board.tolerances import Tolerances
from evtool.verify.scenario import Event, Scenario

FAR_PAST_MS = -(1 << 62)
VIEWS: Mapping[str, str] = {
    "0": "mute", "1": "bms", "2": "power_module", "3": "output", "4": "terminal", "5": "all",
}  # fmt: skip
ENERGY = "terminal.energy_mwh"
# What a board answers that obeys; Unknown, to the end of a limit that there was not.
_TAKEN = ("Accepted", "Unknown")
_LOGGED = (SWITCH, VOLTAGE, CURRENT, FLAGS)


@dataclass(frozen=True, slots=True)
class SendFrame:
    """A frame of the vehicle or the module, or one that the scenario makes up."""

    bus: int
    frame: CanFrame


@dataclass(frozen=True, slots=True)
class TypeKeys:
    """Bytes for the board's console."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Order:
    """For the CSMS: `remote_start`, `remote_stop`, `limit` (mA, below 0 for none), `status`;
    or what becomes of its connection: `offline`, `online`."""

    name: str
    value: int = 0


Act = SendFrame | TypeKeys | Order


@dataclass(frozen=True, slots=True)
class Setup:
    """What all scenarios of a run share.

    Attributes:
        config: the controller's whole configuration (docs/host-program.md).
        csms: whether evtool is the board's CSMS.
    """

    config: Mapping[str, str]
    csms: bool
    tolerances: Tolerances


class LiveRun:
    """From the moment the board is brought to rest to the scenario's end.

    Args:
        energy_mwh: the board's energy register, as its console shows it.
        word: what the board has said of OCPP so far; handed on from run to run.

    Attributes:
        acts: what is to be done; whoever does it takes it out.
        log: what happened, with times, for people.
        ended: why the board cannot go on; empty while it can.
        refused: orders of the CSMS that the board refused: time, order, its answer.
        energy_shift_mwh: what the board's register had more than the reference's at the start.
        busy_ms: the longest time between two looks at the board in the scenario.
        lines: its frames and events as lines of docs/host-program.md.
    """

    def __init__(self, setup: Setup, energy_mwh: int, word: BoardWord, now_ms: int) -> None:
        self.setup = setup
        self.acts: list[Act] = []
        self.log: list[tuple[int, str]] = []
        self.ended = ""
        self.refused: list[tuple[int, str, str]] = []
        self.seen = Seen()
        self.key_events: list[Sighting] = []
        self.lines: list[Sighting] = []
        self.reference = LiveReference(setup.config, energy_mwh, now_ms)
        self.expected: Expected | None = None
        self.energy_shift_mwh = 0
        self.busy_ms = 0
        self._ticked_ms = now_ms
        self.view = Course("mute", now_ms)
        self.word = word
        word.new_run()
        self.begun_ms = now_ms
        self.start_ms: int | None = None
        self.status = ""
        self.is_connected = False
        self.no_transaction = False
        self.is_unlimited = False
        self._bench = make_bench(setup.config, now_ms)
        self._to_lose: dict[int, int] = {}
        self._pending: deque[Event] = deque()
        self._orders: deque[Order] = deque()
        self._switched_ms = FAR_PAST_MS

    @property
    def energy_mwh(self) -> int | None:
        """The register as the console showed it last."""
        last = self.seen.last(ENERGY)
        return None if last is None or last.value == "-" else int(last.value)

    def begin(self, scenario: Scenario, now_ms: int) -> None:
        """The scenario's time starts; the board is at rest."""
        self.start_ms = now_ms
        self._pending = deque(scenario.events)
        self.expected = Expected(self.word.connected, now_ms)
        self.log.clear()
        reference = self.reference.was(ENERGY, now_ms)
        if self.energy_mwh is not None and reference is not None:
            self.energy_shift_mwh = self.energy_mwh - int(reference)

    # What the board did

    def frame(self, bus: int, frame: CanFrame, since_ms: int, now_ms: int) -> None:
        """A frame was heard."""
        self.lines.append(Sighting(render_can_line(bus, frame), since_ms, now_ms))
        for field, value in fields_of_frame(frame):
            if self.seen.note(field, value, since_ms, now_ms) and field in _LOGGED:
                self._note(now_ms, f"board: CAN {field}={value}")
                self._switched_ms = now_ms if field == SWITCH else self._switched_ms
            if field == CURRENT and value.isdigit():
                self.word.saw_setpoint(int(value), self._wanted_ma())
                self._tell_word(now_ms, now_ms)
        left = self._to_lose.get(frame.can_id, 0)
        if left:
            self._to_lose[frame.can_id] = left - 1
            return
        for answer_bus, answer in self._bench.on_frame(bus, frame, now_ms):
            self._send(answer_bus, answer, now_ms)

    def line(self, text: str, since_ms: int, now_ms: int) -> None:
        """A line of the console."""
        record = parse_line(text)
        if record is None or isinstance(record, Malformed):
            return
        if record.name != "event":
            self.seen.note(f"record.{record.name}", "", since_ms, now_ms)
            for field, value in fields_of_record(record):
                self.seen.note(field, value, since_ms, now_ms)
            return
        self._note(now_ms, f"board: {text}")
        self.lines.append(Sighting(f"console {text}", since_ms, now_ms))
        self.no_transaction = self.no_transaction or no_transaction_said(text)
        self._event(record, text, Sighting(text, since_ms, now_ms))

    def _event(self, record: Record, text: str, sighting: Sighting) -> None:
        now_ms = sighting.at_ms
        if record.kind == "boot":
            self.word.restart()
            self.broke(f"the board restarted: {text}")
        elif record.kind in ("start", "stop"):
            self.key_events.append(sighting)
        elif record.kind == "bus":
            # Only the board knows its CAN controllers: the reference is told what it says.
            command = f"bus {record.fields.get('bus')} {record.fields.get('state')}"
            if isinstance(parse_command(command, Config()), Malformed):
                self.broke(f"the board tells of a bus or a state that there is not: {text}")
            else:
                self.reference.plan(command, now_ms)
        elif (found := field_of_event(record)) is not None:
            field, value = found
            self.seen.note(field, value, sighting.since_ms, now_ms)
            if field in (TRANSACTION, PERMIT, CONNECTED):
                if field == TRANSACTION:
                    self.no_transaction = value == "0"
                self.word.event(field, value)
                self._tell_word(now_ms, self._when(now_ms))

    def broke(self, reason: str) -> None:
        """The board cannot go on."""
        self.ended = self.ended or reason

    def csms(self, event: Mapping[str, Any], now_ms: int) -> None:
        """An event of the virtual CSMS."""
        name = event.get("event")
        if name in ("connected", "disconnected"):
            self.is_connected = name == "connected"
            self._note(now_ms, f"csms: {name}")
        elif name == "message" and event.get("direction") == "received":
            action, payload = event.get("action"), event.get("payload") or {}
            if event.get("type") == "call" and action != "MeterValues":
                self._note(now_ms, f"csms: {action} {_short(payload)}".rstrip())
            if action == "StatusNotification" and payload.get("connectorId") == 1:
                self.status = str(payload.get("status"))

    def answered(self, order: Order, status: str, now_ms: int) -> None:
        """The board's answer to an order: a status of OCPP, or why there is none."""
        self._note(now_ms, f"csms: {order.name} {order.value or ''}: {status}")
        limit_ma = None if order.value < 0 else order.value
        if order.name == "limit" and status in _TAKEN:
            self.is_unlimited = limit_ma is None
        if self.expected is None:
            return
        if order.name != "status" and status not in _TAKEN:
            self.refused.append((now_ms, order.name, status))
        elif order.name == "remote_start":
            self.expected.start(now_ms)
        elif order.name == "remote_stop":
            self.expected.stop(now_ms)
        elif order.name == "limit":
            self.expected.limit(limit_ma, now_ms)

    # What is done to it

    def tick(self, now_ms: int) -> None:
        """Let time pass: the scenario's events, the models' frames, OCPP's word."""
        if self.start_ms is not None:
            self.busy_ms = max(self.busy_ms, now_ms - self._ticked_ms)
            while self._pending and self.start_ms + self._pending[0].at_ms <= now_ms:
                self._act(self._pending.popleft(), now_ms)
        for bus, frame in self._bench.tick(now_ms):
            self._send(bus, frame, now_ms)
        self._tell_word(now_ms, now_ms)
        self.reference.reach(now_ms - self.setup.tolerances.base_ms)
        self._follow_reference(now_ms)
        while self._orders and self.is_connected and self.word.connected:
            order = self._orders.popleft()
            if order.name == "limit":
                self._order_limit(order, now_ms)
            self.acts.append(order)

        self._ticked_ms = now_ms

    def order(self, order: Order) -> None:
        """An order for the CSMS, given as soon as the board is connected."""
        self._orders.append(order)

    def press(self, keys: str, now_ms: int) -> None:
        """Type at the console for the bench's own ends: the reference hears nothing of it."""
        self.acts.append(TypeKeys(keys.encode()))
        for key in keys:
            if key in VIEWS:
                self.view.note(VIEWS[key], now_ms)

    def leave(self) -> None:
        """Whatever the scenario still wanted: the vehicle leaves."""
        self._pending.clear()
        self._orders.clear()
        self.acts.clear()
        self._bench.command("plug_out")
        self._bench.command("module normal")

    def _act(self, event: Event, now_ms: int) -> None:
        if event.action is None:
            return
        self._note(now_ms, " ".join((event.action, *map(str, event.parameters.values()))))
        parameters = event.parameters
        match event.action:
            case "frame":
                self._send(*frame_of_event(parameters), now_ms)
            case "key":
                self._type(parameters["text"].encode(), now_ms)
            case "lose":
                self._to_lose[parameters["can_id"]] = parameters["frames"]
            case "remote_start" | "remote_stop":
                self.order(Order(event.action))
            case "limit":
                self.order(Order("limit", parameters["current_ma"]))
            case "ocpp":
                self.acts.append(Order(parameters["mode"]))
                if self.expected is not None:
                    self.expected.connect(parameters["mode"] == "online", now_ms)
            case _:
                move_bench(self._bench, event.action, parameters)

    def _type(self, data: bytes, now_ms: int) -> None:
        self.acts.append(TypeKeys(data))
        for byte in data:
            view = VIEWS.get(chr(byte))
            if view is not None:
                self.view.note(view, now_ms)
            else:
                self.reference.plan(f"key {byte:02X}", now_ms)

    def _send(self, bus: int, frame: CanFrame, now_ms: int) -> None:
        self.reference.frame(bus, frame, now_ms)
        self.acts.append(SendFrame(bus, frame))

    def _tell_word(self, now_ms: int, at_ms: int) -> None:
        line = self.word.due(now_ms)
        if line is not None:
            self.reference.word(line, at_ms)

    def _order_limit(self, order: Order, now_ms: int) -> None:
        """The board may act on it before its answer is here."""
        tolerances = self.setup.tolerances
        until_ms = now_ms + tolerances.ocpp_ms + tolerances.base_ms
        switch = self.seen.last(SWITCH)
        is_on = switch is not None and switch.value == "1"
        self.word.order_limit(None if order.value < 0 else order.value, is_on, until_ms)

    def _when(self, now_ms: int) -> int:
        """When OCPP said what the console says now: before the switch that followed from it."""
        is_recent = now_ms - self._switched_ms < self.setup.tolerances.base_ms
        return self._switched_ms if is_recent else now_ms

    def _follow_reference(self, now_ms: int) -> None:
        wishes, self.reference.wishes = self.reference.wishes, []
        if self.expected is None:
            return
        for wish in wishes:
            if wish.startswith("start "):
                self.expected.start(now_ms)
            else:
                self.expected.stop(now_ms)
        self.expected.plug(self.reference.state.get("plugged") == "1", now_ms)

    def _wanted_ma(self) -> int | None:
        """What the pending limit would make of the current setpoint, as a frame carries it."""
        requested = self.reference.state.get("requested_ma", "-")
        if requested == "-":
            return None
        caps = [int(requested), int(self.setup.config["max_current_ma"])]
        if self.word.pending_ma is not None:
            caps.append(self.word.pending_ma)
        return current_setpoint_to_milli(current_setpoint_to_raw(min(caps)))

    def _note(self, now_ms: int, text: str) -> None:
        self.log.append((now_ms, text))


def history(log: Sequence[tuple[int, str]], until_ms: int, start_ms: int, count: int) -> list[str]:
    """The last `count` lines of a log, with the scenario's time."""
    lines = [f"@{at_ms - start_ms} {text}" for at_ms, text in log if at_ms <= until_ms]
    return lines[-count:]


def _short(payload: Mapping[str, Any]) -> str:
    shown = ("status", "idTag", "transactionId", "reason", "connectorId", "errorCode")
    return " ".join(f"{name}={payload[name]}" for name in shown if name in payload)
