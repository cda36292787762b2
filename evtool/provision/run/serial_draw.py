# SPDX-License-Identifier: GPL-3.0-or-later
"""A serial number for a unit, out of a range: each number once, whoever draws and when."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable

from evtool.protocol.ledger_record import folded
from evtool.provision.fleet.drawn_serial import DrawnSerial
from evtool.provision.ledger.store import Change, Ledger
from evtool.provision.ledger.unit_state import UnitState


def drawn_serial(
    change: Change,
    unit: str,
    held: str | None,
    wanted: DrawnSerial,
    promised: Iterable[str] = (),
    spoken_for: Container[str] = (),
) -> str:
    """The unit's serial number: the one that it has; else the one it drew before, or the next.

    A number whose serial number another unit has already is passed over, also where the unit
    drew it before. The number stays the unit's, also where its board fails: the next board that
    becomes the unit has it.

    Args:
        change: the transaction in which it is drawn; the caller claims it there.
        held: `held_serial`, and
        promised: `promised_serials`, both asked before the transaction began: within it nothing
            is asked of another connection, of which there may be none while many boards wait
            for this one.
        spoken_for: serial numbers, `folded`, that others will get; they are passed over, too.

    Raises:
        RangeEnded: no number is left, or there is no such range.
    """
    if held is not None:
        return held
    is_free = free_for(change, unit, wanted, spoken_for)
    serial = wanted.text(change.next_serial(wanted.range, unit, is_free))
    _give_up_others(change, unit, serial, promised)
    return serial


def _give_up_others(change: Change, unit: str, serial: str, promised: Iterable[str]) -> None:
    """What the unit was promised under another format or range, and no board has."""
    for each in promised:
        holder = change.claim_holder("serial", each)
        if folded(each) != folded(serial) and holder is not None and holder.mac is None:
            change.release(unit, [("serial", each)])


def free_for(
    claims: Ledger | Change, unit: str, wanted: DrawnSerial, spoken_for: Container[str] = ()
) -> Callable[[int], bool]:
    """Tells of a number whether the unit can have its serial number: no other has it or gets it."""

    def is_free(number: int) -> bool:
        holder = claims.claim_holder("serial", wanted.text(number))
        if holder is None:
            return folded(wanted.text(number)) not in spoken_for
        return holder.unit == unit

    return is_free


def held_serial(ledger: Ledger, unit: str, found: UnitState | None) -> str | None:
    """The serial number that was written into the unit's board, where it is still the unit's."""
    given = None if found is None or found.written is None else found.written.fields
    text = None if given is None else given.get("serial_number")
    if not isinstance(text, str) or not text:
        return None
    holder = ledger.claim_holder("serial", text)
    return text if holder is not None and holder.unit == unit else None


def promised_serials(ledger: Ledger, unit: str) -> list[str]:
    """The serial numbers that the unit has and no board: drawn for it, the latest last."""
    found = [each for each in ledger.claims_of(unit) if each.kind == "serial" and each.mac is None]
    return [each.value for each in sorted(found, key=lambda each: (each.time, each.seq))]
