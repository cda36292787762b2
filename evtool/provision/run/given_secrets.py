# SPDX-License-Identifier: GPL-3.0-or-later
"""Which generation of its secrets a unit is given: the one that it has; in a rotation the newest.

So a plain run neither writes a key that was only prepared, which the CSMS may not know yet, nor
undoes a rollback.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from evtool.project import Secret, SecretRef
from evtool.protocol.ledger_record import Record
from evtool.provision.fleet.order import UnitSecrets
from evtool.provision.ledger.unit_state import UnitState
from evtool.provision.run.board import SealedValues
from evtool.provision.secrets.sealed_store import secret_name

ROLLED_BACK = "rolled_back"
# Events after which a board has, or may have, what their record says.
_HAVE = ("planned", "written", "rotated", ROLLED_BACK)


def given_generation(found: UnitState | None, name: str) -> int | None:
    """The generation that the ledger says a unit's board has; None: it does not say."""
    return None if found is None or found.written is None else _generation_in(found.written, name)


def left_behind(records: Iterable[Record], name: str) -> frozenset[int]:
    """The generations of a secret that a rollback has gone back from.

    Whatever the reason for it was, such a one is never written again.

    Args:
        records: of one unit, oldest first.
    """
    had: set[int] = set()
    left: set[int] = set()
    for record in records:
        number = _generation_in(record, name)
        if record.event == ROLLED_BACK:
            left |= had
        if record.event in _HAVE and number is not None:
            had.add(number)
            left.discard(number)
    return frozenset(left)


def _generation_in(record: Record, name: str) -> int | None:
    generations = record.fields.get("generations")
    number = generations.get(name) if isinstance(generations, dict) else None
    return number if isinstance(number, int) else None


@dataclass(slots=True)
class GivenSecrets:
    """The secrets of one unit; a `provision.fleet.order.UnitSecrets`.

    Attributes:
        found: what the ledger knows of the unit.
        newest: names of the secrets of which it gets the newest generation, whatever it has.
        generations: of the generated secrets that were given, by name.
    """

    secrets: UnitSecrets
    sealed: SealedValues
    found: UnitState | None
    newest: frozenset[str]
    generations: dict[str, int] = field(default_factory=dict)

    def resolve(self, unit: str, name: str, ref: SecretRef) -> Secret:
        """The secret; raises as that of a `UnitSecrets`."""
        if ref.kind != "generate":
            return self.secrets.resolve(unit, name, ref)
        number = None if name in self.newest else given_generation(self.found, name)
        value = None if number is None else self.sealed.get(secret_name(unit, name, number))
        if number is not None and value is not None:
            self.generations[name] = number
            return Secret(value.decode())
        secret = self.secrets.resolve(unit, name, ref)
        latest = self.sealed.latest(unit, name)
        if latest is not None:
            self.generations[name] = latest[0]
        return secret
