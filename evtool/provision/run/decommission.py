# SPDX-License-Identifier: GPL-3.0-or-later
"""A unit leaves the fleet: its identity is erased from the board, and never used again silently."""

from __future__ import annotations

from dataclasses import dataclass, replace

from evtool.errors import ConfigError, EvtoolError
from evtool.protocol.board_flash import BoardFacts, FlashPart
from evtool.provision.evcfg import find_evcfg
from evtool.provision.ledger.in_change import in_change
from evtool.provision.ledger.store import Change, Ledger
from evtool.provision.ledger.unit_state import UnitState, state
from evtool.provision.plan import compare
from evtool.provision.run.assignment import RETIRED
from evtool.provision.run.board import Board, Firmware, OpenWork, Tell
from evtool.provision.run.image import IN_BOARD, partitions_of
from evtool.provision.run.verdict import UnitRefused


@dataclass(frozen=True, slots=True)
class Leaving:
    """How a unit leaves.

    Attributes:
        is_lost: its board is not at hand.
        release: its identity and serial number may be used again, by any board.
        reason: for the record.
    """

    is_lost: bool = False
    release: bool = False
    reason: str = ""


def unit_to_leave(ledger: Ledger, unit: str, leaving: Leaving) -> UnitState:
    """The unit's state, if it may leave so; its board is the one that it left without, if so.

    Raises:
        ConfigError: the ledger does not know it; or what is asked for could leave its identity
            in a board and give it to another one.
    """
    found = state(ledger, unit)
    if found is None:
        raise ConfigError(
            f"the ledger knows no unit {unit!r}", fix="`evtool provision fleet status` lists them"
        )
    if leaving.is_lost and leaving.release and may_be_in_a_board(found):
        raise ConfigError(
            f"{unit} may be in the board {found.mac or 'that it was written to'}, which is lost: "
            "its identity cannot be released",
            fix="leave out --release, or erase the board with --serial-port",
        )
    if found.status == RETIRED and found.mac is None:
        # It left without its board, which is still its: that one may turn up to be erased.
        macs = [each.value for each in ledger.claims_of(unit) if each.kind == "mac"]
        return replace(found, mac=macs[0] if macs else None)
    return found


def was_erased(ledger: Ledger, unit: str) -> bool:
    """Whether the unit's last leaving says that its board holds it no more."""
    for record in reversed(ledger.history(unit=unit)):
        if record.event == RETIRED:
            return record.fields.get("erased") is True
    return False


def may_be_in_a_board(found: UnitState) -> bool:
    """Whether a flash may hold the unit's identity, as far as the ledger tells."""
    if found.planned or found.written is not None:
        return True  # whatever was claimed since
    return found.status not in {"claimed", "released"}


def erase(
    board: Board,
    facts: BoardFacts,
    found: UnitState,
    open_work: OpenWork,
    tell: Tell,
    firmware: Firmware | None = None,
) -> int:
    """Erase the identity in the unit's own board, and see that it is gone.

    Args:
        firmware: whose partition table an encrypted board has; it is not written.

    Returns:
        how many bytes were erased; 0 where it was gone already.

    Raises:
        UnitRefused: the board is another one.
        DeviceError, CheckFailed: it is not erased.
    """
    mac = facts.chip.mac
    try:
        if found.mac != mac:
            raise UnitRefused(
                f"the board {mac} is not {found.unit}'s, which has {found.mac or 'none'} (ledger)",
                fix="connect the unit's own board, or say --board-lost",
            )
        tell("phase", {"phase": "erase"})
        partition = find_evcfg(partitions_of(board, facts, firmware), IN_BOARD)
        blank = FlashPart(partition.name, partition.offset, b"\xff" * partition.size)
        work = open_work(board, (blank,), tell)
        wanted = work.compare()
        work.bring(wanted)
        tell("phase", {"phase": "read_back"})
        compare(blank, board.read(blank.offset, len(blank.data)))
    except EvtoolError:
        board.restart()
        raise
    board.restart()
    return sum(len(part.data) for part in wanted)


def record_leaving(
    ledger: Ledger, found: UnitState, leaving: Leaving, *, erased: bool
) -> tuple[str, ...]:
    """The unit has left. Of a unit that has left already nothing is recorded again.

    Args:
        erased: its board holds it no more.

    Returns:
        the kinds of claims that were given up.
    """
    claims = [(each.kind, each.value) for each in ledger.claims_of(found.unit)]
    free = leaving.release and (erased or not may_be_in_a_board(found))
    given_up = [each for each in claims if free or (erased and each[0] == "mac")]
    if found.status == RETIRED and not given_up:
        return ()
    fields: dict[str, object] = {"erased": erased, "released": free}
    if leaving.reason:
        fields["reason"] = leaving.reason

    def leave(change: Change) -> None:
        # Released last: where the identity is free again, that is what it is.
        change.append(RETIRED, unit=found.unit, mac=found.mac, fields=fields)
        if given_up:
            change.release(found.unit, given_up)

    in_change(ledger, leave)
    return tuple(dict.fromkeys(kind for kind, _ in given_up))
