# SPDX-License-Identifier: GPL-3.0-or-later
"""The OCPP 1.6J charge point: text, inputs and time in, text and permission out.

What it does on the wire is what MicroOcpp does on the device, without the library's defects:
a CallError to Authorize counts as no answer, a refused StopTransaction is tried again, an
answer to nothing of ours is ignored, `HeartbeatInterval` 0 is refused.

Registration: BootNotification until it is accepted, then every connector's status; a plain
reconnect sends neither again. Statuses: `connector_status`. Sessions: `session`. What
waits for the CSMS: `outbox`. What the CSMS may ask: `operations`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from evtool.protocol import ocpp16
from evtool.protocol.can_frame import Malformed
from evtool.reference_impl.charge_point import answers, operations
from evtool.reference_impl.charge_point.configuration import Configuration
from evtool.reference_impl.charge_point.connector_status import (
    Facts,
    StatusReporter,
    connector_status,
)
from evtool.reference_impl.charge_point.kept_transaction import KEY, KeptTransaction, read_kept
from evtool.reference_impl.charge_point.metering import register_wh, sampled_values
from evtool.reference_impl.charge_point.outbox import Lane, Outbox, Request
from evtool.reference_impl.charge_point.register_told import RegisterTold
from evtool.reference_impl.charge_point.session import Event, Phase, Session, Transaction
from evtool.reference_impl.charge_point.smart_charging import ProfileStore
from evtool.reference_impl.charge_point.values import (
    CONNECTOR,
    AskRegister,
    Inputs,
    Output,
    Persist,
    Restart,
    Send,
    Settings,
)
from evtool.reference_impl.controller_types import OcppWord, Report

DEFAULT_BOOT_INTERVAL_S = 60
RESET_DELAY_MS = 10_000
MAX_WAITING_TRANSACTIONS = 4
MAX_RECORDS = 4


class ChargePoint:
    """One charge point with one connector. Times are monotonic milliseconds (`now_ms`)."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.configuration = Configuration(settings.stored)
        self.outbox = Outbox(settings.id_prefix)
        self.profiles = ProfileStore()
        self.session = Session()
        self.inputs = Inputs()
        self.open = False
        self.registered = False
        self.operative = {
            number: settings.stored.get(f"availability.{number}") != "Inoperative"
            for number in (0, CONNECTOR)
        }
        self.now_ms = 0
        self.unix_offset_ms: int | None = None
        self.next_boot_ms: int | None = 0
        self.boot_interval_s = DEFAULT_BOOT_INTERVAL_S
        self._next_heartbeat_ms: int | None = None
        self._next_sample_ms: int | None = None
        self._clock_slot: int | None = None
        self._reporters = {0: StatusReporter(), CONNECTOR: StatusReporter()}
        self._status = "Available"
        self._restart: tuple[int, Literal["Soft", "Hard"]] | None = None
        self._outputs: list[Output] = []
        self._register = RegisterTold(lambda report: self._outputs.append(AskRegister(report)))
        self._kept: Transaction | None = None
        self._cut_off = read_kept(settings.stored.get(KEY, ""))

    # Inputs. Each takes effect at once; `drain` then gives what is to be done.

    def on_open(self, now_ms: int) -> None:
        """The WebSocket is open."""
        self.open = True
        if not self.registered:
            self.next_boot_ms = now_ms
        self.tick(now_ms)

    def on_closed(self, now_ms: int) -> None:
        """The WebSocket has closed, or could not be opened."""
        self.now_ms = max(self.now_ms, now_ms)
        self.open = False
        interrupted = self.outbox.take_interrupted()
        if interrupted is not None:
            answers.on_interrupted(self, interrupted)
        waiting = self.outbox.take_waiting("Authorize")
        if waiting is not None:
            answers.on_no_answer(self, waiting)
        self.tick(now_ms)

    def on_text(self, text: str, now_ms: int) -> None:
        """A text from the CSMS. Nothing that it says raises."""
        self.now_ms = max(self.now_ms, now_ms)
        message = ocpp16.parse_message(text)
        match message:
            case Malformed():
                return  # nobody to answer to
            case ocpp16.Call():
                answer, then = operations.answer(self, message)
                self._outputs.append(Send(ocpp16.render_message(answer)))
                then()
            case ocpp16.CallResult() | ocpp16.CallError():
                request = self.outbox.take_answer(message.unique_id)
                if request is not None:
                    answers.on_answer(self, request, message)
        self.tick(now_ms)

    def on_inputs(self, inputs: Inputs, now_ms: int) -> None:
        """What the controller knows; repeat it at least once a second."""
        self.now_ms = max(self.now_ms, now_ms)
        self.inputs = inputs
        if self._cut_off is not None:  # now that the register is known
            self._stop_cut_off(self._cut_off)
            self._cut_off = None
        self._register.on_inputs(inputs.unstored)
        self.tick(now_ms)

    def on_start_request(self, id_tag: str, now_ms: int) -> None:
        """Somebody presented `id_tag` at the charge point; ignored while a session exists."""
        self.now_ms = max(self.now_ms, now_ms)
        if 0 < len(id_tag) <= ocpp16.MAX_ID_TAG and self.may_start():
            self.begin_session(id_tag, authorize=True)
        self.tick(now_ms)

    def on_stop_request(self, reason: str, now_ms: int) -> None:
        """End the session: a Reason of OCPP 1.6; anything else counts as Other."""
        self.now_ms = max(self.now_ms, now_ms)
        if not self.session.move(Event.CANCEL):
            self.end_transaction(reason if reason in ocpp16.STOP_REASONS else "Other")
        self.tick(now_ms)

    def tick(self, now_ms: int) -> None:
        """Let time pass; call it at least once a second."""
        self.now_ms = max(self.now_ms, now_ms)
        expired = self.outbox.take_expired(self.now_ms)
        if expired is not None:
            answers.on_no_answer(self, expired)
        self._move_session()
        self._report_statuses()
        self._sample()
        self._keep_registered()
        self._send_next()
        if self._restart is not None and self.now_ms >= self._restart[0]:
            self._outputs.append(Restart(self._restart[1]))
            self._restart = None

    def drain(self) -> list[Output]:
        """What is to be done, in order."""
        outputs, self._outputs = self._outputs, []
        return outputs

    def word(self) -> OcppWord:
        """What the controller may do at this moment."""
        transaction = self.session.transaction
        limit_ma = None
        if self.unix_offset_ms is not None:
            start = self.unix_ms(transaction.started_ms) if transaction is not None else None
            limit_ma = self.profiles.limit_ma(self.unix_ms(self.now_ms), start)
        return OcppWord(
            connected=self.open and self.registered,
            transaction=transaction is not None,
            permitted=self.permitted,
            limit_ma=limit_ma,
        )

    # What the other files of this package ask and do.

    @property
    def permitted(self) -> bool:
        """A transaction runs, and the CSMS has not refused it."""
        transaction = self.session.transaction
        return transaction is not None and not transaction.refused

    def may_start(self) -> bool:
        """Whether somebody may identify now."""
        return (
            self.session.phase is Phase.IDLE
            and self.is_operative()
            and self._restart is None
            and self.outbox.waiting_transactions() < MAX_WAITING_TRANSACTIONS
        )

    def is_operative(self) -> bool:
        """Available to users, as far as the CSMS is concerned."""
        return self.registered and all(self.operative.values())

    def unix_ms(self, at_ms: int) -> int:
        """The CSMS's time at a monotonic time; 1970 until it has told its time."""
        return max(0, at_ms + (self.unix_offset_ms or 0))

    def timestamp(self, at_ms: int) -> str:
        """The same as the wire has it."""
        return ocpp16.render_timestamp(min(self.unix_ms(at_ms), ocpp16.LAST_MOMENT_MS))

    def set_clock(self, current_time: object) -> None:
        """Take the CSMS's clock."""
        unix_ms = ocpp16.parse_timestamp(current_time)
        if unix_ms is not None:
            self.unix_offset_ms = unix_ms - self.now_ms

    def begin_session(
        self, id_tag: str, *, authorize: bool, tx_profile: ocpp16.Payload | None = None
    ) -> None:
        """Identify somebody; without the CSMS's word the offline rules decide."""
        if not self.session.move(Event.IDENTIFY if authorize else Event.ADMIT):
            return
        self.session.id_tag = id_tag
        self.session.since_ms = self.now_ms
        self.session.tx_profile = tx_profile
        if not authorize:
            return
        seconds = self.configuration.integer("Cst_AuthorizationTimeout")
        request = Request("Authorize", lambda: {"idTag": id_tag}, timeout_ms=seconds * 1000)
        if self.open and self.registered:
            self.outbox.put(request)
        else:
            answers.on_no_answer(self, request)

    def end_transaction(self, reason: str) -> None:
        """Stop the running transaction, if there is one."""
        transaction = self.session.transaction
        if transaction is None:
            return
        end_ms = self.now_ms
        self.keep(transaction, reason, end_ms)  # its register follows, when it is stored
        self.session.move(Event.END)
        self.profiles.clear(purpose="TxProfile")
        self._next_sample_ms = None
        self.once_stored(Report.TRANSACTION, lambda: self._queue_stop(transaction, reason, end_ms))

    def _queue_stop(self, transaction: Transaction, reason: str, end_ms: int) -> None:
        meter_stop = register_wh(self.inputs)
        self._record(transaction, "StopTxnSampledData", "Transaction.End", end_ms)
        self.keep(transaction, reason, end_ms)

        def build() -> ocpp16.Payload:
            payload: ocpp16.Payload = {
                "transactionId": -1 if transaction.transaction_id is None
                else transaction.transaction_id,
                "meterStop": meter_stop,
                "timestamp": self.timestamp(end_ms),
                "reason": reason,
            }  # fmt: skip
            if reason == "Local":
                payload["idTag"] = transaction.id_tag
            if transaction.records:
                payload["transactionData"] = [
                    {"timestamp": self.timestamp(at_ms), "sampledValue": values}
                    for at_ms, values in transaction.records
                ]
            return payload

        self.outbox.put(
            Request("StopTransaction", build, Lane.TRANSACTION, transaction=transaction)
        )

    def once_stored(self, report: Report, tell: Callable[[], None]) -> None:
        """Call `tell` as soon as the inputs hold a register that may be told."""
        self._register.once_stored(self.inputs.unstored, report, tell)

    def keep(self, transaction: Transaction, reason: str = "", end_ms: int = 0) -> None:
        """Have what is known of `transaction` outlive a power cut; with its reason: it ended."""
        if transaction.transaction_id is not None:
            ended = self.timestamp(end_ms) if reason else ""
            kept = KeptTransaction(
                transaction.transaction_id,
                transaction.id_tag,
                register_wh(self.inputs),
                reason,
                ended,
            )
            self.persist(KEY, kept.render())
            self._kept = transaction

    def forget(self, transaction: Transaction) -> None:
        """The CSMS has heard of the end of `transaction`, or never will."""
        if self._kept is transaction:
            self.persist(KEY, "")
            self._kept = None

    def persist(self, key: str, value: str) -> None:
        """Ask for `value` to be kept over a restart."""
        self._outputs.append(Persist(key, value))

    def restart_later(self, kind: Literal["Soft", "Hard"]) -> None:
        """End what runs; restart when the CSMS has had the time to hear of it."""
        self.session.move(Event.CANCEL)
        self.end_transaction(f"{kind}Reset")
        self._restart = (self.now_ms + RESET_DELAY_MS, kind)

    def boot_request(self) -> Request:
        """BootNotification, which waits for its answer as long as for its next try."""
        settings = self.settings
        payload = {
            "chargePointVendor": settings.vendor,
            "chargePointModel": settings.model,
            "chargePointSerialNumber": settings.serial_number,
            "firmwareVersion": settings.firmware_version,
        }
        sent = {name: value for name, value in payload.items() if value}
        return Request(
            "BootNotification", lambda: sent, Lane.BOOT, timeout_ms=self.boot_interval_s * 1000
        )

    def status_request(self, connector_id: int) -> Request:
        """StatusNotification of what was last reported, with the time of the change."""
        reporter = self._reporters[connector_id]
        status, error = reporter.current or ("Unavailable", "NoError")
        since_ms = reporter.since_ms

        def build() -> ocpp16.Payload:
            return {
                "connectorId": connector_id,
                "errorCode": error,
                "status": status,
                "timestamp": self.timestamp(since_ms),
            }

        return Request("StatusNotification", build)

    def queue_sample(self, key: str, context: str, lane: Lane = Lane.TRANSACTION) -> None:
        """Send MeterValues of the measurands that `key` lists and that are known now."""
        values = sampled_values(self.inputs, self.configuration.measurands(key), context)
        if not values:
            return
        at_ms, transaction = self.now_ms, self.session.transaction

        def build() -> ocpp16.Payload:
            payload: ocpp16.Payload = {"connectorId": CONNECTOR}
            if transaction is not None and transaction.transaction_id is not None:
                payload["transactionId"] = transaction.transaction_id
            payload["meterValue"] = [{"timestamp": self.timestamp(at_ms), "sampledValue": values}]
            return payload

        self.outbox.put(Request("MeterValues", build, lane, transaction=transaction))

    # What happens by itself.

    def _move_session(self) -> None:
        session, inputs = self.session, self.inputs
        if session.phase is Phase.AUTHORIZED and inputs.plugged and self.is_operative():
            if self._may_tell(Report.TRANSACTION):
                self._start_transaction()
        elif session.phase in (Phase.AUTHORIZING, Phase.AUTHORIZED):
            limit_ms = self.configuration.integer("ConnectionTimeOut") * 1000
            if limit_ms and not inputs.plugged and self.now_ms - session.since_ms >= limit_ms:
                session.move(Event.CANCEL)
        elif session.phase is Phase.RUNNING and not inputs.plugged:
            if self.configuration.boolean("StopTransactionOnEVSideDisconnect"):
                self.end_transaction("EVDisconnected")
                self._status = "Available"  # the vehicle has gone: there is nothing to finish

    def _start_transaction(self) -> None:
        session = self.session
        transaction = Transaction(session.id_tag, self.now_ms)
        tx_profile = session.tx_profile
        session.move(Event.BEGIN)
        session.transaction = transaction
        meter_start = register_wh(self.inputs)

        def build() -> ocpp16.Payload:
            return {
                "connectorId": CONNECTOR,
                "idTag": transaction.id_tag,
                "meterStart": meter_start,
                "timestamp": self.timestamp(transaction.started_ms),
            }

        self.outbox.put(
            Request("StartTransaction", build, Lane.TRANSACTION, transaction=transaction)
        )
        if tx_profile is not None:
            operations.install_profile(self, CONNECTOR, tx_profile)
        self._record(transaction, "StopTxnSampledData", "Transaction.Begin", self.now_ms)
        self._next_sample_ms = self.now_ms

    def _stop_cut_off(self, kept: KeptTransaction) -> None:
        """End the transaction that the last restart cut off."""
        transaction = Transaction(kept.id_tag, self.now_ms, kept.transaction_id)
        self._kept = transaction
        at_ms, meter_wh = self.now_ms, register_wh(self.inputs)

        def build() -> ocpp16.Payload:
            return kept.stop_payload(self.settings.restart_reason, self.timestamp(at_ms), meter_wh)

        self.outbox.put(
            Request("StopTransaction", build, Lane.TRANSACTION, transaction=transaction)
        )

    def _may_tell(self, report: Report) -> bool:
        return self._register.may_tell(self.inputs.unstored, report)

    def _record(self, transaction: Transaction, key: str, context: str, at_ms: int) -> None:
        """Keep a sample for StopTransaction; the last place is the end's."""
        values = sampled_values(self.inputs, self.configuration.measurands(key), context)
        if values and (len(transaction.records) < MAX_RECORDS - 1 or context == "Transaction.End"):
            transaction.records.append((at_ms, values))

    def _report_statuses(self) -> None:
        session, inputs = self.session, self.inputs
        if not self.registered or self.unix_offset_ms is None:
            return
        self._status = connector_status(
            Facts(
                faulted=inputs.faulted,
                operative=self.is_operative(),
                transaction=session.transaction is not None,
                identified=session.phase is not Phase.IDLE,
                permitted=self.permitted and self.word().limit_ma != 0,
                plugged=inputs.plugged,
                ev_ready=inputs.ev_ready,
                evse_ready=inputs.evse_ready,
                previous=self._status,
            )
        )
        whole = "Available" if self.operative[0] else "Unavailable"
        minimum_ms = self.configuration.integer("MinimumStatusDuration") * 1000
        for number, status, error in (
            (0, whole, "NoError"),
            (CONNECTOR, self._status, inputs.error),
        ):
            if self._reporters[number].observe(status, error, minimum_ms, self.now_ms):
                self.outbox.put(self.status_request(number))

    def _sample(self) -> None:
        """MeterValues at their periods, while a transaction runs."""
        transaction = self.session.transaction
        interval_ms = self.configuration.integer("MeterValueSampleInterval") * 1000
        if transaction is None or self._next_sample_ms is None:
            return
        due = interval_ms and self.now_ms - self._next_sample_ms >= interval_ms
        if due and self._may_tell(Report.SAMPLE):
            # One sample, however long the pause was; the grid stays that of the start.
            self._next_sample_ms = self.now_ms - (self.now_ms - self._next_sample_ms) % interval_ms
            self.queue_sample("MeterValuesSampledData", "Sample.Periodic")
        aligned_ms = self.configuration.integer("ClockAlignedDataInterval") * 1000
        if not aligned_ms or self.unix_offset_ms is None:
            self._clock_slot = None
            return
        slot = self.unix_ms(self.now_ms) % 86_400_000 // aligned_ms
        if self._clock_slot is not None and slot != self._clock_slot:
            if not self._may_tell(Report.SAMPLE):
                return
            self.queue_sample("MeterValuesAlignedData", "Sample.Clock")
            self._record(transaction, "StopTxnAlignedData", "Sample.Clock", self.now_ms)
        self._clock_slot = slot

    def _keep_registered(self) -> None:
        if not self.registered:
            if (
                self.open
                and self.next_boot_ms is not None
                and self.now_ms >= self.next_boot_ms
                and not self.outbox.has("BootNotification")
            ):
                self.next_boot_ms = None
                self.outbox.put(self.boot_request())
            return
        interval_ms = self.configuration.integer("HeartbeatInterval") * 1000
        if self._next_heartbeat_ms is None:
            self._next_heartbeat_ms = self.now_ms
        if self.now_ms - self._next_heartbeat_ms >= interval_ms:
            self._next_heartbeat_ms = self.now_ms
            if self.open and not self.outbox.has("Heartbeat"):
                timeout_ms = min(4_000, interval_ms)
                self.outbox.put(Request("Heartbeat", dict, timeout_ms=timeout_ms))

    def _send_next(self) -> None:
        if not self.open:
            return
        lanes = frozenset(Lane) if self.registered else frozenset({Lane.BOOT})
        call = self.outbox.next_call(lanes, self.now_ms)
        if call is not None:
            self._outputs.append(Send(ocpp16.render_message(call)))
