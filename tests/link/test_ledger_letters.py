# SPDX-License-Identifier: GPL-3.0-or-later
"""CP-1 and cp-1 are one identity to OCPP: one of two stations has it, in either database."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from ledger_rig import NEEDS_SERVER, PostgresqlServer

from evtool.cli.ledger_option import named_ledger
from evtool.link import ledger_schema
from evtool.link.ledger_database import SqlLedger, open_ledger
from evtool.protocol.ledger_record import ClaimTaken, folded
from evtool.provision.ledger.verify import verify

OpenAt = Callable[..., SqlLedger]


@pytest.mark.parametrize("kind", ["identity", "serial"])
def test_what_differs_in_its_letters_case_is_taken(open_at: OpenAt, kind: str) -> None:
    ledger = open_at()
    with ledger.change() as change:
        change.claim("CP-1", [(kind, "CP-1")], mac="m1")
    with pytest.raises(ClaimTaken, match="capital and small letters") as taken:
        with open_at("line-2").change() as change:
            change.claim("cp-1", [(kind, "cp-1"), ("mac", "m2")], mac="m2")
    assert (taken.value.holder.unit, taken.value.holder.value) == ("CP-1", "CP-1")
    assert "cp-1 on board m2 cannot have" in taken.value.message
    assert ledger.claims_of("cp-1") == []
    with ledger.change() as change:
        assert change.claim("CP-1", [(kind, "cp-1")], mac="m1") is None  # it has it
        assert change.release("CP-1", [(kind, "cp-1")]) is not None
        assert change.claim("cp-1", [(kind, "cp-1")], mac="m2") is not None
    assert verify(ledger).breaks == ()


def test_two_stations_at_once_never_both_win(open_at: OpenAt) -> None:
    rounds = 30
    start = threading.Barrier(2)

    def station(name: str, write: Callable[[str], str]) -> list[int]:
        ledger = open_at(name)
        won = []
        for number in range(rounds):
            unit = write(f"Cp-{number}")
            start.wait(60)
            try:
                with ledger.change() as change:
                    change.claim(unit, [("identity", unit), ("serial", write(f"Sn{number}"))])
                won.append(number)
            except ClaimTaken:
                pass
        return won

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(station, "line-1", str.upper)
        second = pool.submit(station, "line-2", str.lower)
        assert sorted(first.result() + second.result()) == list(range(rounds))
    ledger = open_at()
    assert len({folded(each.value) for each in ledger.claims()}) == 2 * rounds
    assert sum(1 for _ in ledger.claims()) == 2 * rounds
    assert verify(ledger).breaks == ()


def _older(open_at: OpenAt, monkeypatch: pytest.MonkeyPatch, twins: int) -> None:
    """A ledger of the tables' first version, in which CP-n and cp-n have each a board."""
    with monkeypatch.context() as patch:
        for module in ("ledger_schema", "ledger_database"):
            patch.setattr(f"evtool.link.{module}.MIGRATIONS", ledger_schema.MIGRATIONS[:1])
        ledger = open_at("old")
        with ledger.change() as change:
            for number in range(twins):
                for mac, unit in ((f"a{number}", f"CP-{number}"), (f"b{number}", f"cp-{number}")):
                    made = change.append(
                        "claimed",
                        unit=unit,
                        mac=mac,
                        fields={"claims": [["identity", unit], ["mac", mac]]},
                    )
                    for kind, value in (("identity", unit), ("mac", mac)):
                        change._connection.execute(
                            ledger_schema.claims.insert().values(
                                kind=kind, value=value, unit=unit, mac=mac,
                                station="old", seq=made.seq, time=made.time,
                            )
                        )  # fmt: skip


def test_an_older_ledger_with_twins_opens_and_says_which(
    open_at: OpenAt, monkeypatch: pytest.MonkeyPatch
) -> None:
    _older(open_at, monkeypatch, 2)
    ledger = open_at()
    assert [(each.unit, each.value, each.mac) for each in ledger.twins] == [
        ("cp-0", "cp-0", "b0"), ("cp-1", "cp-1", "b1"),
    ]  # fmt: skip
    assert ledger.contested() == ledger.twins
    found = verify(ledger)
    assert (found.breaks, len(found.contested)) == ((), 2)
    assert [each.kind for each in ledger.claims_of("cp-0")] == ["mac"]
    assert len(ledger.history(unit="cp-0")) == 1
    again = open_at()
    assert again.twins == []
    with again.change() as change:
        change.release("CP-0", [("identity", "CP-0")])
        change.release("cp-1", [("identity", "cp-1")])
    holder = again.claim_holder("identity", "CP-0")
    assert holder is not None
    assert (holder.unit, holder.mac) == ("cp-0", "b0")
    assert verify(again).contested == ()
    assert verify(again).breaks == ()


def test_a_unit_written_in_two_ways_has_it_once_and_on_its_board(
    open_at: OpenAt, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        for module in ("ledger_schema", "ledger_database"):
            patch.setattr(f"evtool.link.{module}.MIGRATIONS", ledger_schema.MIGRATIONS[:1])
        old = open_at("old")
        with old.change() as change:
            for seq, (value, mac) in enumerate((("S1", None), ("s1", "m1")), 1):
                made = change.append(
                    "claimed", unit="CP-1", mac=mac, fields={"claims": [["serial", value]]}
                )
                change._connection.execute(
                    ledger_schema.claims.insert().values(
                        kind="serial", value=value, unit="CP-1", mac=mac,
                        station="old", seq=seq, time=made.time,
                    )
                )  # fmt: skip
    ledger = open_at()
    assert ledger.twins == []
    assert [(each.value, each.mac) for each in ledger.claims_of("CP-1")] == [("S1", "m1")]
    found = verify(ledger)
    assert (found.breaks, found.contested) == ((), ())


def test_a_command_names_the_twins_once(
    open_at: OpenAt,
    ledger_place: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    _older(open_at, monkeypatch, 1)
    looked = named_ledger(ledger_place, None)
    assert capsys.readouterr().err == ""
    holder = looked.claim_holder("identity", "cp-0")
    assert (looked.is_older, holder is not None and holder.unit) == (True, "CP-0")
    assert verify(looked).breaks == ()
    looked.close()
    named_ledger(ledger_place, None, writes=True).close()
    said = capsys.readouterr().err
    assert "CP-0's identity CP-0 and cp-0's identity cp-0 are one and the same" in said
    assert "evtool provision ledger release" in said
    named_ledger(ledger_place, None, writes=True).close()
    assert capsys.readouterr().err == ""


@NEEDS_SERVER
def test_a_claim_in_other_letters_is_looked_up_by_the_index(postgresql: PostgresqlServer) -> None:
    ledger = open_ledger(postgresql.new_database())
    with ledger.change() as change:
        for number in range(300):
            change.claim(f"CP-{number}", [("identity", f"CP-{number}")])
    with ledger._engine.connect() as connection:
        connection.exec_driver_sql("ANALYZE ledger_claims")
        connection.exec_driver_sql("SET enable_seqscan = off")
        plan = connection.exec_driver_sql(
            "EXPLAIN SELECT * FROM ledger_claims WHERE kind = 'identity' "
            "AND lower(value COLLATE \"C\") = 'cp-7'"
        ).scalars()
        assert any("ledger_claims_any_case" in line for line in plan)
    ledger.close()
