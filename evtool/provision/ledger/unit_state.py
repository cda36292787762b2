# SPDX-License-Identifier: GPL-3.0-or-later
"""What the records of a unit say about it now."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from evtool.protocol.ledger_record import Record
from evtool.provision.ledger.store import Ledger

# The events that say how far a unit is. Others (`exported`, `label`) only happened to it.
_STEPS = frozenset(
    {
        "claimed", "released", "planned", "written", "read_back", "proved", "failed",
        "rotated", "rolled_back", "decommissioned",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class UnitState:
    """A unit as its records leave it.

    Attributes:
        unit: its OCPP identity.
        mac: the board that has it, or None where none was bound.
        status: the last step: claimed, planned, written, read_back, proved, failed, rotated,
            rolled_back, decommissioned or released; `new` before the first of them.
        time: of that step.
        written: the last record that says what its board holds, if one.
        proved: the last proof at boot, if there was one since it was written.
        failed: the failure, where that is its status.
        last: its last record of any kind.
        planned: whether the flash of a board was about to be written since it was last free:
            what was written there may not be on record.
    """

    unit: str
    mac: str | None
    status: str
    time: str
    written: Record | None
    proved: Record | None
    failed: Record | None
    last: Record
    planned: bool = False


def fold(records: Iterable[Record]) -> UnitState | None:
    """The state that records of one unit, oldest first, leave it in; None for none.

    The latest of each event and board are enough: earlier ones of the same do not change it.
    """
    step: Record | None = None
    written: Record | None = None
    proved: Record | None = None
    mac: str | None = None
    last: Record | None = None
    planned = False
    for record in records:
        last = record
        is_step = record.event in _STEPS
        if record.event == "released":
            # Some other claim may be given up, and the unit stay what it is.
            kinds = _kinds_left(record)
            mac = mac if "mac" in kinds else None
            is_step = "identity" not in kinds
            planned = planned and not is_step
        elif record.event == "decommissioned":
            mac = None
        elif record.mac is not None:
            mac = record.mac
        planned |= record.event == "planned"
        if record.event in ("written", "rotated", "rolled_back"):
            written, proved = record, None
        elif record.event == "proved":
            proved = record
        if is_step:
            step = record
        elif record.event == "unchanged":
            # All was found right: a failure in between is over.
            step = proved or written or step
    if last is None or last.unit is None:
        return None
    return UnitState(
        unit=last.unit,
        mac=mac,
        status="new" if step is None else step.event,
        time=last.time if step is None else step.time,
        written=written,
        proved=proved,
        failed=step if step is not None and step.event == "failed" else None,
        last=last,
        planned=planned,
    )


def _kinds_left(record: Record) -> set[object]:
    left = record.fields.get("left")
    return {each[0] for each in left if each} if isinstance(left, list) else set()


def state(ledger: Ledger, unit: str) -> UnitState | None:
    """A unit's state; None: the ledger knows nothing of it."""
    return fold(ledger.history(unit=unit))


def state_of_mac(ledger: Ledger, mac: str) -> UnitState | None:
    """The state of the unit that the board `mac` has now, if it has one."""
    holder = ledger.claim_holder("mac", mac)
    if holder is not None:
        return state(ledger, holder.unit)
    for record in reversed(ledger.history(mac=mac)):
        if record.unit is not None:
            found = state(ledger, record.unit)
            return found if found is not None and found.mac == mac else None
    return None


def unit_states(ledger: Ledger) -> Iterator[UnitState]:
    """The states of all units, by identity."""
    for records in ledger.latest():
        found = fold(records)
        if found is not None:
            yield found
