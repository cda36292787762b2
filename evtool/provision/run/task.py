# SPDX-License-Identifier: GPL-3.0-or-later
"""What is done to each board of a run, and what a board is to hold in the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from evtool.protocol.board_flash import BoardFacts, FlashPart
from evtool.provision.ledger.store import Change, Ledger
from evtool.provision.ledger.unit_state import UnitState
from evtool.provision.run.assignment import PassedRow
from evtool.provision.run.board import Attempts, Board, OpenWork
from evtool.provision.run.verdict import UnitVerdict


@dataclass(frozen=True, slots=True)
class Content:
    """What a board is to hold.

    Attributes:
        identity: the image of its identity, and what belongs to it (keys of its encryption).
        firmware: the rest; written before the identity, so that no board says an identity
            whose firmware is half written.
        fields: of the records `planned` and `written`; no secret.
        keep: called in the transaction that records it, before it is written and after.
        build_id: what the boot line must say; "" takes any build.
        mask: hides the unit's secrets in what the board says.
    """

    identity: tuple[FlashPart, ...]
    firmware: tuple[FlashPart, ...]
    fields: Mapping[str, object]
    keep: Callable[[Change], None]
    build_id: str
    mask: Callable[[str], str]


class Target(Protocol):
    """The unit that a board is, or becomes."""

    @property
    def unit(self) -> str:
        """Its identity."""

    @property
    def mac(self) -> str:
        """The board's."""

    @property
    def where(self) -> str:
        """The row as file:line; "" without one."""

    @property
    def state(self) -> UnitState | None:
        """What the ledger knew of it before this run."""

    @property
    def passed(self) -> Sequence[PassedRow]:
        """Rows that it would have been, had they not been found wrong."""

    def prepare(self, board: Board, facts: BoardFacts, begin: Callable[[str], None]) -> Content:
        """What the board is to hold; `begin` is told of the steps `image` and `encrypt`.

        Raises:
            ConfigError: a secret is missing or taken, or it does not fit.
            DeviceError: the board cannot be asked, or has no partition table.
        """

    def give_back(self) -> None:
        """Nothing of it was written: undo what `take` bound just now."""


class Targets(Protocol):
    """Says which unit each board is."""

    def take(self, facts: BoardFacts) -> Target:
        """The target for a board, bound to it in the ledger.

        Raises:
            UnitRefused, ConfigError: there is none for it.
            DeviceError: the ledger cannot be reached.
        """


@dataclass(frozen=True, slots=True)
class Proof:
    """What a board must say after its restart, and within what time.

    Attributes:
        csms_timeout_ms: for reaching its CSMS; None does not wait for that.
    """

    boot_timeout_ms: int
    csms_timeout_ms: int | None = None


@dataclass(frozen=True, slots=True)
class UnitTask:
    """What is done to each board of a run.

    Attributes:
        targets: which unit it is.
        ledger: where it is recorded.
        gates: raises to refuse a board before anything else.
        open_work: compares, writes and proves parts.
        attempts: which failures are worth another try.
        proof: None restarts the board and waits for nothing.
        event: what is recorded when the flash holds it: written, rotated, rolled_back.
        verdict: of a board that was changed.
    """

    targets: Targets
    ledger: Ledger
    gates: Callable[[BoardFacts], None]
    open_work: OpenWork
    attempts: Attempts
    proof: Proof | None
    event: str = "written"
    verdict: UnitVerdict = UnitVerdict.PROVISIONED
