# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets sealed in a real ledger: found again, renewed, and sealed anew with another key."""

from __future__ import annotations

import os
import secrets
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import keyring
import keyring.backend
import pytest

from evtool.cli.sealing_option import open_sealed
from evtool.errors import ConfigError, SecretMissing
from evtool.link.ledger_database import SqlLedger, open_ledger
from evtool.link.sealing_key import keep_sealing_key, new_sealing_key, read_sealing_key
from evtool.link.secret_source import SecretSource, generate_key
from evtool.project import Secret, SecretRef
from evtool.provision.ledger.merge import merge
from evtool.provision.secrets import rotation, sealed_store, sealing
from evtool.provision.secrets.key_derivation import Derivation, is_whole_key, sealing_key
from evtool.provision.secrets.rotation import rotate
from evtool.provision.secrets.sealed_store import Random, SealedStore, open_store, secret_name
from evtool.provision.secrets.sealing import SealBroken, SealingKey
from evtool.provision.secrets.unit_secrets import UnitSecretStore

ONE = Secret("11" * 32)
TWO = Secret("22" * 32)
PASSPHRASE = Secret("correct horse battery")
GENERATE = SecretRef("generate")
KEY = "authorization_key"


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[SqlLedger]:
    with closing(open_ledger(tmp_path / "ledger.db", "line-1")) as opened:
        yield opened


@pytest.fixture
def _cheap_scrypt(monkeypatch: pytest.MonkeyPatch) -> None:
    def cheap(secret: Secret, random: Random) -> tuple[SealingKey, Derivation]:
        derivation = Derivation(b"" if is_whole_key(secret) else random(16), n=16)
        return sealing_key(secret, derivation), derivation

    monkeypatch.setattr(sealed_store, "new_key", cheap)
    monkeypatch.setattr(rotation, "new_key", cheap)


def opened(ledger: SqlLedger, secret: Secret = ONE) -> SealedStore:
    return open_store(ledger, secret, secrets.token_bytes)


def store_of(ledger: SqlLedger, root: Path, secret: Secret = ONE) -> UnitSecretStore:
    return UnitSecretStore(SecretSource(root, create=False), opened(ledger, secret), generate_key)


def test_a_generated_secret_is_sealed_and_the_same_ever_after(
    ledger: SqlLedger, tmp_path: Path
) -> None:
    store = store_of(ledger, tmp_path)
    assert store.look("CP-1", KEY, GENERATE) is None
    made = store.resolve("CP-1", KEY, GENERATE)
    assert len(made.reveal()) == 20
    assert store_of(ledger, tmp_path).resolve("CP-1", KEY, GENERATE) == made
    assert store.resolve("CP-2", KEY, GENERATE) != made
    assert not (tmp_path / ".evtool").exists()
    data = (tmp_path / "ledger.db").read_bytes() + (tmp_path / "ledger.db-wal").read_bytes()
    for form in (made.reveal(), made.reveal().encode().hex()):
        assert form.encode() not in data


def test_the_secrets_of_many_units_are_made_at_once(ledger: SqlLedger, tmp_path: Path) -> None:
    kept = SecretSource(tmp_path).resolve(GENERATE, f"CP-3 {KEY}")
    store = store_of(ledger, tmp_path)
    first = store.resolve("CP-1", KEY, GENERATE)
    _, renewed = store.renew("CP-1", KEY)
    wanted = [(f"CP-{n}", KEY, GENERATE) for n in range(1, 6)]
    wanted.append(("CP-1", "wifi_passphrase", SecretRef("env", "X")))
    assert store.make_all(wanted) == 3
    assert store.make_all(wanted) == 0
    store.prepare(wanted)
    found = {unit: store.look(unit, KEY, GENERATE) for unit, name, _ in wanted if name == KEY}
    assert found == {unit: store.resolve(unit, KEY, GENERATE) for unit in found}
    assert (found["CP-1"], found["CP-3"]) == (renewed, kept)
    assert len(set(found.values()) | {first}) == 6
    # What is looked at ahead is looked at once: afterwards it may have changed.
    store.prepare([("CP-9", KEY, GENERATE)])
    made = store.resolve("CP-9", KEY, GENERATE)
    assert store.look("CP-9", KEY, GENERATE) is None
    assert store.look("CP-9", KEY, GENERATE) == made


def test_generations_of_a_secret(ledger: SqlLedger, tmp_path: Path) -> None:
    store = store_of(ledger, tmp_path)
    first = store.resolve("CP-1", KEY, GENERATE)
    number, second = store.renew("CP-1", KEY)
    assert (number, second != first) == (2, True)
    assert store.resolve("CP-1", KEY, GENERATE) == second
    assert store.generation("CP-1", KEY, 1) == first
    assert store.generation("CP-1", KEY, 3) is None


def test_stations_that_ask_at_once_are_given_one_secret(ledger: SqlLedger, tmp_path: Path) -> None:
    opened(ledger)
    found: list[Secret] = []

    def ask() -> None:
        found.append(store_of(ledger, tmp_path).resolve("CP-1", KEY, GENERATE))

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 6
    assert len(set(found)) == 1


def test_without_a_sealing_key_nothing_is_generated(tmp_path: Path) -> None:
    store = UnitSecretStore(SecretSource(tmp_path, create=False), None, generate_key)
    assert store.look("CP-1", KEY, GENERATE) is None
    with pytest.raises(SecretMissing, match="no sealing key to keep it with"):
        store.resolve("CP-1", KEY, GENERATE)


def test_what_was_kept_in_clear_is_read_and_can_be_sealed(
    ledger: SqlLedger, tmp_path: Path
) -> None:
    kept = SecretSource(tmp_path).resolve(GENERATE, f"CP-1 {KEY}")
    store = store_of(ledger, tmp_path)
    assert store.resolve("CP-1", KEY, GENERATE) == kept
    assert ledger.sealed_names("secret/") == []
    assert store.seal_kept("CP-1", KEY) == kept
    assert store.seal_kept("CP-1", KEY) == kept
    assert store.seal_kept("CP-1", "wifi_passphrase") is None
    SecretSource(tmp_path).kept_path(f"CP-1 {KEY}").unlink()
    assert store.resolve("CP-1", KEY, GENERATE) == kept


def test_a_sealed_secret_moved_to_another_unit_does_not_open(
    ledger: SqlLedger, tmp_path: Path
) -> None:
    store = store_of(ledger, tmp_path)
    store.resolve("CP-1", KEY, GENERATE)
    sealed = ledger.get_sealed(secret_name("CP-1", KEY, 1))
    assert sealed is not None
    with ledger.change() as change:
        change.put_sealed(secret_name("CP-2", KEY, 1), sealed.key_id, sealed.data)
    with pytest.raises(SealBroken):
        store.resolve("CP-2", KEY, GENERATE)


@pytest.mark.usefixtures("_cheap_scrypt")
def test_a_wrong_passphrase_is_found_out_before_anything_is_sealed(ledger: SqlLedger) -> None:
    opened(ledger, PASSPHRASE)
    assert opened(ledger, PASSPHRASE).current is not None
    for wrong in (Secret("incorrect horse battery"), ONE):
        with pytest.raises(ConfigError, match="not the key or passphrase"):
            opened(ledger, wrong)
    assert len(ledger.sealed_names(sealed_store.KEYS)) == 1


@pytest.mark.usefixtures("_cheap_scrypt")
@pytest.mark.parametrize(("old", "new"), [(ONE, TWO), (PASSPHRASE, ONE), (ONE, PASSPHRASE)])
def test_another_key_takes_over(
    ledger: SqlLedger, tmp_path: Path, old: Secret, new: Secret
) -> None:
    store = store_of(ledger, tmp_path, old)
    units = [f"CP-{n}" for n in range(120)]
    made = {unit: store.resolve(unit, KEY, GENERATE) for unit in units}
    old_store = opened(ledger, old)
    done = rotate(old_store, new, secrets.token_bytes)
    assert (done.resealed, done.broken) == (120, [])
    after = store_of(ledger, tmp_path, new)
    assert {unit: after.resolve(unit, KEY, GENERATE) for unit in units} == made
    # A station that still has the old key seals nothing more with it.
    with pytest.raises(ConfigError, match="was replaced by another"):
        store_of(ledger, tmp_path, old).resolve("CP-new", KEY, GENERATE)
    events = [record for record in ledger.chain("line-1") if record.event == "sealed_key_changed"]
    assert [record.fields["resealed"] for record in events] == [120]
    # Once more changes nothing, and says nothing in the ledger.
    assert rotate(opened(ledger, old), new, secrets.token_bytes).resealed == 0
    assert len(list(ledger.chain("line-1"))) == 1
    with pytest.raises(ConfigError, match="the new key is the old one"):
        rotate(opened(ledger, new), new, secrets.token_bytes)


def test_a_change_under_way_is_finished_with_the_same_key(
    ledger: SqlLedger, tmp_path: Path
) -> None:
    made = store_of(ledger, tmp_path).resolve("CP-1", KEY, GENERATE)
    old, name = opened(ledger).sealing(), secret_name("CP-9", KEY, 1)
    rotate(opened(ledger), TWO, secrets.token_bytes)
    with pytest.raises(ConfigError, match=r"is being replaced by \w+ already"):
        rotate(opened(ledger), Secret("33" * 32), secrets.token_bytes)
    # A transaction that was under way, and has ended only now.
    late = sealing.seal(b"late", name, old, secrets.token_bytes(12))
    with ledger.change() as change:
        change.put_sealed(name, old.key_id, late)
    assert rotate(opened(ledger), TWO, secrets.token_bytes).resealed == 1
    assert opened(ledger, TWO).latest("CP-9", KEY) == (1, b"late")
    with pytest.raises(ConfigError, match="was replaced by another before"):
        rotate(opened(ledger, TWO), ONE, secrets.token_bytes)
    assert store_of(ledger, tmp_path, TWO).resolve("CP-1", KEY, GENERATE) == made


def test_a_station_that_is_at_work_seals_nothing_more_with_a_key_that_was_replaced(
    ledger: SqlLedger, tmp_path: Path
) -> None:
    at_work = store_of(ledger, tmp_path)
    at_work.resolve("CP-1", KEY, GENERATE)
    rotate(opened(ledger), TWO, secrets.token_bytes)
    # Who is told that all is done may destroy the old key.
    with pytest.raises(ConfigError, match="was replaced by another"):
        at_work.resolve("CP-2", KEY, GENERATE)
    new = opened(ledger, TWO)
    assert {key_id for name, key_id in ledger.sealed_names("secret/")} == {new.sealing().key_id}
    assert new.latest("CP-2", KEY) is None


def test_what_was_being_sealed_while_the_key_changes_is_sealed_anew_too(
    ledger: SqlLedger, tmp_path: Path
) -> None:
    store_of(ledger, tmp_path).resolve("CP-1", KEY, GENERATE)
    late = opened(ledger)
    name = secret_name("CP-2", KEY, 1)

    def commits_late(_count: int) -> None:
        if ledger.get_sealed(name) is None:
            data = sealing.seal(b"late", name, late.sealing(), secrets.token_bytes(12))
            with ledger.change() as change:
                change.put_sealed(name, late.sealing().key_id, data)

    done = rotate(opened(ledger), TWO, secrets.token_bytes, commits_late)
    assert done.resealed == 2
    assert opened(ledger, TWO).get(name) == b"late"


def test_a_value_that_does_not_open_is_named_and_the_others_go_on(
    ledger: SqlLedger, tmp_path: Path
) -> None:
    store = store_of(ledger, tmp_path)
    store.resolve("CP-1", KEY, GENERATE)
    key_id = opened(ledger).sealing().key_id
    with ledger.change() as change:
        change.put_sealed("image/broken", key_id, b"EVS1" + bytes.fromhex(key_id) + bytes(40))
    done = rotate(opened(ledger), TWO, secrets.token_bytes)
    assert done.resealed == 1
    assert len(done.broken) == 1
    assert "image/broken" in done.broken[0]


def test_what_a_merge_filed_apart_still_opens_and_is_sealed_anew(
    ledger: SqlLedger, tmp_path: Path
) -> None:
    with closing(open_ledger(tmp_path / "other.db", "line-2")) as theirs:
        other = store_of(theirs, tmp_path).resolve("CP-1", KEY, GENERATE)
        made = store_of(ledger, tmp_path).resolve("CP-1", KEY, GENERATE)
        [(name, apart)] = merge(ledger, theirs).sealed_apart
    assert name == secret_name("CP-1", KEY, 1)
    done = rotate(opened(ledger), TWO, secrets.token_bytes)
    assert (done.resealed, done.broken) == (2, [])
    after = opened(ledger, TWO)
    assert after.get(name) == made.reveal().encode()
    assert after.get(apart) == other.reveal().encode()


@pytest.mark.usefixtures("_cheap_scrypt")
def test_a_passphrase_that_is_typed_for_the_first_time_is_typed_twice(
    ledger: SqlLedger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed: list[str] = []
    monkeypatch.setattr(
        "evtool.cli.options.secret_source_at",
        lambda root, **_more: SecretSource(root, lambda _label: typed.pop(0), create=False),
    )
    place = SecretRef("prompt")
    typed += ["correct horse battery", "correct horse batter"]
    with pytest.raises(ConfigError, match="the two passphrases differ"):
        open_sealed(ledger, place, tmp_path)
    assert ledger.sealed_names() == []
    typed += ["correct horse battery"] * 2
    open_sealed(ledger, place, tmp_path)
    typed.append("correct horse battery")
    assert open_sealed(ledger, place, tmp_path).current is not None
    assert typed == []


_KILLED = """
import os, secrets, signal, sys
from evtool.link.ledger_database import open_ledger
from evtool.project import Secret
from evtool.provision.secrets import rotation
from evtool.provision.secrets.sealed_store import open_store
rotation._BATCH = 3
ledger = open_ledger(sys.argv[1], "line-1")
left = int(sys.argv[2])
def random(size):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return secrets.token_bytes(size)
store = open_store(ledger, Secret("11" * 32), secrets.token_bytes)
print(rotation.rotate(store, Secret("22" * 32), random).resealed)
"""


def test_a_rotation_that_was_killed_anywhere_is_continued(
    ledger: SqlLedger, tmp_path: Path
) -> None:
    store = store_of(ledger, tmp_path)
    units = [f"CP-{n}" for n in range(8)]
    made = {unit: store.resolve(unit, KEY, GENERATE) for unit in units}
    killed = 0
    for left in range(12):
        done = subprocess.run(
            [sys.executable, "-c", _KILLED, str(tmp_path / "ledger.db"), str(left)],
            capture_output=True,
            timeout=60,
            check=False,
        )
        killed += done.returncode == -signal.SIGKILL
        # In the middle, each value opens with one of the two keys.
        keys = dict(opened(ledger).keys)
        if len(ledger.sealed_names(sealed_store.KEYS)) == 2:
            keys |= opened(ledger, TWO).keys
        both = SealedStore(ledger, keys, None, secrets.token_bytes)
        for unit, secret in made.items():
            assert both.latest(unit, KEY) == (1, secret.reveal().encode())
        if done.returncode == 0:
            break
    assert done.returncode == 0, done.stderr
    assert killed >= 3
    after = store_of(ledger, tmp_path, TWO)
    assert {unit: after.resolve(unit, KEY, GENERATE) for unit in units} == made


class MemoryKeyring(keyring.backend.KeyringBackend):
    """A keyring of this process alone."""

    priority = 1.0

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # the library's own
        self.kept: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.kept[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        del self.kept[service, username]


def test_a_key_is_kept_in_the_keyring_or_in_a_private_file(tmp_path: Path) -> None:
    before = keyring.get_keyring()
    keyring.set_keyring(MemoryKeyring())
    source = SecretSource(tmp_path, create=False)
    try:
        for ref in (SecretRef("keyring", "line"), SecretRef("file", str(tmp_path / "a" / "key"))):
            with pytest.raises(SecretMissing):
                read_sealing_key(ref, source)
            key = new_sealing_key()
            keep_sealing_key(ref, key)
            assert read_sealing_key(ref, source) == key
            with pytest.raises(ConfigError, match="already"):
                keep_sealing_key(ref, new_sealing_key())
            assert read_sealing_key(ref, source) == key
    finally:
        keyring.set_keyring(before)
    assert stat.S_IMODE((tmp_path / "a" / "key").stat().st_mode) == 0o600
    with pytest.raises(ConfigError, match="kept in a keyring or in a file"):
        keep_sealing_key(SecretRef("env", "X"), key)


def test_a_process_with_secrets_leaves_no_core_dump(tmp_path: Path) -> None:
    script = (
        "import resource, sys; from pathlib import Path;"
        "from evtool.link.secret_source import SecretSource;"
        "SecretSource(Path(sys.argv[1]));"
        "print(resource.getrlimit(resource.RLIMIT_CORE))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env=os.environ,
    )
    # For 0 Linux still hands the dump to a crash reporter, where one is set up; not for 1.
    assert done.stdout.strip() == "(1, 1)"
