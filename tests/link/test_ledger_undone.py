# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes that the database undoes for another one's sake: done again, and nothing of it twice."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from threading import Barrier

import pytest
from ledger_rig import NEEDS_SERVER, PostgresqlServer

from evtool.errors import ChangeUndone
from evtool.link.ledger_change import SqlChange
from evtool.link.ledger_database import SqlLedger, open_ledger
from evtool.link.secret_source import SecretSource
from evtool.project import Secret, SecretRef
from evtool.provision.ledger.in_change import in_change
from evtool.provision.ledger.store import Change
from evtool.provision.ledger.verify import verify
from evtool.provision.secrets.sealed_store import open_store
from evtool.provision.secrets.unit_secrets import UnitSecretStore

OpenAt = Callable[..., SqlLedger]


@NEEDS_SERVER
def test_who_loses_a_deadlock_does_its_change_again(postgresql: PostgresqlServer) -> None:
    place = postgresql.new_database()
    both_have_one = Barrier(2)
    calls = {"line-1": 0, "line-2": 0}

    def station(name: str, first: str, second: str) -> None:
        ledger = open_ledger(place, name)

        def work(change: Change) -> None:
            calls[name] += 1
            change.claim("CP-1", [("serial", first)])
            if calls[name] == 1:
                both_have_one.wait(300)
            change.claim("CP-1", [("serial", second)])
            change.append("planned", unit="CP-1")

        in_change(ledger, work)
        ledger.close()

    with ThreadPoolExecutor(2) as pool:
        for done in [
            pool.submit(station, "line-1", "S1", "S2"),
            pool.submit(station, "line-2", "S2", "S1"),
        ]:
            done.result()
    assert sorted(calls.values()) == [1, 2]
    ledger = open_ledger(place)
    history = ledger.history(unit="CP-1")
    assert sorted(each.station for each in history if each.event == "planned") == [
        "line-1", "line-2",
    ]  # fmt: skip
    won = [each for record in history for each in record.fields.get("claims", ())]  # type: ignore[attr-defined]  # a list
    assert sorted(won) == [["serial", "S1"], ["serial", "S2"]]
    assert verify(ledger).breaks == ()
    ledger.close()


@pytest.mark.parametrize(("times", "is_done"), [(4, True), (5, False)])
def test_it_is_tried_a_few_times_and_leaves_nothing_of_the_others(
    open_at: OpenAt, times: int, is_done: bool
) -> None:
    ledger, tried = open_at(), count(1)

    def work(change: Change) -> int:
        change.add_range("2030", 1, 9)
        number = change.next_serial("2030", "CP-1")
        if next(tried) <= times:
            raise ChangeUndone("deadlock detected")
        return number

    if is_done:
        assert in_change(ledger, work) == 1
    else:
        with pytest.raises(ChangeUndone):
            in_change(ledger, work)
    events = [each.event for each in ledger.chain("line-1")]
    assert events == (["range_added", "serial_taken"] if is_done else [])


def test_a_fleets_secrets_are_sealed_in_one_order_whatever_the_files(
    open_at: OpenAt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two stations whose files have the rows otherwise do not wait for one another."""
    ledger, asked = open_at(), []
    seal = SqlChange.put_sealed

    def put(change: SqlChange, name: str, key_id: str, data: bytes) -> bool:
        asked.append(name)
        return seal(change, name, key_id, data)

    numbers = count()
    store = UnitSecretStore(
        SecretSource(tmp_path, create=False),
        open_store(ledger, Secret("5e" * 32), bytes),
        lambda: f"secret-{next(numbers)}",
    )
    monkeypatch.setattr(SqlChange, "put_sealed", put)
    ref = SecretRef("generate", "")
    wanted = [(f"CP-{n}", "authorization_key", ref) for n in (2, 3, 1)]
    assert store.make_all(wanted) == 3
    assert asked == [f"secret/CP-{n}/authorization_key/1" for n in (1, 2, 3)]
