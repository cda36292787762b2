# SPDX-License-Identifier: GPL-3.0-or-later
"""Ledgers of stations that were apart: chains taken in whole, conflicts with both sides."""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evtool.link import ledger_schema
from evtool.link.ledger_database import SqlLedger, open_ledger
from evtool.protocol.ledger_record import ClaimTaken
from evtool.provision.ledger.merge import Merged, merge
from evtool.provision.ledger.verify import verify

OpenAt = Callable[..., SqlLedger]


@pytest.fixture
def theirs(tmp_path: Path) -> Iterator[SqlLedger]:
    """Another station's ledger, in a file."""
    ledger = open_ledger(tmp_path / "theirs.db", "line-9")
    yield ledger
    ledger.close()


def provision(ledger: SqlLedger, unit: str, mac: str, serial: str) -> None:
    with ledger.change() as change:
        change.claim(unit, [("identity", unit), ("mac", mac), ("serial", serial)], mac=mac)
        change.append("written", unit=unit, mac=mac)


def tables(ledger: SqlLedger) -> dict[str, list[tuple[object, ...]]]:
    """All rows that records give rise to, but our own chain's."""
    found: dict[str, list[tuple[object, ...]]] = {}
    with ledger._engine.connect() as connection:
        for table in (
            ledger_schema.claims, ledger_schema.contested, ledger_schema.numbers,
            ledger_schema.ranges, ledger_schema.sealed,
        ):  # fmt: skip
            rows = connection.execute(sa.select(table))
            found[table.name] = sorted(tuple(row) for row in rows)
    return found


def test_another_stations_chain_is_taken_in_whole_and_once(
    open_at: OpenAt, theirs: SqlLedger
) -> None:
    ours = open_at()
    provision(ours, "CP-1", "m1", "S1")
    provision(theirs, "CP-2", "m2", "S2")
    with theirs.change() as change:
        change.add_range("2030", 1, 9)
        change.next_serial("2030", "CP-3")
        change.put_sealed("secret/CP-2/a/1", "k", b"sealed")
    merged = merge(ours, theirs)
    assert merged.is_clean
    assert merged.taken == {"line-9": 4}
    assert list(ours.chain("line-9")) == list(theirs.chain("line-9"))
    holder = ours.claim_holder("serial", "S2")
    assert holder is not None
    assert (holder.unit, holder.mac, holder.station) == ("CP-2", "m2", "line-9")
    assert verify(ours).breaks == ()
    [note] = [each for each in ours.chain("line-1") if each.event == "merged"]
    assert note.fields["taken"] == {"line-9": 4}
    assert merge(ours, theirs) == Merged()
    with ours.change() as change:
        assert change.next_serial("2030", "CP-4") == 2
        assert change.next_serial("2030", "CP-3") == 1
    # What came since is all that a second time takes.
    provision(theirs, "CP-5", "m5", "S5")
    assert merge(ours, theirs).taken == {"line-9": 2}


def test_an_identity_given_away_twice_is_reported_with_both_sides(
    open_at: OpenAt, theirs: SqlLedger
) -> None:
    ours = open_at()
    provision(ours, "CP-1", "m1", "S1")
    provision(theirs, "CP-1", "m2", "S1")
    merged = merge(ours, theirs)
    assert not merged.is_clean
    found = {each.ours.kind: (each.ours, each.theirs) for each in merged.conflicts}
    assert set(found) == {"identity", "serial"}
    mine, other = found["identity"]
    assert (mine.mac, mine.station) == ("m1", "line-1")
    assert (other.mac, other.station) == ("m2", "line-9")
    # Both boards are known, the first keeps the name, and the second one still wants it.
    assert ours.claim_holder("identity", "CP-1") == mine
    assert other in ours.contested()
    holder = ours.claim_holder("mac", "m2")
    assert holder is not None
    assert holder.unit == "CP-1"
    assert len(ours.history(unit="CP-1")) == 4
    found_by_verify = verify(ours)
    assert found_by_verify.breaks == ()
    assert len(found_by_verify.contested) == 2
    # A person decides: the board at line-1 gives it up.
    with pytest.raises(Exception, match="several boards: m1, m2"), ours.change() as change:
        change.release("CP-1", [("identity", "CP-1")])
    with ours.change() as change:
        change.release("CP-1", [("identity", "CP-1"), ("serial", "S1"), ("mac", "m1")], mac="m1")
    assert ours.contested() == []
    heir = ours.claim_holder("identity", "CP-1")
    assert heir is not None
    assert heir.mac == "m2"
    with pytest.raises(ClaimTaken), ours.change() as change:
        change.claim("CP-1", [("identity", "CP-1")], mac="m1")
    assert verify(ours).breaks == ()


def test_chains_of_one_name_that_differ_are_not_taken(open_at: OpenAt, tmp_path: Path) -> None:
    one = open_ledger(tmp_path / "one.db", "line-9")
    for number in range(5):
        provision(one, f"CP-{number}", f"m{number}", f"S{number}")
    one.close()
    shutil.copy(tmp_path / "one.db", tmp_path / "two.db")
    one, two = (open_ledger(tmp_path / name, "line-9") for name in ("one.db", "two.db"))
    provision(one, "CP-7", "m7", "S7")
    provision(one, "CP-8", "m8", "S8")
    provision(two, "CP-9", "m9", "S9")
    ours = open_at()
    assert merge(ours, one).is_clean
    merged = merge(ours, two)
    [fork] = merged.forks
    assert (fork.station, fork.seq, fork.ours.unit, fork.theirs.unit) == (
        "line-9", 11, "CP-7", "CP-9",
    )  # fmt: skip
    assert merged.taken == {}
    assert ours.claim_holder("identity", "CP-9") is None
    assert verify(ours).breaks == ()
    for each in (one, two):
        each.close()


def test_a_broken_chain_is_named_and_nothing_of_it_taken(
    open_at: OpenAt, theirs: SqlLedger
) -> None:
    ours = open_at()
    for number in range(3):
        provision(theirs, f"CP-{number}", f"m{number}", f"S{number}")
    with theirs._engine.begin() as connection:
        connection.exec_driver_sql("DROP TRIGGER ledger_records_kept")
        connection.exec_driver_sql("UPDATE ledger_records SET mac = 'mx' WHERE seq = 4")
    merged = merge(ours, theirs)
    assert [(each.station, each.seq) for each in merged.breaks] == [("line-9", 1)]
    assert "line-9 4: its content is not what it was" in merged.breaks[0].reason
    assert ours.heads()["line-9"].seq == 0
    assert list(ours.chain("line-9")) == []


def test_what_was_released_there_is_free_here_unless_we_used_it_since(
    open_at: OpenAt, theirs: SqlLedger
) -> None:
    ours = open_at()
    for unit in ("CP-1", "CP-2"):
        provision(theirs, unit, f"m-{unit}", f"S-{unit}")
    merge(ours, theirs)
    with theirs.change() as change:
        for unit in ("CP-1", "CP-2"):
            change.release(unit, [("identity", unit)])
    with ours.change() as change:
        change.append("written", unit="CP-2", mac="m-CP-2")
    merged = merge(ours, theirs)
    assert [each.value for each in merged.kept] == ["CP-2"]
    assert ours.claim_holder("identity", "CP-1") is None
    assert ours.claim_holder("identity", "CP-2") is not None
    assert verify(ours).breaks == ()


def test_what_was_used_here_in_the_millisecond_of_its_release_is_kept(tmp_path: Path) -> None:
    now = datetime(2030, 1, 1, tzinfo=UTC)
    with (
        closing(open_ledger(tmp_path / "a.db", "line-1", lambda: now)) as ours,
        closing(open_ledger(tmp_path / "b.db", "line-9", lambda: now)) as theirs,
    ):
        provision(theirs, "CP-1", "m1", "S1")
        merge(ours, theirs)
        with theirs.change() as change:
            change.release("CP-1", [("identity", "CP-1")])
        with ours.change() as change:
            change.append("written", unit="CP-1", mac="m1")
        assert [each.value for each in merge(ours, theirs).kept] == ["CP-1"]
        assert ours.claim_holder("identity", "CP-1") is not None


def test_sealed_bytes_that_differ_are_both_kept(open_at: OpenAt, theirs: SqlLedger) -> None:
    ours = open_at()
    for ledger, key in ((ours, "k1"), (theirs, "k2")):
        with ledger.change() as change:
            change.put_sealed("secret/CP-1/a/1", key, key.encode())
            change.put_sealed("image/abc", key, key.encode())
    merged = merge(ours, theirs)
    apart = f"merged/{theirs.ledger_id()}/secret/CP-1/a/1"
    assert merged.sealed_apart == [("secret/CP-1/a/1", apart)]
    assert [(name, key) for name, key in ours.sealed_names()] == [
        ("image/abc", "k1"), (apart, "k2"), ("secret/CP-1/a/1", "k1"),
    ]  # fmt: skip
    assert merge(ours, theirs).sealed_apart == []


def test_a_station_gets_back_what_it_lost(open_at: OpenAt, tmp_path: Path) -> None:
    ours = open_at()
    provision(ours, "CP-1", "m1", "S1")
    copy = open_ledger(tmp_path / "copy.db", "office")
    merge(copy, ours)
    lost = open_ledger(tmp_path / "new.db", "line-1")
    assert merge(lost, copy).taken == {"line-1": 2, "office": 1}
    provision(lost, "CP-2", "m2", "S2")
    assert verify(lost).breaks == ()
    assert [each.seq for each in lost.chain("line-1")] == [1, 2, 3, 4, 5]
    for each in (copy, lost):
        each.close()


def ahead(seconds: int) -> Callable[[], datetime]:
    """A clock that goes before this computer's."""
    return lambda: datetime.now(UTC) + timedelta(seconds=seconds)


# What each station did, in this order; found by trying at random.
_APART = (
    "1 claims, 0 claims, 0 releases",
    "0 claims, 1 claims, 0 releases",
    "0 claims m1, 1 claims, 1 releases",
    "0 claims m1, 1 claims m2, 1 releases m2",
    "0 claims, 0 releases, 1 claims m1",
    "1 claims m1, 0 claims m1, 1 releases, 0 releases m1, 1 claims m1",
)


@pytest.mark.parametrize("apart", _APART)
@pytest.mark.parametrize("seconds", [-5, 0, 5])
def test_a_claim_on_no_board_yet_is_no_break_when_two_stations_made_it(
    tmp_path: Path, apart: str, seconds: int
) -> None:
    ledgers = [open_ledger(tmp_path / f"{n}.db", f"line-{n}", ahead(n * seconds)) for n in range(2)]
    for step in apart.split(", "):
        place, what, *mac = step.split()
        with ledgers[int(place)].change() as change:
            do = change.claim if what == "claims" else change.release
            do("CP-1", [("serial", "S1")], mac=mac[0] if mac else None)
    held = {ledger: ledger.claim_holder("serial", "S1") for ledger in ledgers}
    for ours, theirs in (ledgers, reversed(ledgers), ledgers):
        merge(ours, theirs)
        assert verify(ours).breaks == ()
    for claim in held.values():
        # By the clocks: who names the board that gives it up may mean what another one claimed.
        named = claim is not None and f"releases {claim.mac}" in apart
        if claim is not None and claim.mac is not None and not named:
            # A board that has it is known to both, whatever the other one gave up.
            for ledger in ledgers:
                rows = [ledger.claim_holder("serial", "S1"), *ledger.contested()]
                assert claim.mac in [row.mac for row in rows if row is not None]
    for ledger in ledgers:
        ledger.close()


def test_what_was_released_is_free_although_who_claimed_it_has_a_fast_clock(
    tmp_path: Path,
) -> None:
    claimed, released = (
        open_ledger(tmp_path / f"{n}.db", f"line-{n}", ahead(n * 3600)) for n in (1, 0)
    )
    provision(claimed, "CP-1", "m1", "S1")
    merge(released, claimed)
    with released.change() as change:
        change.release("CP-1", [("serial", "S1")], mac="m1")
    merged = merge(claimed, released)
    for ledger in (claimed, released):
        assert ledger.claim_holder("serial", "S1") is None
        assert verify(ledger).breaks == ()
        ledger.close()
    assert merged.kept == []


_STEPS = st.lists(
    st.tuples(
        st.integers(0, 2),  # which station
        st.sampled_from(["claim", "claim", "claim", "release", "number", "merge"]),
        st.integers(1, 3),  # which unit
        st.integers(0, 2),  # which board; 0: none yet
    ),
    min_size=5,
    max_size=25,
)


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(_STEPS, st.sampled_from([0, 5]))
def test_whatever_stations_do_apart_all_is_known_and_nothing_is_given_twice_in_silence(
    steps: list[tuple[int, str, int, int]], seconds: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        ledgers = [
            open_ledger(Path(folder) / f"{n}.db", f"line-{n}", ahead((n - 1) * seconds))
            for n in range(3)
        ]
        for place, what, unit_number, board in steps:
            ledger, unit, mac = ledgers[place], f"CP-{unit_number}", f"m{board}" if board else None
            claims = [("identity", unit), *([("mac", mac)] if mac else [])]
            if what == "merge":
                merge(ledger, ledgers[(place + unit_number) % 3])
                continue
            with ledger.change() as change:
                try:
                    if what == "claim":
                        change.claim(unit, claims, mac=mac)
                    elif what == "release":
                        change.release(unit, claims, mac=mac)
                    else:
                        change.add_range("r", 1, 99)
                        change.next_serial("r", unit)
                except ClaimTaken:
                    pass
        everything = ledgers[0]
        for other in ledgers[1:]:
            merge(everything, other)
        found = verify(everything)
        assert found.breaks == ()
        for ledger in ledgers:
            assert verify(ledger).breaks == ()
            for claim in ledger.claims():
                # Every holder of any station is a holder here, or contests it, or gave it up.
                rows = [everything.claim_holder(claim.kind, claim.value), *found.contested]
                known = any(
                    row is not None
                    and (row.kind, row.value) == (claim.kind, claim.value)
                    and row.fits(claim.unit, claim.mac)
                    for row in rows
                )
                released = any(
                    each.event == "released" and each.unit == claim.unit
                    for each in everything.history(unit=claim.unit)
                )
                assert known or released
        for ledger in ledgers:
            ledger.close()


def test_a_copy_holds_the_same_whatever_was_done(open_at: OpenAt, tmp_path: Path) -> None:
    source = open_ledger(tmp_path / "source.db", "line-9")
    chance = random.Random(7)  # noqa: S311 - a fixed course of events
    with source.change() as change:
        change.add_range("r", 5, 500)
    for number in range(60):
        unit, mac = f"CP-{chance.randrange(12)}", f"m{chance.randrange(12)}"
        with source.change() as change:
            try:
                change.claim(
                    unit, [("identity", unit), ("mac", mac)], mac=chance.choice([mac, None])
                )
                change.next_serial("r", unit)
            except ClaimTaken as error:
                holder = error.holder
                change.release(holder.unit, [(holder.kind, holder.value)])
            change.put_sealed(f"image/{number % 7}", "k", bytes([number]))
    target = open_at()
    assert merge(target, source).is_clean
    assert tables(target) == tables(source)
    source.close()
