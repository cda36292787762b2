# SPDX-License-Identifier: GPL-3.0-or-later
"""Which row of the file a board gets: decided by claims in the ledger, never by what happens first.

A board that the ledger knows is the unit that it was. Another one becomes the row that names its
MAC, or the first row that names none and whose identity no board has. The claim is on the disk
before a byte is written, so that two stations never give one identity to two boards.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace

from evtool.errors import ConfigError
from evtool.protocol.ledger_record import ClaimTaken, folded
from evtool.provision.fleet.order import UnitOrder
from evtool.provision.ledger.in_change import in_change
from evtool.provision.ledger.store import Change, Ledger
from evtool.provision.ledger.unit_state import UnitState, state
from evtool.provision.run.serial_draw import drawn_serial, held_serial, promised_serials
from evtool.provision.run.verdict import UnitRefused

RETIRED = "decommissioned"
_LOOKED_AT = 100  # rows, for a hint in a message
_NAMED = 10  # rows that are wrong, in one message


@dataclass(frozen=True, slots=True)
class PassedRow:
    """A row that no board can be given, as what it says belongs to another unit.

    Attributes:
        reason: who has what.
    """

    order: UnitOrder
    reason: str

    def __str__(self) -> str:
        return f"{self.order.where}: {self.order.identity} is left out: {self.reason}"


@dataclass(frozen=True, slots=True)
class Assigned:
    """The row of a board.

    Attributes:
        passed: rows before it that were found wrong just now.
        state: what the ledger knew of the unit before this run; None: nothing.
        is_new: the board was bound to it just now.
    """

    order: UnitOrder
    state: UnitState | None
    is_new: bool
    passed: tuple[PassedRow, ...] = ()


class Assignment:
    """Gives boards their rows; any number of threads may ask.

    Args:
        orders: the rows, in the order in which boards get them.
        ledger: where the claims are.
        only_known: no board gets a row that it does not have already.
    """

    def __init__(
        self, orders: Sequence[UnitOrder], ledger: Ledger, *, only_known: bool = False
    ) -> None:
        self._ledger = ledger
        self._only_known = only_known
        self._by_unit = {order.identity: order for order in orders}
        self._by_mac = {order.mac: order for order in orders if order.mac is not None}
        self._free = [order for order in orders if order.mac is None]
        # No row draws what another one says.
        self._given = {folded(order.charge_point.serial_number) for order in orders}
        self._wrong: list[PassedRow] = []
        self._lock = threading.Lock()

    def take(self, mac: str) -> Assigned:
        """The row of the board `mac`, which is claimed for it.

        Raises:
            UnitRefused: it is another unit, or no row is left for it.
            ClaimTaken: what its row says belongs to another unit.
            DeviceError: the ledger cannot be reached.
        """
        if not mac:
            raise UnitRefused(
                "the board does not say its MAC", fix="it cannot be told from others: replace it"
            )
        with self._lock:
            holder = self._ledger.claim_holder("mac", mac)
            if holder is not None:
                return self._known(mac, holder.unit, holder.time)
            wanted = self._by_mac.get(mac)
            if self._only_known:
                raise UnitRefused(
                    f"the ledger does not know the board {mac}",
                    fix="provision it first: `evtool provision fleet run`",
                )
            if wanted is not None:
                return self._named(mac, wanted)
            return self._first_free(mac)

    def give_back(self, assigned: Assigned, mac: str, wrong: str = "") -> None:
        """The board did not become the unit, and nothing of it was written: another one may.

        Args:
            wrong: what is wrong with the row, so that none can.
        """
        order = assigned.order
        with self._lock:
            held = [(each.kind, each.value) for each in self._ledger.claims_of(order.identity)]
            # Its keys stay its own, whichever board will have them; and what was drawn for it.
            own = {"key"} if order.draws is None else {"key", "serial"}

            def release(change: Change) -> None:
                change.release(order.identity, held, mac=mac)
                change.claim(order.identity, [each for each in held if each[0] in own])

            in_change(self._ledger, release)
            if order.mac is None and not wrong:
                self._free.insert(0, order)
            elif order.mac is None:
                self._wrong.append(PassedRow(order, wrong))

    def _known(self, mac: str, unit: str, since: str) -> Assigned:
        order = self._by_unit.get(unit)
        if order is None:
            raise UnitRefused(
                f"the board {mac} is {unit} since {since} (ledger), which is none of these rows",
                fix="add its row, take another board, or retire it: "
                f"`evtool provision fleet decommission {unit}`",
            )
        if order.mac not in (None, mac):
            raise UnitRefused(
                f"the board {mac} is {unit} since {since} (ledger), but {order.where} binds "
                f"{unit} to {order.mac}",
                fix="correct the row's mac, or decommission the unit",
            )
        wanted = self._by_mac.get(mac)
        if wanted is not None and wanted is not order:
            raise UnitRefused(
                f"the board {mac} is {unit} since {since} (ledger), but {wanted.where} binds it "
                f"to {wanted.identity}",
                fix=f"correct the row's mac, or first `evtool provision fleet decommission {unit}`",
            )
        found = state(self._ledger, unit)
        if found is not None and found.status == RETIRED:
            raise _retired(order, found)
        # What the row says may have changed since: it must be won as at the first time.
        return Assigned(self._claimed(order, mac, found), found, is_new=False)

    def _named(self, mac: str, order: UnitOrder) -> Assigned:
        found = state(self._ledger, order.identity)
        if found is not None and found.status == RETIRED:
            raise _retired(order, found)
        return Assigned(self._claimed(order, mac, found), found, is_new=True)

    def _first_free(self, mac: str) -> Assigned:
        taken: list[UnitOrder] = []
        passed: list[PassedRow] = []
        while self._free:
            order = self._free[0]
            found = None
            try:
                self._check_free(order, mac)
                found = state(self._ledger, order.identity)
                if found is None or found.status != RETIRED:
                    claimed = self._claimed(order, mac, found)
                    self._free.pop(0)
                    return Assigned(claimed, found, is_new=True, passed=tuple(passed))
            except ClaimTaken as error:
                # The whole row is another board's already, or it is wrong.
                if (error.holder.kind, error.holder.unit) != ("identity", order.identity):
                    passed.append(PassedRow(order, error.message))
                    self._wrong.append(passed[-1])
            taken.append(self._free.pop(0))
        wrong = "".join(f"\n  {each}" for each in self._wrong[:_NAMED])
        raise UnitRefused(
            f"no row is left for the board {mac}: each has its board already"
            f"{self._retired_among(taken[-_LOOKED_AT:])}{' or is wrong' * bool(wrong)}{wrong}",
            fix="add a row; `evtool provision fleet status` shows who has which"
            + "; mend the rows that are named" * bool(wrong),
        )

    def _check_free(self, order: UnitOrder, mac: str) -> None:
        """A look before anything is locked; raises ClaimTaken."""
        holder = self._ledger.claim_holder("identity", order.identity)
        if holder is not None and not holder.fits(order.identity, mac):
            raise ClaimTaken(holder, order.identity, mac, order.identity)

    def _retired_among(self, orders: Sequence[UnitOrder]) -> str:
        for order in orders:
            found = state(self._ledger, order.identity)
            if found is not None and found.status == RETIRED:
                return f" ({order.identity} is decommissioned and not used again)"
        return ""

    def _claimed(self, order: UnitOrder, mac: str, found: UnitState | None) -> UnitOrder:
        """The order, claimed for the board; a serial number that is drawn stands in it."""
        draws, unit = order.draws, order.identity
        held = None if draws is None else held_serial(self._ledger, unit, found)
        promised = [] if draws is None else promised_serials(self._ledger, unit)

        def claim(change: Change) -> UnitOrder:
            claimed = order
            if draws is not None:
                serial = drawn_serial(change, unit, held, draws, promised, self._given)
                has_it = replace(order.charge_point, serial_number=serial)
                claimed = replace(order, charge_point=has_it)
            change.claim(unit, claims(claimed, mac), mac=mac)
            return claimed

        return in_change(self._ledger, claim)


def claims(order: UnitOrder, mac: str) -> list[tuple[str, str]]:
    """What is a unit's alone, beside its secrets."""
    found = [("identity", order.identity), ("mac", mac)]
    serial = order.charge_point.serial_number
    return [*found, ("serial", serial)] if serial else found


def _retired(order: UnitOrder, found: UnitState) -> ConfigError:
    return ConfigError(
        f"{order.where}: {order.identity} was decommissioned at {found.time}; an identity is "
        "not used again",
        fix="give the row another identity",
    )
