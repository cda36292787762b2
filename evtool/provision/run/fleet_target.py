# SPDX-License-Identifier: GPL-3.0-or-later
"""The rows of a fleet as what boards are to hold."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from evtool.errors import ConfigError
from evtool.protocol.board_flash import FLASH_ENCRYPTION, BoardFacts
from evtool.protocol.ledger_record import ClaimTaken
from evtool.protocol.nvs import NvsEntry
from evtool.provision.fleet.order import WIFI_PASSPHRASE, UnitOrder, UnitSecrets, resolve
from evtool.provision.identity import Identity
from evtool.provision.ledger.in_change import in_change
from evtool.provision.ledger.store import Change, Ledger
from evtool.provision.ledger.unit_state import UnitState
from evtool.provision.run.assignment import Assigned, Assignment, PassedRow
from evtool.provision.run.board import Board, Firmware, SealedValues
from evtool.provision.run.given_secrets import GivenSecrets
from evtool.provision.run.image import (
    Encryption,
    board_fields,
    encrypted_parts,
    identity_fields,
    partitions_of,
    plain_image,
)
from evtool.provision.run.task import Content
from evtool.provision.secrets.fingerprint import key_fingerprint

Mask = Callable[[Iterable[str]], Callable[[str], str]]
"""Makes, of some secrets, what hides them in a line."""


@dataclass(frozen=True, slots=True)
class Images:
    """How a row becomes an image.

    Attributes:
        secrets: what its references lead to.
        entries: the keys of the partition, with the project's own settings among them.
        sealed: where the copy for a rollback is kept.
        firmware: what is to run with it; None leaves the board's own.
        encryption: of the image, on boards with NVS keys.
        now: aware; certificates are checked against it.
        before: called for each unit before its secrets are looked up; a rotation makes new
            ones here, and returns what the record is to say of it.
        newest: names the secrets of which a unit gets the newest generation, not the one
            that it has; asked before `before` is called.
    """

    secrets: UnitSecrets
    entries: Callable[[UnitOrder, Identity], list[NvsEntry]]
    sealed: SealedValues
    firmware: Firmware | None
    encryption: Encryption
    mask: Mask
    now: Callable[[], datetime]
    before: Callable[[UnitOrder, UnitState | None], dict[str, object]] = lambda _order, _state: {}
    newest: Callable[[UnitState | None], frozenset[str]] = lambda _state: frozenset()


class FleetTargets:
    """The rows, each for one board.

    Args:
        assignment: which row a board gets.
        ledger: where the claims on secrets are.
        images: how a row becomes an image.
    """

    def __init__(self, assignment: Assignment, ledger: Ledger, images: Images) -> None:
        self._assignment = assignment
        self._ledger = ledger
        self._images = images

    def take(self, facts: BoardFacts) -> FleetTarget:
        """The row of this board; as `Assignment.take`."""
        assigned = self._assignment.take(facts.chip.mac)
        return FleetTarget(assigned, facts.chip.mac, self._assignment, self._ledger, self._images)


class FleetTarget:
    """One row and its board.

    Attributes:
        mac: the board's.
    """

    def __init__(
        self,
        assigned: Assigned,
        mac: str,
        assignment: Assignment,
        ledger: Ledger,
        images: Images,
    ) -> None:
        self._assigned = assigned
        self._assignment = assignment
        self._ledger = ledger
        self._images = images
        self._said: dict[str, object] | None = None
        self._newest: frozenset[str] = frozenset()
        self._wrong = ""
        self.mac = mac

    @property
    def unit(self) -> str:
        """Its identity."""
        return self._assigned.order.identity

    @property
    def where(self) -> str:
        """The row."""
        return str(self._assigned.order.where)

    @property
    def passed(self) -> tuple[PassedRow, ...]:
        """Rows before it that were found wrong."""
        return self._assigned.passed

    @property
    def state(self) -> UnitState | None:
        """What the ledger knew of it before this run."""
        return self._assigned.state

    def prepare(self, board: Board, facts: BoardFacts, begin: Callable[[str], None]) -> Content:
        """Its image for the partitions of this board."""
        images, order = self._images, self._assigned.order
        begin("image")
        _check_encryption(order, facts)
        if self._said is None:  # another try is no other rotation
            self._newest = images.newest(self.state)
            self._said = images.before(order, self.state)
        given = GivenSecrets(images.secrets, images.sealed, self.state, self._newest)
        identity = resolve(order, given, images.now())
        partitions = partitions_of(board, facts, images.firmware, images.encryption.cipher(facts))
        entries = images.entries(order, identity)
        plain = plain_image(entries, partitions)
        secrets = identity.secrets()
        # Before anything is written: two units with one key would be one unit to the CSMS.
        try:
            keys = _fingerprints(order, secrets)
            in_change(self._ledger, lambda change: change.claim(order.identity, keys, mac=self.mac))
        except ClaimTaken as error:
            self._wrong = error.message
            raise
        begin("encrypt")
        write = encrypted_parts(entries, plain, board, facts, partitions, images.encryption)
        # In clear it would stop a board whose flash is encrypted: there it stays as it is.
        firmware = None if FLASH_ENCRYPTION in facts.secured else images.firmware
        fields = identity_fields(order, identity, plain)
        fields |= board_fields(facts, firmware, write) | self._said
        fields["generations"] = given.generations

        def keep(change: Change) -> None:
            images.sealed.put(change, str(fields["sealed_image"]), plain.data)

        return Content(
            identity=write.parts,
            firmware=() if firmware is None else firmware.parts,
            fields=fields,
            keep=keep,
            build_id="" if images.firmware is None else images.firmware.build_id,
            mask=images.mask(secrets.values()),
        )

    def give_back(self) -> None:
        """Another board may have the row, unless this one had it before the run, or it is wrong."""
        if self._assigned.is_new:
            self._assignment.give_back(self._assigned, self.mac, self._wrong)


def _fingerprints(order: UnitOrder, secrets: dict[str, str]) -> list[tuple[str, str]]:
    """The claims on the secrets that only one unit may have."""
    return [
        ("key", key_fingerprint(secret))
        for name, secret in secrets.items()
        if name != WIFI_PASSPHRASE and name not in order.shared
    ]


def _check_encryption(order: UnitOrder, facts: BoardFacts) -> None:
    """A row that asks for encrypted flash gets no other.

    Raises:
        ConfigError: this board's flash is not encrypted, or does not say so.
    """
    if order.flash_encryption and FLASH_ENCRYPTION not in facts.secured:
        raise ConfigError(
            f"{order.where}: {order.identity} is to have encrypted flash, which is not switched "
            "on in this board",
            fix="switch it on first, which is for good: `evtool provision security apply`; then "
            "run this with --allow-secured. Or take flash_encryption out of the row",
        )
