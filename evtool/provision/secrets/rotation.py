# SPDX-License-Identifier: GPL-3.0-or-later
"""Another sealing key for everything that is sealed; may be killed at any moment.

First the ledger says which key takes the place of which: from then on nothing is sealed with
the old one any more. Then value after value is sealed anew, some in each transaction. A run
that was cut short is continued by the same command: what the old key has sealed is what is
left to do, whenever and by whomever it was left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from evtool.errors import ConfigError, EvtoolError
from evtool.project import Secret
from evtool.provision.ledger.store import Ledger
from evtool.provision.secrets.key_derivation import is_whole_key
from evtool.provision.secrets.sealed_store import (
    AFTER,
    KEYS,
    Random,
    SealedStore,
    bound_name,
    matching_keys,
    new_key,
)
from evtool.provision.secrets.sealing import NONCE_SIZE, SealingKey, seal, unseal

_BATCH = 100


@dataclass(slots=True)
class Rotated:
    """What a rotation did.

    Attributes:
        key_id: of the new key.
        resealed: how many values.
        broken: names of values that did not open, and why; they stay as they are.
    """

    key_id: str
    resealed: int = 0
    broken: list[str] = field(default_factory=list)


def rotate(
    store: SealedStore,
    secret: Secret,
    random: Random,
    tell: Callable[[int], None] = lambda _count: None,
) -> Rotated:
    """Seal everything in `store` with the key that `secret` is or makes.

    Args:
        store: opened with the old key or passphrase.
        tell: called with the number of values done, after each transaction.

    Raises:
        ConfigError: it is the same key; or another change of the key is under way.
    """
    ledger = store.ledger
    key, is_new = _announce(store, secret, random)
    done = Rotated(key.key_id)
    before = -1
    while before < done.resealed:  # once more: a transaction that was under way may have sealed
        before, done.broken = done.resealed, []
        _reseal(store, key, random, done, tell)
    if not (done.resealed or done.broken or is_new):
        return done
    with ledger.change() as change:
        fields = {"from": list(store.keys), "to": key.key_id, "resealed": done.resealed}
        change.append("sealed_key_changed", fields=fields | {"broken": len(done.broken)})
    return done


def _reseal(
    store: SealedStore, key: SealingKey, random: Random, done: Rotated, tell: Callable[[int], None]
) -> None:
    """Seal with `key` what those of `store` have sealed by now."""
    ledger = store.ledger
    names = iter(list(_left(ledger, store)))
    while batch := list(islice(names, _BATCH)):
        with ledger.change() as change:
            for name, old_id in batch:
                found = ledger.get_sealed(name)
                if found is None or found.key_id != old_id:
                    continue  # another process rotates as well
                bound = bound_name(name)
                try:
                    value = unseal(found.data, bound, store.keys)
                except EvtoolError as error:
                    done.broken.append(error.message)
                    continue
                data = seal(value, bound, key, random(NONCE_SIZE))
                done.resealed += change.replace_sealed(name, old_id, key.key_id, data)
        tell(done.resealed)


def _left(ledger: Ledger, store: SealedStore) -> Iterator[tuple[str, str]]:
    for name, key_id in ledger.sealed_names():
        if key_id in store.keys and not bound_name(name).startswith("sealing/"):
            yield name, key_id


def _announce(store: SealedStore, secret: Secret, random: Random) -> tuple[SealingKey, bool]:
    """The key that takes over, from now on, and whether that was not so before."""
    ledger = store.ledger
    known = matching_keys(ledger, secret)
    if known.keys() & store.keys.keys():
        raise ConfigError("the new key is the old one", fix="give another")
    successors = dict(ledger.sealed_names(AFTER))
    for old_id in store.keys:
        successor = successors.get(AFTER + old_id)
        if successor is not None and successor not in known:
            raise ConfigError(
                f"the key {old_id} is being replaced by {successor} already, not by this one",
                fix="finish that with the same new key or passphrase, then change it again",
            )
    unused = [key for key_id, key in known.items() if AFTER + key_id not in successors]
    if known and not unused and is_whole_key(secret):
        raise ConfigError(
            "this key was replaced by another before", fix="give one that was never used"
        )
    derivation = None
    if unused:
        key = unused[0]
    else:
        key, derivation = new_key(secret, random)
    with ledger.change() as change:
        # What is being sealed with the old key just now is there before it is replaced.
        change.change_sealing_key()
        if derivation is not None:
            change.put_sealed(KEYS + key.key_id, key.key_id, derivation.encode())
        for old_id in store.keys:
            name = AFTER + old_id
            if name not in successors and not change.put_sealed(name, key.key_id, b""):
                raise ConfigError(
                    f"the key {old_id} is being replaced by another station just now",
                    fix="wait until it is done, then use its new key",
                )
    return key, any(AFTER + old_id not in successors for old_id in store.keys)
