# SPDX-License-Identifier: GPL-3.0-or-later
"""The ledger in SQLite and PostgreSQL: claims, records, ranges and sealed bytes."""

from __future__ import annotations

import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from ledger_rig import NEEDS_SERVER, PostgresqlServer

from evtool.errors import ConfigError, DeviceError
from evtool.link import ledger_schema
from evtool.link.ledger_database import SqlLedger, in_order, open_ledger
from evtool.link.ledger_location import (
    postgresql_engine,
    refuse_password,
    shown,
    station_name,
)
from evtool.protocol.ledger_record import (
    ClaimTaken,
    Head,
    RangeEnded,
    Record,
    first_break,
)
from evtool.provision.ledger.store import Ledger

OpenAt = Callable[..., SqlLedger]
CLAIMS = [("identity", "CP-1"), ("mac", "m1"), ("serial", "S1")]


def broken(ledger: Ledger) -> list[object]:
    found = [first_break(name, ledger.chain(name), head) for name, head in ledger.heads().items()]
    return [each for each in found if each is not None]


def test_what_was_recorded_is_there_after_opening_again(open_at: OpenAt) -> None:
    ledger = open_at()
    with ledger.change() as change:
        written = change.append("written", unit="CP-1", mac="m1", fields={"a": [1, None, "\0ü"]})
        change.append("proved", unit="CP-1", mac="m1")
    again = open_at("line-2")
    assert again.history(unit="CP-1")[0] == written
    assert [each.event for each in again.history(mac="m1")] == ["written", "proved"]
    assert again.history(unit="CP-2") == []
    assert again.heads() == {"line-1": Head(2, again.history(unit="CP-1")[1].hash)}
    assert again.ledger_id() == ledger.ledger_id()
    assert broken(again) == []


def test_an_exception_undoes_the_whole_change(open_at: OpenAt) -> None:
    ledger = open_at()

    def fail() -> None:
        with ledger.change() as change:
            change.claim("CP-1", CLAIMS)
            change.put_sealed("secret/CP-1/a/1", "k", b"x")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert ledger.history(unit="CP-1") == []
    assert ledger.claims_of("CP-1") == []
    assert ledger.get_sealed("secret/CP-1/a/1") is None
    with ledger.change() as change:
        assert change.append("planned").seq == 1


def test_a_claim_is_won_once_and_whole(open_at: OpenAt) -> None:
    ledger = open_at()
    with ledger.change() as change:
        record = change.claim("CP-1", CLAIMS, mac="m1")
    assert record is not None
    assert record.fields == {"claims": [list(each) for each in CLAIMS]}
    other = open_at("line-2")
    with other.change() as change:
        with pytest.raises(ClaimTaken) as caught:
            change.claim("CP-2", [("identity", "CP-2"), ("serial", "S1")], mac="m2")
        # What came before and after it in the same change stands.
        change.append("failed", unit="CP-2", fields={"reason": "claim"})
    holder = caught.value.holder
    assert (holder.unit, holder.mac, holder.station, holder.time) == (
        "CP-1", "m1", "line-1", record.time,
    )  # fmt: skip
    assert ledger.claim_holder("identity", "CP-2") is None
    assert [each.event for each in ledger.history(unit="CP-2")] == ["failed"]


@pytest.mark.parametrize(
    ("unit", "mac", "claims"),
    [
        ("CP-1", "m2", [("identity", "CP-1")]),  # another board under this name
        ("CP-2", "m1", [("mac", "m1")]),  # this board under another name
        ("CP-2", None, [("serial", "S1")]),
    ],
)
def test_an_identity_stays_with_its_board(
    open_at: OpenAt, unit: str, mac: str | None, claims: list[tuple[str, str]]
) -> None:
    ledger = open_at()
    with ledger.change() as change:
        change.claim("CP-1", CLAIMS, mac="m1")
    with pytest.raises(ClaimTaken), ledger.change() as change:
        change.claim(unit, claims, mac=mac)
    with ledger.change() as change:
        assert change.claim("CP-1", CLAIMS, mac="m1") is None
        assert change.claim("CP-1", CLAIMS) is None
    assert ledger.heads()["line-1"].seq == 1


def test_a_claim_made_before_the_board_was_known_is_bound_to_it_once(open_at: OpenAt) -> None:
    ledger = open_at()
    with ledger.change() as change:
        change.claim("CP-1", [("identity", "CP-1"), ("serial", "S1")])
    with ledger.change() as change:
        bound = change.claim("CP-1", [("identity", "CP-1"), ("mac", "m1")], mac="m1")
    assert bound is not None
    assert [(each.kind, each.mac, each.seq) for each in ledger.claims_of("CP-1")] == [
        ("identity", "m1", 2), ("mac", "m1", 2), ("serial", None, 1),
    ]  # fmt: skip
    with pytest.raises(ClaimTaken), ledger.change() as change:
        change.claim("CP-1", [("identity", "CP-1")], mac="m2")


def test_what_is_released_is_free_and_only_the_holder_releases(open_at: OpenAt) -> None:
    ledger = open_at()
    with ledger.change() as change:
        change.claim("CP-1", CLAIMS, mac="m1")
        assert change.release("CP-2", CLAIMS) is None
        assert change.release("CP-1", CLAIMS, mac="m2") is None
        record = change.release("CP-1", [*CLAIMS[:2], ("serial", "S9")], mac="m1")
    assert record is not None
    assert record.fields == {
        "claims": [["identity", "CP-1"], ["mac", "m1"]],
        "left": [["serial", "S1"]],
    }
    with ledger.change() as change:
        assert change.claim("CP-1", [("identity", "CP-1")], mac="m2") is not None


def test_serial_numbers_follow_one_another_and_stay_with_their_unit(open_at: OpenAt) -> None:
    ledger = open_at()
    with ledger.change() as change:
        change.add_range("2030", 7, 9)
        change.add_range("2030", 7, 9)
        assert [change.next_serial("2030", f"CP-{n}") for n in (1, 2, 1, 3, 2)] == [7, 8, 7, 9, 8]
    with ledger.change() as change:
        assert change.next_serial("2030", "CP-2") == 8
        with pytest.raises(RangeEnded, match="2030 is used up: 7 to 9"):
            change.next_serial("2030", "CP-4")
        with pytest.raises(RangeEnded, match="no range of serial numbers named 2031"):
            change.next_serial("2031", "CP-4")
        with pytest.raises(ConfigError, match="2030 is 7 to 9, not 7 to 10"):
            change.add_range("2030", 7, 10)
        with pytest.raises(ConfigError, match="no range"):
            change.add_range("x", 2, 1)
        with pytest.raises(ConfigError, match="no range"):
            change.add_range("x", 2, 2**63 - 1)
        change.add_range("last", 2**63 - 2, 2**63 - 2)
        assert change.next_serial("last", "CP-1") == 2**63 - 2
    events = [each.event for each in ledger.chain("line-1")]
    assert events == ["range_added", *["serial_taken"] * 3, "range_added", "serial_taken"]


def test_sealed_bytes_are_kept_and_only_sealed_anew_from_the_old_key(open_at: OpenAt) -> None:
    ledger = open_at()
    data = bytes(range(256))
    with ledger.change() as change:
        assert change.put_sealed("secret/CP_1/a/1", "k1", data)
        assert change.put_sealed("secret/CPX1/a/1", "k1", b"")
        assert not change.put_sealed("secret/CP_1/a/1", "k2", b"other")
    kept = ledger.get_sealed("secret/CP_1/a/1")
    assert kept is not None
    assert (kept.key_id, kept.data) == ("k1", data)
    with ledger.change() as change:
        assert change.replace_sealed("secret/CP_1/a/1", "k1", "k2", b"anew")
        assert not change.replace_sealed("secret/CP_1/a/1", "k1", "k2", b"late")
    assert ledger.sealed_names("secret/CP_") == [("secret/CP_1/a/1", "k2")]
    assert len(ledger.sealed_names()) == 2


def test_many_values_are_looked_up_at_once(open_at: OpenAt) -> None:
    ledger = open_at()
    names = [f"secret/CP-{n}/a/1" for n in range(1200)]
    with ledger.change() as change:
        for n in (0, 499, 500, 1199):
            change.put_sealed(names[n], "k", str(n).encode())
            change.claim(f"CP-{n}", [("serial", f"S{n}"), ("identity", f"CP-{n}")])
    found = ledger.sealed_of(names)
    assert {name: each.data for name, each in found.items()} == {
        names[n]: str(n).encode() for n in (0, 499, 500, 1199)
    }
    holders = ledger.holders_of("serial", [f"S{n}" for n in range(1200)])
    assert {value: claim.unit for value, claim in holders.items()} == {
        f"S{n}": f"CP-{n}" for n in (0, 499, 500, 1199)
    }
    assert ledger.holders_of("mac", ["S0"]) == {}
    # What differs in its letters' case alone is one and the same to a central system.
    twins = ledger.holders_of("identity", ["cp-499", "CP-500", "cp-7"])
    assert {value: claim.unit for value, claim in twins.items()} == {
        "cp-499": "CP-499",
        "CP-500": "CP-500",
    }
    assert ledger.sealed_of([]) == {}


_TAMPERING = (
    "UPDATE ledger_records SET event = 'proved'",
    "DELETE FROM ledger_records",
    "DELETE FROM ledger_records WHERE seq = 2",
    "INSERT INTO ledger_records SELECT station, 9, time, event, unit, mac, fields,"
    " hash, hash FROM ledger_records WHERE seq = 2",
    "INSERT INTO ledger_records SELECT station, 3, time, event, unit, mac, fields,"
    " previous_hash, hash FROM ledger_records WHERE seq = 2",
    "INSERT INTO ledger_records SELECT 'new', 2, time, event, unit, mac, fields,"
    " previous_hash, hash FROM ledger_records WHERE seq = 1",
)


@pytest.mark.parametrize("statement", _TAMPERING)
def test_the_database_itself_refuses_to_change_records(open_at: OpenAt, statement: str) -> None:
    ledger = open_at()
    with ledger.change() as change:
        change.append("written", unit="CP-1")
        change.append("proved", unit="CP-1")
    before = list(ledger.chain("line-1"))
    with (
        pytest.raises(sa.exc.DBAPIError, match=r"only ever added|continue its chain"),
        ledger._engine.begin() as connection,
    ):
        connection.exec_driver_sql(statement)
    assert list(ledger.chain("line-1")) == before


def test_replacing_a_record_in_sqlite_is_refused_too(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path / "l.db", "s")
    with ledger.change() as change:
        change.append("written")
    with (
        pytest.raises(sa.exc.IntegrityError, match="continue its chain"),
        ledger._engine.begin() as connection,
    ):
        connection.exec_driver_sql("REPLACE INTO ledger_records SELECT * FROM ledger_records")
    ledger.close()


def test_several_threads_and_stations_build_whole_chains(open_at: OpenAt) -> None:
    ledgers = [open_at(), open_at(), open_at("line-2")]
    start = threading.Barrier(3)

    def work(ledger: SqlLedger) -> list[int]:
        start.wait(60)
        won = []
        for number in range(20):
            try:
                with ledger.change() as change:
                    change.claim(f"CP-{id(ledger)}", [("identity", f"CP-{number}")])
                    change.append("planned", unit=f"CP-{number}")
                won.append(number)
            except ClaimTaken:
                pass
        return won

    with ThreadPoolExecutor(3) as pool:
        won = list(pool.map(work, ledgers))
    assert sorted(number for each in won for number in each) == list(range(20))
    assert broken(ledgers[0]) == []
    assert sum(head.seq for head in ledgers[0].heads().values()) == 40


def test_the_latest_of_each_event_comes_by_unit(open_at: OpenAt) -> None:
    ledger, other = open_at(), open_at("line-2")
    for unit in ("CP-2", "CP-1"):
        with ledger.change() as change:
            change.append("written", unit=unit, mac="m1", fields={"n": 1})
            change.append("written", unit=unit, mac="m1", fields={"n": 2})
            change.append("written", unit=unit, mac="m2", fields={"n": 3})
        with other.change() as change:
            change.append("proved", unit=unit, mac="m2")
            change.append("range_added")
    found = [
        [(each.unit, each.event, each.fields.get("n")) for each in group]
        for group in ledger.latest()
    ]
    assert found == [
        [(unit, "written", 2), (unit, "written", 3), (unit, "proved", None)]
        for unit in ("CP-1", "CP-2")
    ]


def _record(station: str, seq: int, second: int) -> Record:
    time = f"2030-01-01T00:00:{second:02}.000Z"
    return Record(station, seq, time, "written", "CP-1", None, {}, "", "")


def test_a_clock_that_is_put_back_does_not_turn_a_chain_round() -> None:
    rows = [_record("a", 1, 10), _record("b", 1, 20), _record("a", 2, 30), _record("a", 3, 5)]
    rows += [_record("b", 2, 40)]
    ordered = [(each.station, each.seq) for each in in_order(reversed(rows))]
    assert ordered == [("a", 1), ("b", 1), ("a", 2), ("a", 3), ("b", 2)]


def test_a_later_evtools_tables_are_refused_untouched(
    open_at: OpenAt, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_at()
    later = (*ledger_schema.MIGRATIONS, lambda c: c.exec_driver_sql("CREATE TABLE more (n int)"))
    with monkeypatch.context() as patch:
        for module in ("ledger_schema", "ledger_database"):
            patch.setattr(f"evtool.link.{module}.MIGRATIONS", later)
        newer = open_at()  # this is also how an older ledger is brought up
        with newer.change() as change:
            change.append("written", unit="CP-1")
    version = len(later)
    with pytest.raises(ConfigError, match=f"version {version}, which a later evtool made"):
        open_at()
    with newer._engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM more").scalar_one() == 0


def test_a_migration_that_fails_leaves_the_old_tables(
    open_at: OpenAt, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = open_at()

    def half(connection: sa.Connection) -> None:
        connection.exec_driver_sql("CREATE TABLE more (n int)")
        raise RuntimeError("stopped here")

    with monkeypatch.context() as patch:
        for module in ("ledger_schema", "ledger_database"):
            patch.setattr(f"evtool.link.{module}.MIGRATIONS", (*ledger_schema.MIGRATIONS, half))
        with pytest.raises(RuntimeError, match="stopped here"):
            open_at()
    with ledger._engine.connect() as connection:
        assert not sa.inspect(connection).has_table("more")
    with open_at().change() as change:
        assert change.append("written").seq == 1


def test_an_sqlite_file_is_private_and_syncs_every_change(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "ledger.db"
    ledger = open_ledger(path)
    with ledger.change() as change:
        change.append("written")
    for file in path.parent.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    with ledger._engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar_one() == 2
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar_one() == "wal"
    assert ledger.station == station_name(path)
    ledger.close()


def test_stations_of_copies_have_other_names(tmp_path: Path) -> None:
    names = {station_name(), station_name(tmp_path / "a"), station_name(tmp_path / "b")}
    assert len(names) == 3
    assert station_name(tmp_path / "a") == station_name(tmp_path / "x" / ".." / "a")


@pytest.mark.parametrize(
    ("location", "said"),
    [
        ("postgresql+psycopg://u:hunter2@h:port/x", "cannot be read"),
        ("mysql://u:hunter2@h/x", "mysql://u:***@h/x: no ledger can be kept there"),
        ("sqlite:///x.db", "no ledger can be kept there"),
    ],
)
def test_a_wrong_url_is_refused_without_its_password(location: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        open_ledger(location)
    assert said in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_server_that_is_not_there_is_named_without_the_password(tmp_path: Path) -> None:
    url = f"postgresql://u:hunter2@/x?host={tmp_path}"
    with pytest.raises(DeviceError) as caught:
        open_ledger(url)
    assert f"postgresql://u:***@/x?host={tmp_path}" in str(caught.value).replace("%2F", "/")
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in shown(url)


def test_what_is_no_text_is_refused(open_at: OpenAt) -> None:
    ledger = open_at()
    with pytest.raises(ConfigError, match="is no text"):
        ledger.history(unit="CP-\udcff")
    with pytest.raises(ConfigError, match="is no text"), ledger.change() as change:
        change.claim("CP-1", [("identity", "CP-\udcff")])
    assert ledger.heads() == {}


def test_the_key_of_a_client_may_have_a_password_too() -> None:
    url = "postgresql://u@h/x?sslkey=k&sslpassword=hunter2"
    assert "hunter2" not in shown(url)
    with pytest.raises(ConfigError, match="a password stands in its URL") as caught:
        refuse_password(url)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("query", "idle"), [("", 10), ("?keepalives_idle=7&connect_timeout=3", "7")]
)
def test_a_server_whose_cable_has_gone_is_not_waited_for_for_hours(
    query: str, idle: object
) -> None:
    engine = postgresql_engine(f"postgresql://u@h/x{query}")
    asked: dict[str, object] = {}

    @sa.event.listens_for(engine, "do_connect")
    def _connecting(*given: dict[str, object]) -> None:
        asked.update(given[-1])
        raise DeviceError("nothing is connected here")

    with pytest.raises(DeviceError), engine.connect():
        pass
    assert asked["keepalives_idle"] == idle
    assert asked["connect_timeout"] == ("3" if query else 15)
    assert asked["tcp_user_timeout"] == 30_000


@pytest.mark.parametrize("content", [b"text of some kind\n" * 99, b"SQLite format 3\0" + b"x" * 99])
def test_another_file_is_refused_untouched(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="not a ledger of evtool"):
        open_ledger(path)
    assert path.read_bytes() == content


def test_the_clock_may_be_given(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path / "l.db", "s", lambda: datetime(2030, 1, 1, tzinfo=UTC))
    with ledger.change() as change:
        assert change.append("written").time == "2030-01-01T00:00:00.000Z"
    ledger.close()


def test_opening_it_twice_in_one_process_leaves_sqlites_locks_alone(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    first = open_ledger(path, "a")
    with first.change() as change:
        change.append("written")
    open_ledger(path, "b").close()
    # A process that believes itself alone removes the log at its end; first still uses it.
    script = "import sys; from evtool.link.ledger_database import open_ledger as o\n"
    script += "with o(sys.argv[1], 'c').change() as change: change.append('written')\n"
    subprocess.run([sys.executable, "-c", script, str(path)], check=True, timeout=100)
    assert path.with_name("ledger.db-wal").exists()
    with first.change() as change:
        change.append("written")
    assert [head.seq for head in first.heads().values()] == [2, 1]
    first.close()


@NEEDS_SERVER
def test_a_station_that_stands_still_in_a_change_loses_its_lock_and_a_reader_nothing(
    postgresql: PostgresqlServer,
) -> None:
    ledger = open_ledger(postgresql.new_database(), "line-1")

    def limit(connection: sa.Connection) -> object:
        return connection.exec_driver_sql("SHOW idle_in_transaction_session_timeout").scalar_one()

    with ledger.change() as change:
        change.append("written", unit="CP-1")
        assert limit(change._connection) == "1min"
    with ledger._engine.connect() as connection:
        assert limit(connection) == "0"
    ledger.close()
