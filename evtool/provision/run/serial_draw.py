# SPDX-License-Identifier: GPL-3.0-or-later
"""A serial number for a unit, out of a range: each number once, whoever draws and when."""

from __future__ import annotations

from collections.abc import Callable, Container

from evtool.protocol.ledger_record import folded
from evtool.provision.fleet.drawn_serial import DrawnSerial
from evtool.provision.ledger.store import Change, Ledger
from evtool.provision.ledger.unit_state import UnitState


def drawn_serial(
    change: Change,
    unit: str,
    held: str | None,
    wanted: DrawnSerial,
    spoken_for: Container[str] = (),
) -> str:
    """The unit's serial number: the one that it has; else the one it drew before, or the next.

    A number whose serial number another unit has already is passed over. The number stays the
    unit's, also where its board fails: the next board that becomes the unit has it.

    Args:
        change: the transaction in which it is drawn; the caller claims it there.
        held: `held_serial`, asked before the transaction began: within it nothing is asked of
            another connection, of which there may be none while many boards wait for this one.
        spoken_for: serial numbers, `folded`, that others will get; they are passed over, too.

    Raises:
        RangeEnded: no number is left, or there is no such range.
    """
    if held is not None:
        return held
    has_no_holder = free_for(change, unit, wanted)

    def is_free(number: int) -> bool:
        return folded(wanted.text(number)) not in spoken_for and has_no_holder(number)

    return wanted.text(change.next_serial(wanted.range, unit, is_free))


def free_for(claims: Ledger | Change, unit: str, wanted: DrawnSerial) -> Callable[[int], bool]:
    """Tells of a number whether no other unit has its serial number."""

    def is_free(number: int) -> bool:
        holder = claims.claim_holder("serial", wanted.text(number))
        return holder is None or holder.unit == unit

    return is_free


def held_serial(ledger: Ledger, unit: str, found: UnitState | None) -> str | None:
    """The serial number that was written into the unit's board, where it is still the unit's."""
    given = None if found is None or found.written is None else found.written.fields
    text = None if given is None else given.get("serial_number")
    if not isinstance(text, str) or not text:
        return None
    holder = ledger.claim_holder("serial", text)
    return text if holder is not None and holder.unit == unit else None
