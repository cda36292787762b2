# SPDX-License-Identifier: GPL-3.0-or-later
"""What a unit held before, from the sealed copies of its images, back into its board."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from evtool.errors import CheckFailed, ConfigError
from evtool.protocol.board_flash import BoardFacts, FlashPart
from evtool.protocol.ledger_record import Record
from evtool.protocol.nvs import parse_image
from evtool.provision.evcfg import find_evcfg
from evtool.provision.ledger.in_change import in_change
from evtool.provision.ledger.store import Change, Ledger
from evtool.provision.ledger.unit_state import UnitState, state
from evtool.provision.run.assignment import RETIRED, PassedRow
from evtool.provision.run.board import Board, Firmware, SealedValues
from evtool.provision.run.fleet_target import Mask
from evtool.provision.run.image import (
    IN_BOARD,
    Encryption,
    board_fields,
    encrypted_parts,
    partitions_of,
)
from evtool.provision.run.task import Content
from evtool.provision.run.verdict import UnitRefused

_HELD = ("written", "rotated", "rolled_back")
_SECRET_KEYS = ("auth_key", "wifi_pass", "client_key")
_LEAST_PREFIX = 8


def held_before(records: Iterable[Record]) -> list[Record]:
    """What a unit can be taken back to, the latest first.

    A rollback goes down this list; what it left behind is not on it any more, so that two of
    them go back twice. An image that was planned and never written counts as what it holds now.
    """
    stack: list[Record] = []
    planned = ""
    for record in records:
        image = _image_of(record)
        if record.event == "planned":
            planned = image
        if record.event not in _HELD or not image:
            continue
        planned = ""
        if record.event == "rolled_back":
            while stack and _image_of(stack[-1]) != image:
                stack.pop()
        if not stack or _image_of(stack[-1]) != image:
            stack.append(record)
        else:
            stack[-1] = record
    if stack and not (planned and planned != _image_of(stack[-1])):
        stack.pop()
    return stack[::-1]


def chosen(records: Iterable[Record], unit: str, wanted: str = "") -> Record:
    """The record of the image to go back to.

    Args:
        records: the unit's.
        wanted: the beginning of its SHA-256; "" takes the one before.

    Raises:
        ConfigError: there is none, or the beginning does not say which.
    """
    before = held_before(records)
    if not before:
        raise ConfigError(
            f"the ledger knows of nothing that {unit} held before",
            fix="`evtool provision ledger history` shows what it was given",
        )
    if not wanted:
        return before[0]
    found = [each for each in before if _image_of(each).startswith(wanted.lower())]
    if len(wanted) < _LEAST_PREFIX or len({_image_of(each) for each in found}) != 1:
        known = ", ".join(dict.fromkeys(_image_of(each)[:12] for each in before))
        raise ConfigError(
            f"--to {wanted}: names none of the images that {unit} held before ({known})",
            fix=f"give {_LEAST_PREFIX} or more of its first digits",
        )
    return found[0]


@dataclass(frozen=True, slots=True)
class RollbackTargets:
    """One unit, whichever board says that it is its own.

    Attributes:
        record: of the image to go back to.
        firmware: whose partition table an encrypted board has; it is not written.
    """

    unit: str
    record: Record
    ledger: Ledger
    sealed: SealedValues
    encryption: Encryption
    mask: Mask
    firmware: Firmware | None = None

    def take(self, facts: BoardFacts) -> RollbackTarget:
        """The unit, if this is its board.

        Raises:
            UnitRefused: it is another one, or the unit has left the fleet.
            ClaimTaken: its identity is another board's by now.
        """
        mac = facts.chip.mac
        holder = self.ledger.claim_holder("mac", mac)
        if holder is None or holder.unit != self.unit:
            whose = "no unit's" if holder is None else f"{holder.unit}'s"
            raise UnitRefused(
                f"the board {mac} is {whose} (ledger), not {self.unit}'s",
                fix="connect the unit's own board",
            )
        found = state(self.ledger, self.unit)
        if found is not None and found.status == RETIRED:
            raise UnitRefused(
                f"{self.unit} was decommissioned at {found.time}; it is not brought back",
                fix="erase the board: `evtool provision fleet decommission "
                f"{self.unit} --serial-port PORT`",
            )
        # What was released since may be another board's by now; and what is free is taken again.
        wanted = [("identity", self.unit), ("mac", mac)]
        in_change(self.ledger, lambda change: change.claim(self.unit, wanted, mac=mac))
        return RollbackTarget(self, mac, found)


@dataclass(frozen=True, slots=True)
class RollbackTarget:
    """The unit and its board."""

    targets: RollbackTargets
    mac: str
    state: UnitState | None

    @property
    def unit(self) -> str:
        """Its identity."""
        return self.targets.unit

    @property
    def where(self) -> str:
        """There is no row."""
        return ""

    @property
    def passed(self) -> tuple[PassedRow, ...]:
        """There are no rows."""
        return ()

    def prepare(self, board: Board, facts: BoardFacts, begin: Callable[[str], None]) -> Content:
        """The image as it was sealed, where the board's partition still has its size and place."""
        targets, fields = self.targets, dict(self.targets.record.fields)
        begin("image")
        image = _sealed_image(targets, str(fields.get("sealed_image")))
        partitions = partitions_of(board, facts, targets.firmware, targets.encryption.cipher(facts))
        partition = find_evcfg(partitions, IN_BOARD)
        if (partition.offset, partition.size) != (fields.get("partition_offset"), len(image)):
            raise ConfigError(
                f"{self.unit}: its image is of {len(image)} bytes at "
                f"{fields.get('partition_offset'):#x}, the board's partition {partition.name!r} "
                f"has {partition.size} at {partition.offset:#x}",
                fix="flash the firmware that it ran with first",
            )
        plain = FlashPart(partition.name, partition.offset, image, secret=True)
        entries = parse_image(image).entries
        secrets = [str(each.value) for each in entries if each.key in _SECRET_KEYS]
        begin("encrypt")
        write = encrypted_parts(entries, plain, board, facts, partitions, targets.encryption)
        for name in ("build_id", "firmware_sha256", "rotated", "campaign", "notes"):
            fields.pop(name, None)
        written = None if self.state is None else self.state.written
        fields |= board_fields(facts, None, write)
        fields["rolled_back_from"] = None if written is None else _image_of(written)

        def keep(change: Change) -> None:
            """It is sealed already."""

        return Content(
            identity=write.parts,
            firmware=(),
            fields=fields,
            keep=keep,
            build_id="",
            mask=targets.mask(secrets),
        )

    def give_back(self) -> None:
        """The board was the unit's before, and stays so."""


def _sealed_image(targets: RollbackTargets, name: str) -> bytes:
    image = targets.sealed.get(name)
    if image is None:
        raise CheckFailed(
            f"{targets.unit}: the sealed copy of its image is not in the ledger ({name})",
            fix="use the ledger of the station that wrote it, or merge that one",
        )
    return image


def _image_of(record: Record) -> str:
    image = record.fields.get("image_sha256")
    return image if isinstance(image, str) else ""
