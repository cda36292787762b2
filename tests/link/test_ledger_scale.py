# SPDX-License-Identifier: GPL-3.0-or-later
"""What keeps the ledger fast when it is large: query plans and counts, not times.

`make bench` measures it with a million records (tests/benchmarks/ledger.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa
from ledger_stations import check_claims, run_stations

from evtool.link.ledger_database import SqlLedger, open_ledger
from evtool.provision.ledger.unit_state import state, state_of_mac

OpenAt = Callable[..., SqlLedger]


@contextmanager
def statements(target: Any = sa.Engine) -> Iterator[list[tuple[str, Any]]]:
    """What is sent to databases meanwhile, with its values."""
    sent: list[tuple[str, Any]] = []

    def note(_c: Any, _cursor: Any, text: str, values: Any, _context: Any, _many: Any) -> None:
        sent.append((text, values))

    sa.event.listen(target, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        sa.event.remove(target, "before_cursor_execute", note)


def plans(ledger: SqlLedger, action: Callable[[], object]) -> list[str]:
    """How the database finds what the SELECTs of `action` ask for."""
    with statements() as sent:
        action()
    found = []
    with ledger._engine.connect() as connection:
        is_sqlite = connection.dialect.name == "sqlite"
        if not is_sqlite:
            # Of a small table PostgreSQL reads all; what matters is what it could do.
            connection.exec_driver_sql("SET enable_seqscan = off")
            connection.exec_driver_sql("SET enable_bitmapscan = off")
        for text, values in sent:
            if text.startswith("SELECT"):
                explain = "EXPLAIN QUERY PLAN " if is_sqlite else "EXPLAIN "
                rows = connection.exec_driver_sql(explain + text, values)
                found.append("\n".join(str(row[-1]) for row in rows))
    return found


@pytest.fixture
def filled(open_at: OpenAt) -> SqlLedger:
    """Some units with some records."""
    ledger = open_at()
    for number in range(20):
        unit, mac = f"CP-{number}", f"m{number}"
        with ledger.change() as change:
            change.claim(unit, [("identity", unit), ("mac", mac)], mac=mac)
            for event in ("planned", "written", "read_back", "proved"):
                change.append(event, unit=unit, mac=mac)
    return ledger


def test_a_units_history_is_found_through_an_index(filled: SqlLedger) -> None:
    for action, index in (
        (lambda: filled.history(unit="CP-7"), "ledger_records_unit"),
        (lambda: filled.history(mac="m7"), "ledger_records_mac"),
        (lambda: state(filled, "CP-7"), "ledger_records_unit"),
        (lambda: filled.general("merged"), "ledger_records_unit"),
        (lambda: list(filled.chain("line-1", 5, 5)), ""),
        (lambda: filled.claim_holder("mac", "m7"), ""),
        (lambda: filled.claims_of("CP-7"), "ledger_claims_unit"),
        (lambda: filled.get_sealed("x"), ""),
    ):
        for plan in plans(filled, action):
            assert index in plan, plan
            assert "SCAN" not in plan.replace("SCAN ledger_stations", ""), plan
            assert "Seq Scan" not in plan, plan


def test_the_latest_of_each_event_is_found_in_the_index_alone(filled: SqlLedger) -> None:
    [plan] = plans(filled, lambda: list(filled.latest()))
    assert (
        "USING COVERING INDEX ledger_records_unit" in plan
        or "Index Only Scan using ledger_records_unit" in plan
    ), plan


def test_opening_asks_little_however_much_there_is(filled: SqlLedger, ledger_place: str) -> None:
    with statements() as sent:
        ledger = open_ledger(ledger_place, "line-1")
    assert len(sent) < 12, sent
    assert not [text for text, _ in sent if "ledger_records" in text]
    # Nor does a change: as many statements for the thousandth as for the first.
    counts = []
    for unit in ("CP-100", "CP-101"):
        with statements() as sent, ledger.change() as change:
            change.claim(unit, [("identity", unit), ("mac", unit)], mac=unit)
            change.append("written", unit=unit, mac=unit)
        counts.append(len(sent))
    assert counts[0] == counts[1] <= 6
    with statements() as sent:
        assert state_of_mac(ledger, "CP-100") is not None
    assert len([text for text, _ in sent if text.startswith("SELECT")]) == 2
    ledger.close()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_stations_that_are_killed_lose_no_claim_and_win_none_twice(ledger_place: str) -> None:
    outcome = run_stations(ledger_place, stations=3, units=150, kill_every=12)
    ledger = open_ledger(ledger_place, "office")
    check_claims(ledger, outcome.told, 150)
    assert outcome.kills > 8
    # Nearly all were acknowledged; those whose station died on the way to say so were not.
    assert len(set(outcome.told)) >= 150 - outcome.kills
    ledger.close()
