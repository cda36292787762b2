# SPDX-License-Identifier: GPL-3.0-or-later
"""One physical connector: who is identified, the transaction, the status.

Session: `session`. Status: `connector_status`. MeterValues: `sampling`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from evtool.protocol import ocpp16
from evtool.reference_impl.charge_point.authorization import Verdict
from evtool.reference_impl.charge_point.connector_status import (
    AFTER_A_TRANSACTION,
    Facts,
    StatusReporter,
    connector_status,
)
from evtool.reference_impl.charge_point.metering import register_wh
from evtool.reference_impl.charge_point.outbox import Request
from evtool.reference_impl.charge_point.register_told import RegisterTold
from evtool.reference_impl.charge_point.sampling import Sampling
from evtool.reference_impl.charge_point.session import Event, Phase, Session
from evtool.reference_impl.charge_point.values import AskRegister, Inputs, Unlock
from evtool.reference_impl.controller_types import Report

if TYPE_CHECKING:
    from evtool.reference_impl.charge_point.machine import ChargePoint
    from evtool.reference_impl.charge_point.reservations import Reservation
    from evtool.reference_impl.charge_point.transactions import Transaction

IN_USE = frozenset({"Preparing", "Finishing"})
_BEFORE_A_TRANSACTION = frozenset({"Available", "Preparing", "Reserved"})
_NO_INPUTS = Inputs()


class Connector:
    """A connector from 1 on.

    Attributes:
        inputs: what is known of it; `seen` once there are any.
        is_operative: as the CSMS has set it, apart from connector 0.
        still_used: Inoperative waits until who uses it now has gone.
        status: the last one that held.
        cut_off: a transaction that ran when the power failed, until the register is known.
        resumed_unseen: the transaction goes on after a power cut, and its vehicle has gone.
        ending: how the transaction ends, as reason and tag, once the CSMS has told the time.
        moved_ms: when a transaction last began or ended.
        stopped_by: who ended the last transaction by card, while the vehicle is still there.
        stopping: the Authorize of another card that may end the transaction, and its tag.
    """

    __slots__ = (
        "_charge_point",
        "_register",
        "cut_off",
        "ending",
        "inputs",
        "is_operative",
        "moved_ms",
        "number",
        "reporter",
        "resumed_unseen",
        "sampling",
        "seen",
        "session",
        "status",
        "still_used",
        "stopped_by",
        "stopping",
    )

    def __init__(self, charge_point: ChargePoint, number: int) -> None:
        self._charge_point = charge_point
        self._register: RegisterTold | None = None
        self.number = number
        self.session = Session()
        self.inputs = _NO_INPUTS
        self.seen = False
        stored = charge_point.settings.stored.get(f"availability.{number}")
        self.is_operative = stored != "Inoperative"
        self.still_used = False
        self.status = "Available"
        self.reporter = StatusReporter(
            charge_point.mode.reports_cleared_errors, not charge_point.mode.times_status_alone
        )
        self.sampling = Sampling(charge_point, self)
        self.cut_off: list[Transaction] = []
        self.ending: tuple[str, str] | None = None
        self.moved_ms: int | None = None
        self.resumed_unseen = False
        self.stopped_by = ""
        self.stopping: tuple[Request, str] | None = None

    # What is known and may be told.

    @property
    def transaction(self) -> Transaction | None:
        """The transaction that runs."""
        return self.session.transaction

    @property
    def permitted(self) -> bool:
        """A transaction runs, and the CSMS has not refused it, or leaves it some energy."""
        transaction = self.session.transaction
        if transaction is None or not transaction.refused:
            return transaction is not None and self.ending is None
        allowed_wh = self._charge_point.configuration.integer("MaxEnergyOnInvalidId")
        return register_wh(self.inputs) - transaction.refused_wh < allowed_wh

    def may_start(self) -> bool:
        """Whether somebody may identify now."""
        charge_point = self._charge_point
        return (
            self.session.phase is Phase.IDLE
            and (charge_point.mode.identifies_inoperative or charge_point.is_usable(self))
            and (charge_point.mode.starts_when_faulted or not self.inputs.faulted)
            and not charge_point.is_restarting()
            and not charge_point.transactions.is_full()
        )

    def may_tell(self, report: Report) -> bool:
        """Whether the register at hand may be told; if not, the controller is asked."""
        if not self.inputs.unstored and self._register is None:
            return True
        return self._told().may_tell(self.inputs.unstored, report)

    def once_stored(self, report: Report, tell: Callable[[], None]) -> None:
        """Call `tell` as soon as the inputs hold a register that may be told."""
        if not self.inputs.unstored and self._register is None:
            tell()
        else:
            self._told().once_stored(self.inputs.unstored, report, tell)

    # What happens.

    def on_inputs(self, inputs: Inputs) -> None:
        """New inputs."""
        if not inputs.plugged:
            self.stopped_by = ""
        self.inputs = inputs
        self.seen = True
        if self._register is not None:
            self._register.on_inputs(inputs.unstored)

    def identify(
        self,
        id_tag: str,
        *,
        authorize: bool,
        floats: bool = False,
        tx_profile: ocpp16.Payload | None = None,
    ) -> None:
        """Begin a session; with `authorize` what is known here or the CSMS decides."""
        charge_point, session = self._charge_point, self.session
        if not session.move(Event.IDENTIFY):
            return
        session.id_tag = id_tag
        session.parent_id_tag = charge_point.authorization.parent_of(id_tag)
        session.since_ms = charge_point.now_ms
        session.since_unix_ms = (
            charge_point.unix_now() if charge_point.unix_offset_ms is not None else None
        )
        session.floats = floats
        session.tx_profile = tx_profile
        verdict = charge_point.authorization.judge(id_tag) if authorize else Verdict.ACCEPT
        if verdict is Verdict.ASK:
            session.request = charge_point.ask(id_tag)
            return
        self.decide(verdict is Verdict.ACCEPT)
        if authorize and charge_point.mode.authorizes_listed and charge_point.open:
            charge_point.ask(id_tag)

    def decide(self, accepted: bool) -> None:
        """Who identified is let in, or not: refused, or another one has reserved."""
        session = self.session
        reservation = self._charge_point.reserved_by(self)
        if reservation is not None and not reservation.admits(
            session.id_tag, session.parent_id_tag
        ):
            accepted = False
        session.move(Event.ADMIT if accepted else Event.CANCEL)

    def move(self) -> None:
        """What follows by itself from inputs and time."""
        session, inputs, charge_point = self.session, self.inputs, self._charge_point
        waits = charge_point.mode.unavailable_until_accepted and not charge_point.registered
        resumes = charge_point.mode.resumes_transactions
        if self.cut_off and self.seen and (resumes or charge_point.unix_offset_ms is not None):
            self._end_cut_off()
        if waits:
            return
        if self.ending is not None:
            before = self.status
            self.end(*self.ending)
            self.status = before  # nobody has been told of what was before the restart
        if session.phase is Phase.AUTHORIZED and inputs.plugged and self._may_begin():
            if self.may_tell(Report.TRANSACTION):
                self._begin()
        elif session.phase in (Phase.AUTHORIZING, Phase.AUTHORIZED):
            if not inputs.plugged and self._is_waited_out():
                session.move(Event.CANCEL)
        elif session.phase is Phase.RUNNING and not inputs.plugged:
            if charge_point.configuration.boolean("StopTransactionOnEVSideDisconnect"):
                lost = self.resumed_unseen and charge_point.mode.lost_vehicle_is_power_loss
                self.end("PowerLoss" if lost else "EVDisconnected")
                self.status = "Available"  # the vehicle has gone: there is nothing to finish
                if charge_point.settings.has_lock and charge_point.configuration.boolean(
                    "UnlockConnectorOnEVSideDisconnect"
                ):
                    charge_point.emit(Unlock(self.number))
        if session.phase is Phase.IDLE and not inputs.plugged:
            self.still_used = False

    def end(self, reason: str, stop_id_tag: str = "") -> None:
        """Stop the running transaction, if there is one; its register follows once stored."""
        transaction, charge_point = self.session.transaction, self._charge_point
        if transaction is None:
            return
        if charge_point.unix_offset_ms is None:
            self.ending = self.ending or (reason, stop_id_tag)
            return
        self.ending = None
        transaction.reason = reason
        transaction.stop_id_tag = stop_id_tag
        transaction.ended_unix_ms = charge_point.unix_now()
        self._raise_meter(transaction)
        charge_point.transactions.keep(transaction)
        self.session.move(Event.END)
        if self.status in _BEFORE_A_TRANSACTION:  # it ended before its status was looked at
            self.status = "Finishing"
        self.moved_ms = charge_point.now_ms
        self.resumed_unseen = False
        self.still_used = False
        self.stopping = None
        self.stopped_by = stop_id_tag
        self.sampling.stop()
        charge_point.profiles.end_transaction(self.number)

        def tell() -> None:
            self._raise_meter(transaction)
            self.sampling.record(
                transaction, "StopTxnSampledData", "Transaction.End", transaction.ended_unix_ms
            )
            charge_point.transactions.stop(transaction)

        self.once_stored(Report.TRANSACTION, tell)

    def refuse(self) -> None:
        """The CSMS does not accept who is identified here already."""
        if self.session.move(Event.CANCEL):
            return
        transaction = self.session.transaction
        if transaction is not None:
            self.take_refusal(transaction)
            if self._charge_point.configuration.boolean("StopTransactionOnInvalidId"):
                self.end("DeAuthorized")

    def take_refusal(self, transaction: Transaction) -> None:
        """The CSMS refuses the tag of what runs here: from now on little or nothing may flow."""
        transaction.refused = True
        transaction.refused_wh = register_wh(self.inputs)

    def observe_status(self) -> bool:
        """Take the status of this moment; True where it is to be sent now."""
        charge_point, session, inputs = self._charge_point, self.session, self.inputs
        mode = charge_point.mode
        if mode.transaction_before_status and self.moved_ms == charge_point.now_ms:
            return False
        if mode.unavailable_until_accepted and not charge_point.registered:
            return False
        running = session.transaction is not None
        reservation = charge_point.reserved_by(self) if charge_point.reservations else None
        self.status = connector_status(
            Facts(
                faulted=inputs.faulted,
                operative=charge_point.is_operative(self),
                in_use=running or self.still_used,
                transaction=running,
                reserved=reservation is not None and not self._is_holder(reservation),
                identified=session.phase is not Phase.IDLE,
                permitted=running and self.permitted and charge_point.limit_ma(self) != 0,
                plugged=inputs.plugged,
                ev_ready=inputs.ev_ready,
                evse_ready=inputs.evse_ready,
                previous=self.status,
            )
        )
        return self.reporter.observe(
            self.status, inputs.error, charge_point.status_minimum_ms(), charge_point.now_ms
        )

    def is_finishing(self) -> bool:
        """A transaction has ended, and its vehicle is still there."""
        return self.session.phase is Phase.IDLE and self.status in AFTER_A_TRANSACTION

    def next_due_ms(self) -> int | None:
        """When something happens by itself."""
        charge_point, configuration = self._charge_point, self._charge_point.configuration
        due = []
        if self.session.phase in (Phase.AUTHORIZING, Phase.AUTHORIZED) and not self.inputs.plugged:
            limit_s = configuration.integer("ConnectionTimeOut")
            due += [self.session.since_ms + limit_s * 1000] if limit_s else []
        minimum_ms = charge_point.status_minimum_ms()
        stable_ms = self.reporter.due_ms(minimum_ms) if minimum_ms is not None else None
        due += [stable_ms] if stable_ms is not None else []
        if charge_point.mode.transaction_before_status and self.moved_ms == charge_point.now_ms:
            due.append(charge_point.now_ms + 1)
        sample_ms = self.sampling.next_due_ms()
        due += [sample_ms] if sample_ms is not None else []
        if self.transaction is not None and charge_point.profiles:
            due.append(charge_point.now_ms + 1000)  # a schedule may change the limit
        return min(due, default=None)

    # The transaction.

    def _may_begin(self) -> bool:
        charge_point = self._charge_point
        in_time = charge_point.is_operative(self) or self.still_used
        if self.inputs.faulted:
            return False  # who has identified waits until it is over
        return in_time and charge_point.registered and charge_point.unix_offset_ms is not None

    def _begin(self) -> None:
        charge_point, session = self._charge_point, self.session
        reservation = charge_point.reservations.holder(
            self.number, session.id_tag, session.parent_id_tag
        )
        transaction = charge_point.transactions.begin(
            self.number,
            session.id_tag,
            charge_point.unix_now(),
            register_wh(self.inputs),
            reservation.reservation_id if reservation is not None else None,
        )
        transaction.parent_id_tag = session.parent_id_tag
        if reservation is not None:
            charge_point.reservations.remove(reservation.reservation_id)
        tx_profile = session.tx_profile
        session.move(Event.BEGIN)
        session.transaction = transaction
        self.moved_ms = charge_point.now_ms
        if tx_profile is not None:
            charge_point.install_profile(self.number, tx_profile)
        self.sampling.start(transaction)

    def _is_waited_out(self) -> bool:
        charge_point, session = self._charge_point, self.session
        limit_ms = charge_point.configuration.integer("ConnectionTimeOut") * 1000
        waited_ms = charge_point.now_ms - session.since_ms
        if charge_point.mode.whole_seconds and session.since_unix_ms is not None:
            waited_ms = max(waited_ms, charge_point.unix_now() - session.since_unix_ms)
        return limit_ms > 0 and waited_ms >= limit_ms

    def _end_cut_off(self) -> None:
        charge_point = self._charge_point
        ended, self.cut_off = self.cut_off, []
        for transaction in ended:
            # Where the vehicle has gone it ends by itself, as any other (EVDisconnected).
            resumes = charge_point.mode.resumes_transactions and not transaction.reason
            if resumes and self.session.move(Event.RESUME):
                self.session.id_tag = transaction.id_tag
                self.resumed_unseen = not self.inputs.plugged
                self.session.transaction = transaction
                self.sampling.resume()
                continue
            if not transaction.reason:
                transaction.reason = charge_point.settings.restart_reason
                transaction.ended_unix_ms = max(
                    charge_point.unix_now(), transaction.started_unix_ms
                )
                self._raise_meter(transaction)
            charge_point.profiles.end_transaction(self.number)
            charge_point.transactions.stop(transaction)

    def _raise_meter(self, transaction: Transaction) -> None:
        # Never below what the CSMS was told, though somebody may have erased the register.
        transaction.meter_wh = max(transaction.meter_wh, register_wh(self.inputs))

    def _is_holder(self, reservation: Reservation) -> bool:
        session = self.session
        return session.phase is not Phase.IDLE and reservation.admits(
            session.id_tag, session.parent_id_tag
        )

    def _told(self) -> RegisterTold:
        if self._register is None:
            self._register = RegisterTold(
                lambda report: self._charge_point.emit(AskRegister(report, self.number))
            )
        return self._register
