# SPDX-License-Identifier: GPL-3.0-or-later
"""OCPP around a board: what its client must come to say, and what its controller is told.

The CSMS's orders, the plug and the console's wishes say what must become of the transaction,
the permission and the connection: those courses are what the board's events are judged by.

The reference's own word follows those events, because only the board knows when its client
told its controller. What is taken on trust is that moment, and no more.
"""

from __future__ import annotations

from dataclasses import dataclass

from evtool.protocol.can_frame import Malformed
from evtool.protocol.console import Record, parse_line
from evtool.verify.board.course import Course
from evtool.verify.board.seen import CONNECTED, PERMIT, TRANSACTION


class Expected:
    """What the board's OCPP client must come to say.

    Attributes:
        courses: transaction, permitted, connected.
    """

    def __init__(self, connected: bool, now_ms: int) -> None:
        self.courses = {
            TRANSACTION: Course("0", now_ms),
            PERMIT: Course("0", now_ms),
            CONNECTED: Course(str(int(connected)), now_ms),
        }
        self._awaits_vehicle = False
        self._plugged = False
        self._limit_ma: int | None = None

    @property
    def transaction(self) -> bool:
        """Whether one must be running by now."""
        return self.courses[TRANSACTION].last == "1"

    def start(self, now_ms: int) -> None:
        """The CSMS's order was accepted, or the console's wish let through."""
        self._awaits_vehicle = not self.transaction
        self._settle(now_ms)

    def stop(self, now_ms: int) -> None:
        """The transaction is to end."""
        self._awaits_vehicle = False
        self._set_transaction(False, now_ms)

    def limit(self, limit_ma: int | None, now_ms: int) -> None:
        """A charging profile was accepted, or cleared."""
        self._limit_ma = limit_ma
        self._settle(now_ms)

    def plug(self, plugged: bool, now_ms: int) -> None:
        """The vehicle, as the reference knows it: OCPP ends a transaction without one."""
        if plugged != self._plugged:
            self._plugged = plugged
            if not plugged:
                self._set_transaction(False, now_ms)
            self._settle(now_ms)

    def connect(self, connected: bool, now_ms: int) -> None:
        """The CSMS can be reached, or not."""
        self.courses[CONNECTED].note(str(int(connected)), now_ms)

    def _settle(self, now_ms: int) -> None:
        if self._awaits_vehicle and self._plugged:
            self._awaits_vehicle = False
            self._set_transaction(True, now_ms)
        self._set_permit(now_ms)

    def _set_transaction(self, running: bool, now_ms: int) -> None:
        self.courses[TRANSACTION].note(str(int(running)), now_ms)
        self._set_permit(now_ms)

    def _set_permit(self, now_ms: int) -> None:
        permitted = self.transaction and self._limit_ma != 0
        self.courses[PERMIT].note(str(int(permitted)), now_ms)


@dataclass(slots=True)
class BoardWord:
    """OCPP's word for the reference, from what the board says on its console.

    A limit is taken over when the board shows that it has: by its permission for 0, by its
    setpoint for any other; at the latest after the time that OCPP may take.
    """

    connected: bool = False
    transaction: bool = False
    permitted: bool = False
    limit_ma: int | None = None
    _pending: tuple[int | None, int] | None = None
    _told: str = ""

    def event(self, field: str, value: str) -> None:
        """One of the three events of OCPP."""
        if field == CONNECTED:
            self.connected = value == "1"
        elif field == TRANSACTION:
            self.transaction = value == "1"
        elif field == PERMIT:
            self.permitted = value == "1"
            self.take_limit()

    def restart(self) -> None:
        """The board starts anew: it knows of nothing."""
        self.connected = self.transaction = self.permitted = False
        self.limit_ma = self._pending = None

    def new_run(self) -> None:
        """For a new reference, which has not been told anything."""
        self._told = ""

    def order_limit(self, limit_ma: int | None, energised: bool, until_ms: int) -> None:
        """The board is told of a limit, or that there is none."""
        self._pending = (limit_ma, until_ms)
        waits_for_permit = limit_ma == 0 and self.permitted
        if not (waits_for_permit or energised):
            self.take_limit()

    def saw_setpoint(self, current_ma: int, wanted_ma: int | None) -> None:
        """A current setpoint of the board; `wanted_ma` is what the pending limit would make it."""
        if self._pending is not None and self._pending[0] != 0 and current_ma == wanted_ma:
            self.take_limit()

    @property
    def pending_ma(self) -> int | None:
        """The limit that the board has accepted and not shown yet; None for none, or no limit."""
        return None if self._pending is None else self._pending[0]

    def take_limit(self) -> None:
        """What is pending holds from now on."""
        if self._pending is not None:
            self.limit_ma, self._pending = self._pending[0], None

    def due(self, now_ms: int) -> str | None:
        """The line for the reference, when it is a new one."""
        if self._pending is not None and now_ms >= self._pending[1]:
            self.take_limit()
        stopped_by_limit = self.transaction and self.limit_ma == 0
        limit = "-" if self.limit_ma is None else str(self.limit_ma)
        line = (
            f"ocpp connected={self.connected:d} transaction={self.transaction:d} "
            f"permitted={self.permitted or stopped_by_limit:d} limit_ma={limit}"
        )
        if line == self._told:
            return None
        self._told = line
        return line


def no_transaction_said(text: str) -> bool:
    """Whether a console line is the answer to key `t` that says so."""
    record = parse_line(text)
    if record is None or isinstance(record, Malformed):
        return False
    return _refused_stop(record)


def _refused_stop(record: Record) -> bool:
    return record.kind == "stop" and record.fields.get("reason") == "no_transaction"
