# SPDX-License-Identifier: GPL-3.0-or-later
"""The secrets of units: references followed, generated ones sealed before they are used."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from evtool.errors import SecretMissing
from evtool.project import Secret, SecretRef
from evtool.provision.fleet.order import AUTHORIZATION_KEY, CLIENT_KEY
from evtool.provision.secrets.fingerprint import key_fingerprint
from evtool.provision.secrets.sealed_store import SealedStore, secret_name

# No two units may have one of these.
_CLAIMED = (AUTHORIZATION_KEY, CLIENT_KEY)


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
    # Asked for once, whatever the number of units.
    _prompted: dict[str, Secret] = field(default_factory=dict)

    def look(self, unit: str, name: str, ref: SecretRef) -> Secret | None:
        """The secret, or None where it will be generated; changes nothing."""
        if ref.kind != "generate":
            return self._followed(unit, name, ref)
        kept = None if self.sealed is None else self.sealed.latest(unit, name)
        return self._kept_in_clear(unit, name) if kept is None else Secret(kept[1].decode())

    def resolve(self, unit: str, name: str, ref: SecretRef) -> Secret:
        """The secret; a generated one is sealed and on the disk before it is returned.

        Raises:
            SecretMissing: the reference leads nowhere, or there is no key to seal with.
            ClaimTaken: another unit has this key already.
        """
        found = self.look(unit, name, ref)
        if found is not None:
            return found
        if self.sealed is None:
            raise SecretMissing(
                f"{unit} {name}: to be generated, and there is no sealing key to keep it with",
                fix="make one with `evtool provision secrets new-key`",
            )
        return self._made(self.sealed, unit, name, 1)

    def renew(self, unit: str, name: str) -> tuple[int, Secret]:
        """A new generation of a secret, sealed and on the disk; its number and its value.

        Raises: as `resolve`.
        """
        if self.sealed is None:
            raise SecretMissing(
                f"{unit} {name}: no sealing key to keep a new one with",
                fix="make one with `evtool provision secrets new-key`",
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
            if self.sealed.put(change, secret_name(unit, name, 1), secret.reveal().encode()):
                claims = [("key", _print(secret))] if name in _CLAIMED else []
                change.claim(unit, claims)
        first = self.sealed.get(secret_name(unit, name, 1))
        return secret if first == secret.reveal().encode() else None

    def _made(self, sealed: SealedStore, unit: str, name: str, generation: int) -> Secret:
        secret = Secret(self.generate())
        where = secret_name(unit, name, generation)
        with sealed.ledger.change() as change:
            is_new = sealed.put(change, where, secret.reveal().encode())
            if is_new and name in _CLAIMED:
                change.claim(unit, [("key", _print(secret))])
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


def _print(secret: Secret) -> str:
    return key_fingerprint(secret.reveal())
