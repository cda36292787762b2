# SPDX-License-Identifier: GPL-3.0-or-later
"""The identity that `evtool flash` writes along: claimed first, recorded when it is there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from evtool.cli.ledger_entry import LedgerEntry, key_claims
from evtool.cli.ledger_option import opened_ledger
from evtool.errors import ConfigError, EvtoolError
from evtool.protocol.ledger_record import ClaimTaken
from evtool.protocol.partition_table import Partition, find_nvs_keys

if TYPE_CHECKING:
    from evtool.cli.output import Output
    from evtool.link.esptool import Esptool
    from evtool.link.ledger_database import SqlLedger
    from evtool.project import Project
    from evtool.protocol.board_flash import ChipInfo, FlashPart
    from evtool.provision.identity import Identity

_FIX = (
    "flash with --no-evcfg; then, if the board shall have this identity, "
    "`evtool provision --reassign`"
)


class NvsKeysThere(ConfigError):
    """The board has keys for its NVS: an identity in clear would not be read."""


class SerialDrawn(ConfigError):
    """The unit drew a serial number from a range, and evtool.toml says another one."""


def board_without_nvs_keys(board: Esptool, partitions: tuple[Partition, ...]) -> ChipInfo:
    """The chip of a board that reads an identity in clear.

    Raises:
        NvsKeysThere: it would not.
        DeviceError, LinkTimeout, ToolError: port, cable, board.
    """
    place = find_nvs_keys(partitions)
    if place is None:
        return board.identify().chip
    stored, chip = board.read(place.offset, place.size)
    if stored.strip(b"\xff"):
        raise NvsKeysThere(
            f"{chip.mac} has keys for its NVS, and would not read an identity in clear",
            fix="flash with --no-evcfg, then give it its identity with `evtool provision`",
        )
    return chip


class UnitEntry:
    """The ledger's view of the one board that gets the project's identity."""

    def __init__(
        self, ledger: SqlLedger, entry: LedgerEntry, identity: Identity, part: FlashPart
    ) -> None:
        self._ledger = ledger
        self._entry = entry
        self._identity = identity
        self._part = part

    def claim(self, chip: ChipInfo) -> None:
        """Bind the identity to this board, before its flash is written.

        Raises:
            ClaimTaken: another board has it, the board has another one, or another unit has its
                key.
            SerialDrawn: the unit would lose the serial number that it drew.
        """
        self._keep_drawn_serial()
        try:
            self._entry.claim(chip.mac)
        except ClaimTaken as taken:
            if taken.holder.kind != "key":
                taken.fix = _FIX
            raise
        self._entry.step = "write"

    def _keep_drawn_serial(self) -> None:
        from evtool.cli.provision_serial import kept_serial

        unit = self._identity.charge_point
        kept = kept_serial(self._ledger, unit.identity)
        if kept is not None and kept[0] != unit.serial_number:
            raise SerialDrawn(
                f"{unit.identity} drew its serial number {kept[0]} from the range {kept[1]}; "
                f"{unit.serial_number} of evtool.toml would replace it",
                fix=f"flash with --no-evcfg; `evtool provision` writes the identity with {kept[0]}",
            )

    def written(self, chip: ChipInfo) -> None:
        """The board's flash holds it."""
        place = self._part.offset, self._part.sha256
        self._entry.written(chip, place, self._identity)


@contextmanager
def unit_entry(output: Output, unit: tuple[Project, Identity, FlashPart]) -> Iterator[UnitEntry]:
    """Open the project's ledger for one board; an error on the way is recorded there.

    Raises:
        others: as `opened_ledger`.
    """
    project, identity, part = unit
    with opened_ledger(None, project) as ledger:
        entry = LedgerEntry(output, project, ledger, key_claims(identity))
        try:
            yield UnitEntry(ledger, entry, identity, part)
        except EvtoolError as error:
            entry.failed(error)
            raise
