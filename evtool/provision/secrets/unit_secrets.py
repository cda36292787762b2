# SPDX-License-Identifier: GPL-3.0-or-later
"""The secrets of units: references followed, generated ones sealed before they are used."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from evtool.errors import SecretMissing
from evtool.project import Secret, SecretRef
from evtool.provision.fleet.order import CLIENT_KEY
from evtool.provision.ledger.in_change import in_change
from evtool.provision.ledger.store import Change
from evtool.provision.secrets.sealed_store import SealedStore, secret_name

_NEW_KEY = "make one with `evtool provision secrets new-key`"


class References(Protocol):
    """Follows references; a generated secret is one that was kept in clear before."""

    def resolve(self, ref: SecretRef, label: str) -> Secret:
        """The secret. Raises SecretMissing where a generated one was not kept."""

    def resolve_text(self, ref: SecretRef, label: str) -> Secret:
        """The same for a secret of several lines."""


@dataclass(slots=True)
class UnitSecretStore:
    """A `provision.fleet.order.UnitSecrets`, and a `provision.fleet.check.ReadSecrets`.

    Args:
        references: of the project; makes no secret of its own.
        sealed: None where no sealing key is at hand: then nothing can be generated, and what
            is sealed already counts as not made yet for `look`.
        generate: a new secret, from the operating system's generator.
    """

    references: References
    sealed: SealedStore | None
    generate: Callable[[], str]
    # What `prepare` has found, until it is looked at.
    _ahead: dict[tuple[str, str], Secret | None] = field(default_factory=dict)
    # Asked for once, whatever the number of units.
    _prompted: dict[str, Secret] = field(default_factory=dict)

    def prepare(self, wanted: Iterable[tuple[str, str, SecretRef]]) -> None:
        """Find out at once what `look` will be asked for next: (unit, name, reference)."""
        self._ahead.clear()
        if self.sealed is None:
            return
        names = [(unit, name) for unit, name, ref in wanted if ref.kind == "generate"]
        sealed = self.sealed.latest_of_all(names)
        self._ahead |= {
            each: Secret(sealed[each].decode()) if each in sealed else None for each in names
        }

    def look(self, unit: str, name: str, ref: SecretRef) -> Secret | None:
        """The secret, or None where it will be generated; changes nothing."""
        if ref.kind == "generate" and (unit, name) in self._ahead:
            return self._ahead.pop((unit, name)) or self._kept_in_clear(unit, name)
        return self._found(unit, name, ref)

    def is_to_be_made(self, unit: str, name: str, ref: SecretRef) -> bool:
        """Whether it is one to be generated, and was not yet."""
        return ref.kind == "generate" and self._found(unit, name, ref) is None

    def _found(self, unit: str, name: str, ref: SecretRef) -> Secret | None:
        if ref.kind != "generate":
            return self._followed(unit, name, ref)
        kept = None if self.sealed is None else self.sealed.latest(unit, name)
        return self._kept_in_clear(unit, name) if kept is None else Secret(kept[1].decode())

    def resolve(self, unit: str, name: str, ref: SecretRef) -> Secret:
        """The secret; a generated one is sealed and on the disk before it is returned.

        Raises:
            SecretMissing: the reference leads nowhere, or there is no key to seal with.
        """
        found = self._found(unit, name, ref)
        if found is not None:
            return found
        if self.sealed is None:
            raise SecretMissing(
                f"{unit} {name}: to be generated, and there is no sealing key to keep it with",
                fix=_NEW_KEY,
            )
        return self._made(self.sealed, unit, name, 1)

    def make_all(self, wanted: Iterable[tuple[str, str, SecretRef]]) -> int:
        """Make those generated secrets that are not there yet, all in one transaction.

        Args:
            wanted: (unit, name, reference); what is no generated one is passed over.

        Returns:
            How many were made.

        Raises: as `resolve`.
        """
        each = [(unit, name) for unit, name, ref in wanted if ref.kind == "generate"]
        if self.sealed is None:
            raise SecretMissing("no sealing key to keep new secrets with", fix=_NEW_KEY)
        there = self.sealed.latest_of_all(each)
        missing = [
            (unit, name)
            for unit, name in each
            if (unit, name) not in there and self._kept_in_clear(unit, name) is None
        ]
        made = 0
        if missing:
            store = self.sealed
            # In one order, whatever the file's: no two stations wait for one another.
            names = sorted(secret_name(unit, name, 1) for unit, name in missing)

            def make(change: Change) -> int:
                return sum(store.put(change, name, self.generate().encode()) for name in names)

            made = in_change(store.ledger, make)
        return made

    def renew(self, unit: str, name: str) -> tuple[int, Secret]:
        """A new generation of a secret, sealed and on the disk; its number and its value.

        Raises: as `resolve`.
        """
        if self.sealed is None:
            raise SecretMissing(
                f"{unit} {name}: no sealing key to keep a new one with",
                fix=_NEW_KEY,
            )
        latest = self.sealed.latest(unit, name)
        generation = 1 if latest is None else latest[0] + 1
        return generation, self._made(self.sealed, unit, name, generation)

    def generation(self, unit: str, name: str, number: int) -> Secret | None:
        """An earlier generation, for a rollback; None where there is none."""
        if self.sealed is None:
            return None
        value = self.sealed.get(secret_name(unit, name, number))
        return None if value is None else Secret(value.decode())

    def newest_generation(self, unit: str, name: str) -> int | None:
        """The number of the newest generation; None where there is none."""
        latest = None if self.sealed is None else self.sealed.latest(unit, name)
        return None if latest is None else latest[0]

    def seal_kept(self, unit: str, name: str) -> Secret | None:
        """Seal what was kept in clear as the first generation.

        Returns:
            The secret, once it is sealed (now, or before); None where nothing was kept.

        Raises:
            SecretMissing: there is no key to seal with.
        """
        secret = self._kept_in_clear(unit, name)
        if secret is None:
            return None
        if self.sealed is None:
            raise SecretMissing(f"{unit} {name}: no sealing key", fix="name one")
        with self.sealed.ledger.change() as change:
            self.sealed.put(change, secret_name(unit, name, 1), secret.reveal().encode())
        first = self.sealed.get(secret_name(unit, name, 1))
        return secret if first == secret.reveal().encode() else None

    def _made(self, sealed: SealedStore, unit: str, name: str, generation: int) -> Secret:
        secret = Secret(self.generate())
        where = secret_name(unit, name, generation)
        with sealed.ledger.change() as change:
            is_new = sealed.put(change, where, secret.reveal().encode())
        if is_new:
            return secret
        # Another station was faster; what it has sealed is what the unit is given.
        value = sealed.get(where)
        if value is None:
            raise SecretMissing(f"{unit} {name}: gone from the ledger", fix="run it again")
        return Secret(value.decode())

    def _followed(self, unit: str, name: str, ref: SecretRef) -> Secret:
        label = f"{unit} {name}"
        if ref.kind == "prompt":
            if name not in self._prompted:
                self._prompted[name] = self.references.resolve(ref, f"{name} of all units")
            return self._prompted[name]
        if name == CLIENT_KEY:
            return self.references.resolve_text(ref, label)
        return self.references.resolve(ref, label)

    def _kept_in_clear(self, unit: str, name: str) -> Secret | None:
        try:
            return self.references.resolve(SecretRef("generate"), f"{unit} {name}")
        except SecretMissing:
            return None
