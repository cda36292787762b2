# SPDX-License-Identifier: GPL-3.0-or-later
"""The sealed values of a ledger, with the key that opens them.

::

    secret/IDENTITY/NAME/GENERATION   a unit's secret; generations count from 1
    image/SHA-256                     what a unit held
    sealing/key/KEY-ID                how that key came about; no secret
    sealing/after/KEY-ID              the id of the key that took its place; no secret

Only the first two are sealed. Where two ledgers had sealed different values under one name, a
merge files the other one's under `merged/LEDGER/` and that name. Two stations with one
passphrase may each have made a key of it before their ledgers were merged: a passphrase opens
what all the keys made of it have sealed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from evtool.errors import ConfigError
from evtool.project import Secret
from evtool.provision.ledger.store import Change, Ledger
from evtool.provision.secrets.key_derivation import (
    SALT_SIZE,
    Derivation,
    is_whole_key,
    sealing_key,
)
from evtool.provision.secrets.sealing import NONCE_SIZE, SealingKey, seal, unseal

KEYS = "sealing/key/"
AFTER = "sealing/after/"
SECRETS = "secret/"
MERGED = "merged/"
Random = Callable[[int], bytes]


def secret_name(unit: str, name: str, generation: int) -> str:
    """Under which a unit's secret is sealed; an identity holds no slash."""
    return f"{SECRETS}{unit}/{name}/{generation}"


def bound_name(filed_as: str) -> str:
    """The name that a value was sealed under, where it may have been filed under another."""
    if not filed_as.startswith(MERGED):
        return filed_as
    return filed_as.removeprefix(MERGED).partition("/")[2]


@dataclass(slots=True)
class SealedStore:
    """A ledger's sealed values; make it with `open_store`.

    Attributes:
        keys: those that open something, by id.
        current: the one that seals; None where every key given was replaced.
    """

    ledger: Ledger
    keys: Mapping[str, SealingKey]
    current: SealingKey | None
    random: Random = field(repr=False)
    # The transaction in which `current` was seen to be still the one; many values share one.
    _seen_in: Change | None = field(default=None, repr=False, compare=False)

    def get(self, name: str) -> bytes | None:
        """The value sealed under `name`; None where there is none.

        Raises:
            ConfigError: it was sealed with another key.
            SealBroken: it was changed.
        """
        found = self.ledger.get_sealed(name)
        return None if found is None else unseal(found.data, bound_name(name), self.keys)

    def get_all(self, names: Sequence[str]) -> dict[str, bytes]:
        """The values sealed under those of `names` that there are. Raises as `get`."""
        found = self.ledger.sealed_of(names)
        return {name: unseal(each.data, name, self.keys) for name, each in found.items()}

    def put(self, change: Change, name: str, value: bytes) -> bool:
        """Seal `value` under a new name. False: there is something of this name, which stays.

        Raises:
            ConfigError: the key was replaced by another.
        """
        key = self.sealing()
        if change is not self._seen_in:
            # Another station may have changed the key since this store was opened; from here
            # on it waits until what is sealed now is there to be sealed anew.
            change.hold_sealing_key()
            if change.has_sealed(AFTER + key.key_id):
                self.current = None
                key = self.sealing()
            self._seen_in = change
        data = seal(value, name, key, self.random(NONCE_SIZE))
        return change.put_sealed(name, key.key_id, data)

    def sealing(self) -> SealingKey:
        """The key that seals; ConfigError where it was replaced."""
        if self.current is None:
            raise ConfigError(
                f"the sealing key {', '.join(self.keys)} was replaced by another",
                fix="give the new key or passphrase; "
                "`evtool provision secrets rotate` finishes a change that was cut short",
            )
        return self.current

    def latest(self, unit: str, name: str) -> tuple[int, bytes] | None:
        """The newest generation of a unit's secret, and its value; None where there is none."""
        found: tuple[int, bytes] | None = None
        generation = 1
        while (value := self.get(secret_name(unit, name, generation))) is not None:
            found = (generation, value)
            generation += 1
        return found

    def latest_of_all(self, wanted: Sequence[tuple[str, str]]) -> dict[tuple[str, str], bytes]:
        """The newest value of each (unit, name) that has one. Raises as `get`."""
        found: dict[tuple[str, str], bytes] = {}
        generation = 1
        while wanted:
            names = {secret_name(*each, generation): each for each in wanted}
            newer = {names[name]: value for name, value in self.get_all(list(names)).items()}
            found |= newer
            wanted = list(newer)
            generation += 1
        return found


def open_store(
    ledger: Ledger, secret: Secret, random: Random, *, create: bool = True
) -> SealedStore:
    """The sealed values that `secret`, a key or a passphrase, opens.

    Args:
        random: bytes from the operating system's generator.
        create: make a key of it where the ledger has none yet.

    Raises:
        ConfigError: it is not the ledger's; or there is none yet, and `create` is False.
        SealBroken: what the ledger says about its keys was changed.
    """
    if not _known(ledger):
        if not create:
            raise ConfigError(
                "nothing is sealed in this ledger yet", fix="seal or generate a secret first"
            )
        _make_first(ledger, *new_key(secret, random))
    # Also of one's own: another station may have made the first one at the same moment.
    keys = matching_keys(ledger, secret)
    if not keys:
        raise ConfigError(
            "this is not the key or passphrase that the ledger's secrets are sealed with "
            f"({', '.join(_known(ledger))})",
            fix="give the one that was used first, or change it with "
            "`evtool provision secrets rotate`",
        )
    replaced = {name.removeprefix(AFTER) for name, _ in ledger.sealed_names(AFTER)}
    current = next((key for key_id, key in keys.items() if key_id not in replaced), None)
    return SealedStore(ledger, keys, current, random)


def _make_first(ledger: Ledger, key: SealingKey, derivation: Derivation) -> None:
    """Keep the ledger's first key, unless another station was faster."""
    with ledger.change() as change:
        change.change_sealing_key()
        if not _known(ledger):
            change.put_sealed(KEYS + key.key_id, key.key_id, derivation.encode())


def new_key(secret: Secret, random: Random) -> tuple[SealingKey, Derivation]:
    """A key of `secret` with a salt of its own."""
    derivation = Derivation(b"" if is_whole_key(secret) else random(SALT_SIZE))
    return sealing_key(secret, derivation), derivation


def matching_keys(ledger: Ledger, secret: Secret) -> dict[str, SealingKey]:
    """The keys of this ledger that `secret` makes, by id."""
    found: dict[str, SealingKey] = {}
    for key_id in _known(ledger):
        row = ledger.get_sealed(KEYS + key_id)
        if row is None:
            continue
        derivation = Derivation.decode(row.data)
        if is_whole_key(secret) == bool(derivation.salt):
            continue
        key = sealing_key(secret, derivation)
        if key.key_id == key_id:
            found[key_id] = key
    return found


def _known(ledger: Ledger) -> list[str]:
    return [name.removeprefix(KEYS) for name, _ in ledger.sealed_names(KEYS)]
