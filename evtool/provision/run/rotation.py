# SPDX-License-Identifier: GPL-3.0-or-later
"""New secrets and certificates for units that are in the field or on the bench already.

The new generation is sealed first, then written, proved and recorded as `rotated`. A rotation
that was cut short is finished with the generation that it had made, not with another one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from evtool.project import Secret
from evtool.provision.fleet.order import UnitOrder
from evtool.provision.ledger.store import Ledger
from evtool.provision.ledger.unit_state import UnitState, state
from evtool.provision.run.board import SealedValues
from evtool.provision.run.dry_run import CHECK, LEFT_OUT, RowPlan
from evtool.provision.run.given_secrets import ROLLED_BACK, given_generation, left_behind
from evtool.provision.run.journal import READ_BACK, UNCHANGED, WITHOUT_PROOF

ROTATED, ROTATE = "rotated", "rotate"


class RenewableSecrets(Protocol):
    """Makes new generations; `UnitSecretStore` does."""

    def renew(self, unit: str, name: str) -> tuple[int, Secret]:
        """A new generation of a secret, sealed and on the disk; its number and its value."""


@dataclass(frozen=True, slots=True)
class Rotation:
    """One rotation over a fleet.

    Attributes:
        names: the secrets that get a new generation where they are generated ones; the
            others, and certificates, are what their references lead to by now.
        campaign: its name: a unit that was rotated in it, and not rolled back since, is not
            rotated in it again; "" rotates every unit that is reached.
    """

    ledger: Ledger
    sealed: SealedValues
    secrets: RenewableSecrets
    names: Sequence[str]
    campaign: str = ""

    def before(self, order: UnitOrder, found: UnitState | None) -> dict[str, object]:
        """Make what the unit needs; called once for each board, before its image is made.

        Returns:
            what the record `rotated` says of it.
        """
        if not _is_done(self.ledger, self.campaign, found):
            for name in self.names:
                if order.secret_references()[name].kind == "generate" and not self.is_pending(
                    order, name, found
                ):
                    self.secrets.renew(order.identity, name)
        said: dict[str, object] = {"rotated": list(self.names)}
        return said | ({"campaign": self.campaign} if self.campaign else {})

    def newest(self, found: UnitState | None) -> frozenset[str]:
        """Of which secrets a unit gets the newest generation: of none where it was rotated."""
        return frozenset(() if _is_done(self.ledger, self.campaign, found) else self.names)

    def prepare(self, orders: Iterable[UnitOrder]) -> int:
        """Make the new generations of all units that have a board, and write none of them yet.

        Returns:
            how many units will be given new secrets.
        """
        count = 0
        for order in orders:
            found = state(self.ledger, order.identity)
            if found is not None and found.written is not None and found.mac is not None:
                self.before(order, found)
                count += any(self.is_pending(order, name, found) for name in self.names)
        return count

    def is_pending(self, order: UnitOrder, name: str, found: UnitState | None) -> bool:
        """Whether a newer generation is sealed than the board was given, that can be written.

        Not one that a rollback went back from: the next rotation makes another.
        """
        latest = self.sealed.latest(order.identity, name)
        # A unit whose record does not say it was given its first one.
        has = 0 if found is None or found.written is None else 1
        if latest is None or latest[0] <= (given_generation(found, name) or has):
            return False
        return latest[0] not in left_behind(self.ledger.history(unit=order.identity), name)


def planned_rows(
    orders: Iterable[UnitOrder], ledger: Ledger | None, campaign: str = ""
) -> Iterator[RowPlan]:
    """Each row with what a rotation would do with it; nothing is made.

    Args:
        ledger: None where there is none yet.
    """
    for order in orders:
        found = None if ledger is None else state(ledger, order.identity)
        if ledger is None or found is None or found.written is None or found.mac is None:
            status = "not_begun" if found is None else found.status
            yield RowPlan(order, order.mac, LEFT_OUT, status)
        else:
            action = CHECK if _is_done(ledger, campaign, found) else ROTATE
            yield RowPlan(order, found.mac, action, found.status)


def _is_done(ledger: Ledger, campaign: str, found: UnitState | None) -> bool:
    if found is None or found.written is None:
        return False
    written = found.written
    is_ours = not campaign or written.fields.get("campaign") == campaign
    if written.event == ROTATED and is_ours and not _is_finished(ledger, found):
        return True  # written, and its proof is missing: that is what is left to do
    if not campaign:
        return False
    for record in reversed(ledger.history(unit=found.unit)):
        if record.event == ROLLED_BACK:
            return False  # what the campaign did is undone
        if record.event == ROTATED and record.fields.get("campaign") == campaign:
            return True
    return False


def _is_finished(ledger: Ledger, found: UnitState) -> bool:
    """Whether the run that wrote what the unit holds has ended well, asked for a proof or not.

    Else a rotation without a proof would stand in the way of all that follow.
    """
    if found.proved is not None:
        return True
    last = next(
        each
        for each in reversed(ledger.history(unit=found.unit))
        if each.event in (ROTATED, READ_BACK, UNCHANGED)
    )
    return last.event == UNCHANGED or WITHOUT_PROOF in last.fields
