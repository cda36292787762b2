# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run would do with each row, as far as the ledger tells: no board is asked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from evtool.provision.fleet.order import UnitOrder
from evtool.provision.ledger.store import Ledger
from evtool.provision.ledger.unit_state import UnitState, state
from evtool.provision.run.assignment import RETIRED

NEW, GO_ON, CHECK, LEFT_OUT = "provision", "continue", "check", "leave_out"
_DONE = ("proved", "read_back")
_FREE = ("released",)


@dataclass(frozen=True, slots=True)
class RowPlan:
    """One row.

    Attributes:
        mac: the board that has it, or that the row names; None: the next one without a unit.
        action: provision a board anew, continue with the one that has it, check that it is
            still right, or leave the row out (its identity is retired).
        status: the ledger's word, `not_begun` where it has none.
    """

    order: UnitOrder
    mac: str | None
    action: str
    status: str

    def as_dict(self) -> dict[str, object]:
        """The row as `--json` prints it."""
        return {
            "unit": self.order.identity,
            "where": str(self.order.where),
            "mac": self.mac,
            "action": self.action,
            "status": self.status,
        }


def planned_rows(orders: Iterable[UnitOrder], ledger: Ledger | None) -> Iterator[RowPlan]:
    """Each row with what would become of it.

    Args:
        ledger: None where there is none yet.
    """
    for order in orders:
        found = None if ledger is None else state(ledger, order.identity)
        yield _planned(order, found)


def _planned(order: UnitOrder, found: UnitState | None) -> RowPlan:
    if found is None or found.status in _FREE:
        return RowPlan(order, order.mac, NEW, "not_begun" if found is None else found.status)
    if found.status == RETIRED:
        return RowPlan(order, found.mac, LEFT_OUT, found.status)
    mac = found.mac or order.mac
    if found.mac is None and found.written is None:
        return RowPlan(order, mac, NEW, found.status)
    return RowPlan(order, mac, CHECK if found.status in _DONE else GO_ON, found.status)
