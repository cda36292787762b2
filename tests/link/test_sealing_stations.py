# SPDX-License-Identifier: GPL-3.0-or-later
"""Several stations and one sealing key: its making and its change, at one and the same moment."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy as sa
from ledger_rig import NEEDS_SERVER, PostgresqlServer

from evtool.errors import ConfigError
from evtool.link.ledger_database import SqlLedger, open_ledger
from evtool.project import Secret
from evtool.provision.secrets import sealed_store
from evtool.provision.secrets.key_derivation import Derivation, is_whole_key, sealing_key
from evtool.provision.secrets.rotation import rotate
from evtool.provision.secrets.sealed_store import KEYS, Random, SealedStore, open_store
from evtool.provision.secrets.sealing import SealingKey

OpenAt = Callable[..., SqlLedger]
ONE, TWO = Secret("11" * 32), Secret("22" * 32)
WORDS = (Secret("correct horse battery"), Secret("incorrect horse battery"))


def opened(ledger: SqlLedger, secret: Secret = ONE) -> SealedStore:
    return open_store(ledger, secret, secrets.token_bytes)


@pytest.fixture
def meet(monkeypatch: pytest.MonkeyPatch) -> threading.Barrier:
    """Where two threads wait for one another once both have seen that there is no key yet."""
    barrier = threading.Barrier(2)

    def cheap(secret: Secret, random: Random) -> tuple[SealingKey, Derivation]:
        barrier.wait(60)
        derivation = Derivation(b"" if is_whole_key(secret) else random(16), n=16)
        return sealing_key(secret, derivation), derivation

    monkeypatch.setattr(sealed_store, "new_key", cheap)
    return barrier


@pytest.mark.usefixtures("meet")
@pytest.mark.parametrize("given", [WORDS, (ONE, TWO)], ids=["passphrases", "keys"])
def test_of_two_first_keys_one_wins_and_the_other_is_wrong(
    open_at: OpenAt, given: tuple[Secret, Secret]
) -> None:
    ledgers = open_at("line-1"), open_at("line-2")
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(_tried, ledgers, given))
    assert sorted(type(each).__name__ for each in done) == ["ConfigError", "SealedStore"]
    [refused] = [each for each in done if isinstance(each, ConfigError)]
    assert "not the key or passphrase" in refused.message
    assert len(ledgers[0].sealed_names(KEYS)) == 1
    # The winner goes on with it, and the loser stays out.
    for ledger, secret, outcome in zip(ledgers, given, done, strict=True):
        again = _tried(ledger, secret)
        assert type(again) is type(outcome)


@pytest.mark.usefixtures("meet")
@pytest.mark.parametrize("given", [ONE, WORDS[0]], ids=["key", "passphrase"])
def test_two_stations_may_begin_with_one_key_at_once(open_at: OpenAt, given: Secret) -> None:
    ledgers = open_at("line-1"), open_at("line-2")
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(_tried, ledgers, (given, given))
    assert isinstance(first, SealedStore)
    assert isinstance(second, SealedStore)
    assert first.sealing().key_id == second.sealing().key_id
    assert len(ledgers[0].sealed_names(KEYS)) == 1


def _tried(ledger: SqlLedger, secret: Secret) -> SealedStore | ConfigError:
    try:
        return opened(ledger, secret)
    except ConfigError as error:
        return error


@NEEDS_SERVER
def test_a_change_of_the_key_waits_for_what_is_being_sealed(postgresql: PostgresqlServer) -> None:
    """On a server two transactions run at once; in SQLite the second one waits for the first."""
    place = postgresql.new_database()
    line, office = open_ledger(place, "line-1"), open_ledger(place, "office")
    at_work = opened(line)
    with ThreadPoolExecutor(1) as pool:
        with line.change() as change:
            at_work.put(change, "secret/CP-1/authorization_key/1", b"late")
            rotating = pool.submit(rotate, opened(office), TWO, secrets.token_bytes)
            _wait_for_a_lock(office, rotating)
            at_work.put(change, "secret/CP-2/authorization_key/1", b"later")
        done = rotating.result(60)
    assert (done.resealed, done.broken) == (2, [])
    new = opened(office, TWO)
    assert {key_id for _, key_id in office.sealed_names("secret/")} == {new.sealing().key_id}
    assert new.latest("CP-1", "authorization_key") == (1, b"late")
    with line.change() as change, pytest.raises(ConfigError, match="was replaced by another"):
        at_work.put(change, "secret/CP-3/authorization_key/1", b"too late")
    line.close()
    office.close()


def _wait_for_a_lock(ledger: SqlLedger, rotating: Future[Any]) -> None:
    """Return when the rotation waits for an advisory lock; fail where it ends without one."""
    query = sa.text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
    while True:
        with ledger._engine.connect() as connection:
            if connection.execute(query).scalar_one():
                return
        assert not rotating.done(), "it did not wait"
