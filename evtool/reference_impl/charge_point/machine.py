# SPDX-License-Identifier: GPL-3.0-or-later
"""The OCPP 1.6J charge point: text, inputs and time in, text and permission out.

It follows the specification; what a `Mode` leaves to the library on a device it does as that
does. This file only routes. Introduction and Heartbeat: `registration`. Connectors, sessions
and statuses: `connector`. Who may charge: `authorization`, `card_reader`, `reservations`. What
waits for the CSMS: `outbox`, `transactions`. What the CSMS may ask: `operations`. What it
answers: `answers`. Further parts that act by themselves (firmware, logs, security) are
`Feature`s.

Cost: a charge point that nobody has spoken to yet holds its connectors and empty containers;
`next_due_ms` says when `tick` next has something to do, so many of them need no polling.
"""

from __future__ import annotations

from collections import deque
from typing import Literal, Protocol

from evtool.protocol import ocpp16
from evtool.protocol.can_frame import Malformed
from evtool.reference_impl.charge_point import answers, card_reader, operations
from evtool.reference_impl.charge_point.authorization import Authorization
from evtool.reference_impl.charge_point.configuration import Configuration
from evtool.reference_impl.charge_point.connector import Connector
from evtool.reference_impl.charge_point.connector_status import StatusReporter
from evtool.reference_impl.charge_point.held_calls import HeldCalls
from evtool.reference_impl.charge_point.kept_attempts import begin_attempt, wait_out
from evtool.reference_impl.charge_point.maintenance import Maintenance
from evtool.reference_impl.charge_point.outbox import MAX_VOLATILE, Lane, Outbox, Request
from evtool.reference_impl.charge_point.registration import Registration
from evtool.reference_impl.charge_point.reservations import Reservation, Reservations
from evtool.reference_impl.charge_point.session import Event, Phase
from evtool.reference_impl.charge_point.shared_limit import shared_limit_ma
from evtool.reference_impl.charge_point.smart_charging import ProfileStore, Supply
from evtool.reference_impl.charge_point.transactions import Transaction, Transactions
from evtool.reference_impl.charge_point.unlocking import Unlocking
from evtool.reference_impl.charge_point.values import (
    CONNECTOR,
    Inputs,
    Noticed,
    Output,
    Persist,
    Restart,
    Send,
    Settings,
)
from evtool.reference_impl.controller_types import OcppWord

_NO_ID = "-1"
CLOCK_STEP_MS = 60_000
"""A change of the clock that is a security event, and no drift."""
_ALL_LANES = frozenset(Lane)
_BOOT_ONLY = frozenset({Lane.BOOT})
_PENDING = frozenset({Lane.BOOT, Lane.TRIGGERED})


class Feature(Protocol):
    """A part that acts by itself. It is put into `ChargePoint.features`."""

    def tick(self, now_ms: int) -> None:
        """Let time pass."""

    def next_due_ms(self) -> int | None:
        """When `tick` has something to do."""


class ChargePoint:
    """One charge point. Times are monotonic milliseconds (`now_ms`).

    Raises:
        ValueError: a preset of the settings is wrong; the text names the key.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.mode = settings.mode
        self._outputs: list[Output] = []
        self.now_ms = 0
        self.unix_offset_ms: int | None = None
        self.open = False
        self.configuration = Configuration(
            settings.stored,
            settings.mode,
            settings.presets,
            {"NumberOfConnectors": str(settings.connectors)},
        )
        self.outbox = Outbox(
            settings.id_prefix,
            max(MAX_VOLATILE, MAX_VOLATILE // 2 * (settings.connectors + 1)),
            triggered_behind=settings.mode.triggered_behind,
        )
        self.transactions = Transactions(
            settings.stored,
            self.persist,
            self.outbox,
            settings.mode,
            lambda key: self.notice("unreadable record forgotten", key),
        )
        self.registration: Registration = Registration(self)
        self.authorization = Authorization(self)
        self.reservations = Reservations(settings.stored, self.persist)
        self.profiles = ProfileStore(
            self.configuration.smart_charging_rules(self.mode.smart_charging), settings.stored
        )
        self.maintenance = Maintenance(self)
        self.features: list[Feature] = [self.maintenance]
        self.connectors = [Connector(self, number + 1) for number in range(settings.connectors)]
        for transaction in self.transactions.cut_off:
            number = min(transaction.connector_id, settings.connectors)
            self.connectors[number - 1].cut_off.append(transaction)
        self.is_whole_operative = settings.stored.get("availability.0") != "Inoperative"
        self.out_of_service = False
        """True takes all connectors out of use, until it is False again: a firmware update."""
        self._whole = StatusReporter(settings.mode.reports_cleared_errors)
        self._restart: tuple[int, Literal["Soft", "Hard"]] | None = None
        self.unlocking = Unlocking(self)
        self.held = HeldCalls(self, self._on_call)
        self._answers: deque[ocpp16.Message] = deque()
        self._turn_sent_ms: int | None = None

    # Inputs. Each takes effect at once; `drain` then gives what is to be done.

    def on_open(self, now_ms: int) -> None:
        """The WebSocket is open."""
        self._pass_time(now_ms)
        self.open = True
        self.maintenance.on_open()
        self.registration.on_open()
        self._follow(now_ms)

    def on_closed(self, now_ms: int) -> None:
        """The WebSocket has closed, or could not be opened."""
        self._pass_time(now_ms)
        if not self.open:
            self.maintenance.on_failure()
        self.open = False
        self.unlocking.clear()
        self.held.clear()
        if self.mode.waits_out_closed:
            self.outbox.hold_interrupted("StatusNotification")
        else:
            interrupted = self.outbox.take_interrupted()
            if interrupted is not None:
                answers.on_interrupted(self, interrupted)
        while (waiting := self.outbox.take_waiting("Authorize")) is not None:
            answers.on_no_answer(self, waiting)
        self._follow(now_ms)

    def on_text(self, text: str, now_ms: int) -> None:
        """A text from the CSMS. Nothing that it says raises."""
        self._pass_time(now_ms)
        message = ocpp16.parse_message(text)
        match message:
            case Malformed(reason):
                self.notice("malformed message", reason)
                if self.mode.answers_unreadable:
                    answer = ocpp16.CallError(_NO_ID, "GenericError", reason)
                    self.emit(Send(ocpp16.render_message(answer)))
            case ocpp16.Call():
                self._on_call(message)
            case ocpp16.CallResult() | ocpp16.CallError():
                refused = isinstance(message, ocpp16.CallError)
                kept = self.mode.refusals_unanswered if refused else frozenset()
                request = self.outbox.take_answer(message.unique_id, kept)
                if request is not None:
                    answers.on_answer(self, request, message)
                    self.held.answer()
                else:
                    self.notice("answer to nothing", message.unique_id)
        self._follow(now_ms)

    def on_inputs(self, inputs: Inputs, now_ms: int, connector: int = CONNECTOR) -> None:
        """What is known of a connector; repeat it at least once a second while it changes."""
        self._pass_time(now_ms)
        target = self.connectors[connector - 1]
        plugged_in = inputs.plugged and not target.inputs.plugged
        target.on_inputs(inputs)
        if plugged_in:
            card_reader.move_floating(self, target)
        self.tick(now_ms)

    def on_card(self, id_tag: str, now_ms: int, connector: int | None = None) -> None:
        """A card at the reader of one connector, or of all of them."""
        self._pass_time(now_ms)
        at = self.connectors if connector is None else [self.connectors[connector - 1]]
        card_reader.present(self, id_tag, at)
        self._follow(now_ms)

    def on_start_request(self, id_tag: str, now_ms: int, connector: int = CONNECTOR) -> None:
        """Somebody wants to begin a session under `id_tag`; ignored while there is one."""
        self._pass_time(now_ms)
        target = self.connectors[connector - 1]
        fits = 0 < len(id_tag) <= ocpp16.MAX_ID_TAG
        if fits and target.may_start() and card_reader.may_hope(self, target, id_tag):
            target.identify(id_tag, authorize=True)
        self._follow(now_ms)

    def on_stop_request(
        self, reason: str, now_ms: int, connector: int = CONNECTOR, id_tag: str = ""
    ) -> None:
        """End the session: a Reason of OCPP 1.6; anything else counts as Other. `id_tag`: who
        ended it, where it was somebody with a tag."""
        self._pass_time(now_ms)
        target = self.connectors[connector - 1]
        if not target.session.move(Event.CANCEL):
            target.end(reason if reason in ocpp16.STOP_REASONS else "Other", id_tag)
            target.stopped_by = ""
        self._follow(now_ms)

    def on_unlocked(self, connector: int, is_unlocked: bool, now_ms: int) -> None:
        """What became of an `Unlock`."""
        self._pass_time(now_ms)
        self.unlocking.end(connector, is_unlocked=is_unlocked)
        self.tick(now_ms)

    def tick(self, now_ms: int) -> None:
        """Let time pass; call it at least once a second, or when `next_due_ms` says."""
        self._pass_time(now_ms)
        expired = self.outbox.take_expired(self.now_ms)
        if expired is not None:
            answers.on_no_answer(self, expired)
            self.held.answer()
        if self.mode.expires_in_queue:
            while (overdue := self.outbox.take_overdue(self.now_ms)) is not None:
                answers.on_no_answer(self, overdue)
        if self.mode.takes_turns:
            self._send_one()
        self.held.tick()
        self.unlocking.tick()
        for each in self.connectors:
            each.move()
        for feature in self.features:
            feature.tick(self.now_ms)
        self._report_statuses()
        if self.reservations and self.unix_offset_ms is not None:
            self._end_reservations()
        for each in self.connectors:
            each.sampling.tick()
        self.registration.tick()
        if not self.mode.takes_turns:
            self._send_next()
        if self._restart is not None and self.now_ms >= self._restart[0]:
            self.emit(Restart(self._restart[1]))
            self._restart = None

    def drain(self) -> list[Output]:
        """What is to be done, in order."""
        for key, value in self.profiles.take_changes().items():
            self.persist(key, value)
        self.maintenance.route()
        outputs, self._outputs = self._outputs, []
        return outputs

    def next_due_ms(self) -> int | None:
        """When `tick` next has something to do if nothing comes in until then; None: never."""
        due = [self.registration.next_due_ms(), self._restart[0] if self._restart else None]
        if self.open:
            due.append(self.outbox.next_due_ms(self._lanes()))
        due += [self.unlocking.next_due_ms(), self.held.next_due_ms()]
        due += [each.next_due_ms() for each in self.connectors]
        due += [each.next_due_ms() for each in self.features]
        expiry = self.reservations.next_expiry_unix_ms()
        if expiry is not None and self.unix_offset_ms is not None:
            due.append(expiry - self.unix_offset_ms)
        return min((moment for moment in due if moment is not None), default=None)

    def word(self, connector: int = CONNECTOR) -> OcppWord:
        """What the controller beneath a connector may do at this moment."""
        target = self.connectors[connector - 1]
        return OcppWord(
            connected=self.open and self.registered,
            transaction=target.transaction is not None,
            permitted=target.permitted,
            limit_ma=self.limit_ma(target),
        )

    # What the other files of this package ask.

    @property
    def registered(self) -> bool:
        """The CSMS has accepted the charge point since it started."""
        return self.registration.is_accepted

    def is_operative(self, connector: Connector) -> bool:
        """Available to users, as far as the CSMS and a firmware update are concerned."""
        return self.is_whole_operative and connector.is_operative and not self.out_of_service

    def is_usable(self, connector: Connector) -> bool:
        """The CSMS has accepted the charge point, and the connector is operative."""
        return self.registered and self.is_operative(connector)

    def is_restarting(self) -> bool:
        """A Reset is on its way."""
        return self._restart is not None

    def find_connector(self, connector_id: int) -> Connector | None:
        """A connector by its number from 1 on; None for another number."""
        if not 1 <= connector_id <= len(self.connectors):
            return None
        return self.connectors[connector_id - 1]

    def connector_of(self, transaction: Transaction) -> Connector | None:
        """The connector on which a transaction runs; None where it has ended."""
        return next((each for each in self.connectors if each.transaction is transaction), None)

    def reserved_by(self, connector: Connector) -> Reservation | None:
        """The reservation that keeps others from a connector: its own, or one for any connector
        that could not be served any more if this one were taken."""
        if not self.reservations:
            return None
        own = self.reservations.of(connector.number)
        if own is not None:
            return own
        for_any = self.reservations.count_for_any()
        if for_any and self.is_free(connector) and self.count_free() <= for_any:
            return self.reservations.of(0)
        return None

    def is_free(self, connector: Connector) -> bool:
        """Neither used nor reserved nor out of use."""
        session = connector.session
        # A session without a transaction yet does not count: its own reservation may be for any.
        return (
            session.phase is not Phase.RUNNING
            and self.is_operative(connector)
            and not connector.inputs.faulted
            and self.reservations.of(connector.number) is None
        )

    def count_free(self) -> int:
        """How many connectors are free."""
        return sum(self.is_free(connector) for connector in self.connectors)

    def limit_ma(self, connector: Connector) -> int | None:
        """The charging profiles' limit at this moment, per phase; None for none."""
        return shared_limit_ma(self, connector) if self.profiles else None

    def supply(self) -> Supply:
        """What feeds the connectors."""
        settings = self.settings
        return Supply(
            settings.max_current_ma, settings.voltage_mv, settings.phases, settings.connectors
        )

    def status_minimum_ms(self) -> int | None:
        """How long a status must last before it is told; None while none may be told."""
        if not self.registered or self.unix_offset_ms is None:
            return None
        return self.configuration.integer("MinimumStatusDuration") * 1000

    def unix_now(self) -> int:
        """The CSMS's time now; 1970 until it has told its time."""
        unix_ms = self.now_ms + (self.unix_offset_ms or 0)
        if self.mode.whole_seconds:
            unix_ms -= unix_ms % 1000
        return min(max(0, unix_ms), ocpp16.LAST_MOMENT_MS)

    def timestamp(self, at_ms: int) -> str:
        """The CSMS's time at a monotonic time, as the wire has it."""
        unix_ms = at_ms + (self.unix_offset_ms or 0)
        return ocpp16.render_timestamp(min(max(0, unix_ms), ocpp16.LAST_MOMENT_MS))

    def status_request(self, connector_id: int, error: str | None = None) -> Request:
        """StatusNotification of what was last reported, with the time of the change."""
        reporter = self._whole if connector_id == 0 else self.connectors[connector_id - 1].reporter
        status, last_error = reporter.current or ("Unavailable", "NoError")
        payload: ocpp16.Payload = {
            "connectorId": connector_id,
            "errorCode": error or last_error,
            "status": status,
        }
        if self.unix_offset_ms is not None:
            # An error of its own is of this moment.
            payload["timestamp"] = self.timestamp(self.now_ms if error else reporter.since_ms)
        return Request("StatusNotification", payload)

    # What the other files of this package do.

    def emit(self, output: Output) -> None:
        """Something is to be done."""
        self._outputs.append(output)

    def persist(self, key: str, value: str | None) -> None:
        """Ask for `value` to be kept over a restart; None forgets the key."""
        self.emit(Persist(key, value))

    def notice(self, what: str, detail: str = "") -> None:
        """Something that a log should show."""
        self.emit(Noticed(what, detail[:200]))

    def set_clock(self, current_time: object) -> None:
        """Take the CSMS's clock."""
        unix_ms = ocpp16.parse_timestamp(current_time)
        if unix_ms is None:
            return
        if self.mode.whole_seconds:
            unix_ms -= unix_ms % 1000
        offset_ms = unix_ms - self.now_ms
        if self.unix_offset_ms is not None and abs(offset_ms - self.unix_offset_ms) > CLOCK_STEP_MS:
            self.maintenance.happened("SettingSystemTime")
        if self.unix_offset_ms is None:
            wait_out(self, offset_ms)
        self.unix_offset_ms = offset_ms

    def ask(self, id_tag: str) -> Request:
        """Ask the CSMS about a tag."""
        seconds = self.configuration.integer("Cst_AuthorizationTimeout")
        request = Request("Authorize", {"idTag": id_tag}, timeout_ms=seconds * 1000)
        if self.mode.expires_in_queue:
            request.expires_ms = self.now_ms + request.timeout_ms
        self.outbox.put(request)
        return request

    def install_profile(self, connector_id: int, payload: ocpp16.Payload) -> None:
        """Install a charging profile that came with a transaction."""
        if operations.install_profile(self, connector_id, payload) != "Accepted":
            self.notice("profile of the remote start not taken", f"connector {connector_id}")

    def restart_later(self, kind: Literal["Soft", "Hard"]) -> None:
        """End what runs; restart when the CSMS has had the time to hear of it."""
        for connector in self.connectors:
            connector.session.move(Event.CANCEL)
            connector.end(f"{kind}Reset")
        self.maintenance.happened("ResetOrReboot", kind)
        if self._restart is None:  # a flood of Resets must not put it off for ever
            self._restart = (self.now_ms + self.mode.reset_delay_ms, kind)

    # What happens by itself.

    def _follow(self, now_ms: int) -> None:
        if not self.mode.takes_turns:
            self.tick(now_ms)

    def _pass_time(self, now_ms: int) -> None:
        self.now_ms = max(self.now_ms, now_ms)

    def _on_call(self, call: ocpp16.Call) -> None:
        if self.registration.status == "Rejected" and self.mode.silent_in_rejected:
            self.notice("not answered while rejected", call.action)
            return
        answer, then = operations.answer(self, call)
        if answer is not None:
            self._answers.append(answer)
            if not self.mode.takes_turns:
                self._send_answer()
        then()

    def _send_answer(self) -> None:
        self.emit(Send(ocpp16.render_message(self._answers.popleft())))

    def _send_one(self) -> None:
        """The one message of this turn, an answer before a call."""
        if not self.open or self._turn_sent_ms == self.now_ms:
            return
        self._turn_sent_ms = self.now_ms
        if self._answers:
            self._send_answer()
        else:
            self._send_next()

    def _report_statuses(self) -> None:
        changed = [each for each in self.connectors if each.observe_status()]
        in_use = self.is_whole_operative and not self.out_of_service
        if not in_use and self.mode.whole_waits:
            in_use = any(each.transaction is not None for each in self.connectors)
        whole = "Available" if in_use else "Unavailable"
        told = self.registered or not self.mode.unavailable_until_accepted
        if told and self._whole.observe(whole, "NoError", self.status_minimum_ms(), self.now_ms):
            self.outbox.put(self.status_request(0))
        for connector in changed:
            self.outbox.put(self.status_request(connector.number))

    def _end_reservations(self) -> None:
        self.reservations.expire(self.unix_now())
        for connector in self.connectors:
            if connector.status in ("Faulted", "Unavailable"):
                own = self.reservations.of(connector.number)
                if own is not None:
                    self.reservations.remove(own.reservation_id)
        self._report_statuses()

    def _send_next(self) -> None:
        if not self.open:
            return
        request = self.outbox.next_request(self._lanes(), self.now_ms)
        if request is not None and begin_attempt(self, request):
            payload = self.transactions.payload_of(request)
            call = ocpp16.Call(request.ids[-1], request.action, payload)
            self.emit(Send(ocpp16.render_message(call)))
        elif request is not None:
            self.outbox.take_interrupted()
            answers.give_up(self, request)

    def _lanes(self) -> frozenset[Lane]:
        if self.registered:
            return _ALL_LANES
        # Pending: what the CSMS triggers is sent; Rejected: nothing is (OCPP 1.6, 4.2).
        return _PENDING if self.registration.status == "Pending" else _BOOT_ONLY
