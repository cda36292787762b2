# SPDX-License-Identifier: GPL-3.0-or-later
"""Transactions outlive the central system, whenever it dies."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evtool.errors import ConfigError, DeviceError
from evtool.link.database import Database
from evtool.reference_impl.charge_point import ChargePoint, Inputs, Send, Settings
from evtool.virtual.csms import Csms, TransactionRecord
from evtool.virtual.csms import ledger as ledger_module
from evtool.virtual.csms.accounts import Account
from evtool.virtual.csms.ledger import Ledger
from evtool.virtual.csms.records import StoredStation
from evtool.virtual.csms.sql_store import SCHEMA, VERSION, SqlStore

# A busy machine is no fault.
SLOWLY = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

NOON_MS = 1_714_564_800_000
Changes = Sequence[tuple[str, Sequence[Sequence[Any]]]]
START = ("CP", 1, "TAG", 100, "2024-05-01T12:00:00Z")


def test_a_database_is_private_and_of_one_process(tmp_path: Path) -> None:
    path = tmp_path / "sub" / "csms.sqlite"
    database = Database(path, SCHEMA, VERSION)
    assert path.stat().st_mode & 0o077 == 0
    with pytest.raises(DeviceError, match="another process uses this"):
        Database(path, SCHEMA, VERSION)
    database.close()
    Database(path, SCHEMA, VERSION).close()


def test_what_is_no_database_of_ours_is_left_alone(tmp_path: Path) -> None:
    garbage = tmp_path / "garbage"
    garbage.write_bytes(b"not a database at all, but long enough to be one" * 100)
    with pytest.raises(ConfigError, match="not a database"):
        Database(garbage, SCHEMA, VERSION)
    assert garbage.read_bytes().startswith(b"not a database")
    other = tmp_path / "other"
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE mine (x)")
    connection.close()
    with pytest.raises(ConfigError, match="another program"):
        Database(other, SCHEMA, VERSION)
    Database(tmp_path / "x", SCHEMA, VERSION).close()
    with pytest.raises(ConfigError, match="another version"):
        Database(tmp_path / "x", SCHEMA, VERSION + 1)


def test_a_file_system_that_refuses_is_no_foreign_database(tmp_path: Path) -> None:
    (tmp_path / "x-journal").mkdir()  # SQLite cannot write its journal
    with pytest.raises(DeviceError, match=r"x: unable to open") as refused:
        Database(tmp_path / "x", SCHEMA, VERSION)
    assert "free space" in str(refused.value.fix)


@pytest.mark.parametrize("version", [VERSION, VERSION + 1])
def test_the_database_of_another_program_is_not_changed(tmp_path: Path, version: int) -> None:
    path = tmp_path / "other"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE transactions (x)")
        connection.execute(f"PRAGMA user_version = {version}")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(ConfigError, match="another program"):
        Database(path, SCHEMA, VERSION)
    assert path.read_bytes() == before


def test_a_write_is_whole_or_has_not_happened(tmp_path: Path) -> None:
    database = Database(tmp_path / "x", SCHEMA, VERSION)
    sql = "INSERT INTO stations (identity, profile) VALUES (?, ?)"
    with pytest.raises(DeviceError):
        database.write(sql, [("A", 1), ("B", 1), ("A", 1)], flush=True)
    assert list(database.rows("SELECT * FROM stations")) == []
    database.write(sql, [("A", 1), ("B", 1)], flush=False)
    assert len(list(database.rows("SELECT * FROM stations"))) == 2
    with pytest.raises(DeviceError):
        database.rows("SELECT * FROM nothing")
    database.close()


@pytest.mark.parametrize("keys", [(), (b"next",), (b"next", b"\x00after", b"next")])
def test_meter_values_and_credentials_come_back(tmp_path: Path, keys: tuple[bytes, ...]) -> None:
    database = Database(tmp_path / "x", SCHEMA, VERSION)
    ledger = Ledger(SqlStore(database))
    record, _ = ledger.begin(*START)
    for wh in (100, 200, 300):
        ledger.add_meter_values("CP", 1, [{"sampledValue": [{"value": str(wh)}]}])
    csms = Csms(
        {"CP": Account("CP", b"old")},
        open_to_all=False,
        clock=lambda: NOON_MS,
        report=lambda _: None,
        store=SqlStore(database),
    )
    csms.set_key("CP", b"new")
    SqlStore(database).save_station(StoredStation("CP", b"new", keys, 1, 2))
    database.close()
    database = Database(tmp_path / "x", SCHEMA, VERSION)
    again = Csms(
        {"CP": Account("CP", b"old")},
        open_to_all=False,
        clock=lambda: NOON_MS,
        report=lambda _: None,
        store=SqlStore(database),
    )
    assert again.accounts["CP"].stored() == StoredStation("CP", b"new", keys, 1, 2)
    found = again.transactions[1]
    assert found == record
    assert (found.meter_value_count, found.energy_wh()) == (3, 200)
    database.close()


@pytest.mark.parametrize("death", [1, 2])
def test_the_values_of_a_stop_are_kept_once_wherever_it_dies(tmp_path: Path, death: int) -> None:
    database = Database(tmp_path / "x", SCHEMA, VERSION)
    Ledger(SqlStore(database)).begin(*START)
    values = [{"sampledValue": [{"value": str(wh)}]} for wh in (100, 200)]
    stop = ("CP", 1, 200, "2024-05-01T13:00:00Z", "Local", values)
    with pytest.raises(Death):
        Ledger(SqlStore(MortalDatabase(database, Fate(death)))).end(*stop)
    again = Ledger(SqlStore(database))
    assert again.end(*stop) == ("stopped" if death == 1 else "repeated")
    assert again.records[1].meter_value_count == 2
    assert len(list(database.rows("SELECT * FROM meter_values"))) == 2
    database.close()


def test_a_start_that_memory_has_forgotten_is_still_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_module, "MAX_ENDED", 1)
    database = Database(tmp_path / "x", SCHEMA, VERSION)
    ledger = Ledger(SqlStore(database))
    for number in range(3):
        record, _ = ledger.begin(*START[:3], number, START[4])
        ledger.end("CP", record.transaction_id, 9, "2024-05-01T13:00:00Z", "Local")
    assert list(ledger.records) == [3]
    repeated, is_new = ledger.begin(*START[:3], 0, START[4])
    assert (repeated.transaction_id, repeated.meter_stop, is_new) == (1, 9, False)
    assert ledger.begin(*START[:3], 7, START[4])[1]
    database.close()


STARTS = st.tuples(
    st.sampled_from(["CP", "CP-2"]), st.integers(0, 2), st.sampled_from("AB"), st.integers(0, 3),
    st.sampled_from(["2024-05-01T12:00:00Z", "2024-05-01T12:00:01Z"]),
)  # fmt: skip
STOPS = st.tuples(st.sampled_from(["CP", "CP-2"]), st.integers(0, 4), st.integers(0, 9))


@SLOWLY
@given(st.lists(STARTS | STOPS, max_size=20), st.integers(0, 20))
def test_what_came_before_the_end_is_there_after_it(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[Any, ...]], death: int
) -> None:
    """Whatever is repeated in whatever order, and wherever it was restarted."""
    path = tmp_path_factory.mktemp("database") / "x"
    database = Database(path, SCHEMA, VERSION)
    mortal, immortal = Ledger(SqlStore(database)), Ledger(SqlStore(_Nothing()))
    for number, step in enumerate(steps):
        if number == death:
            database.close()
            database = Database(path, SCHEMA, VERSION)
            mortal = Ledger(SqlStore(database))
        if len(step) == 5:
            assert mortal.begin(*step)[0].transaction_id == immortal.begin(*step)[0].transaction_id
        else:
            stop = (*step, "2024-05-01T13:00:00Z", "Local")
            assert mortal.end(*stop) == immortal.end(*stop)
    database.close()
    assert mortal.records == immortal.records


class _Nothing:
    """A database that keeps nothing."""

    def rows(self, _: str, __: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return []

    def write(self, _: str, __: Sequence[Sequence[Any]], *, flush: bool) -> None:
        del flush

    def write_all(self, _: Changes) -> None:
        return


class Death(BaseException):
    """The process is gone."""


class Fate:
    """Counts the moments at which a central system could die, and lets it die at one."""

    def __init__(self, death: int | None) -> None:
        self._death = death
        self.moments = 0

    def moment(self) -> None:
        self.moments += 1
        if self.moments == self._death:
            raise Death


class MortalDatabase:
    """A database before and after each of whose writes it may end."""

    def __init__(self, database: Database, fate: Fate) -> None:
        self._database = database
        self._fate = fate

    def rows(self, sql: str, values: Sequence[Any] = ()) -> Any:
        return self._database.rows(sql, values)

    def write(self, sql: str, rows: Sequence[Sequence[Any]], *, flush: bool) -> None:
        self._fate.moment()
        self._database.write(sql, rows, flush=flush)
        self._fate.moment()

    def write_all(self, changes: Changes) -> None:
        self._fate.moment()
        self._database.write_all(changes)
        self._fate.moment()


class Line:
    """Between the charge point and one central system; each message is a moment."""

    def __init__(self, charge_point: ChargePoint, fate: Fate) -> None:
        self._charge_point = charge_point
        self._fate = fate
        self.now_ms = 0
        self.up: asyncio.Queue[str] = asyncio.Queue()

    async def recv(self) -> str:
        text = await self.up.get()
        self._fate.moment()
        return text

    async def send(self, text: str) -> None:
        self._fate.moment()
        self._charge_point.on_text(text, self.now_ms)
        self.pump()
        self._fate.moment()

    def pump(self) -> None:
        for output in self._charge_point.drain():
            if isinstance(output, Send):
                self.up.put_nowait(output.text)


class Life:
    """A charge point that charges twice, and a central system that dies once."""

    def __init__(self, path: Path, death: int | None) -> None:
        self.fate = Fate(death)
        self._path = path
        self._charge_point = ChargePoint(Settings("Vendor", "Model"))
        self._line = Line(self._charge_point, self.fate)
        self._serving: asyncio.Task[None] | None = None
        self._database: Database | None = None

    async def run(self) -> dict[int, TransactionRecord]:
        await self._charge("TAG-1", 5_000_000, 5_600_000)
        await self._charge("TAG-2", 5_600_000, 7_000_000)
        await self._pass(150)
        assert self._serving is not None
        assert self._database is not None
        self._serving.cancel()
        await asyncio.gather(self._serving, return_exceptions=True)
        self._database.close()
        database = Database(self._path, SCHEMA, VERSION)
        records = {record.transaction_id: record for record in SqlStore(database).transactions()}
        database.close()
        return records

    async def _charge(self, id_tag: str, before_mwh: int, after_mwh: int) -> None:
        await self._pass(20)
        now_ms = self._line.now_ms
        self._charge_point.on_inputs(_plugged(before_mwh), now_ms)
        for _ in range(3):
            if not self._charge_point.word().permitted:  # its Authorize was lost: once more
                self._charge_point.on_start_request(id_tag, self._line.now_ms)
            await self._pass(40)
        self._charge_point.on_inputs(_plugged(after_mwh), self._line.now_ms)
        await self._pass(10)
        gone = Inputs(evse_ready=True, energy_mwh=after_mwh)
        self._charge_point.on_inputs(gone, self._line.now_ms)
        await self._pass(60)

    async def _pass(self, seconds: int) -> None:
        for _ in range(seconds):
            self._line.now_ms += 1000
            if self._serving is None:
                self._connect()
            self._charge_point.tick(self._line.now_ms)
            self._line.pump()
            for _ in range(4):
                await asyncio.sleep(0)
            assert self._serving is not None
            if self._serving.done():
                assert isinstance(self._serving.exception(), Dead)
                self._die()

    def _connect(self) -> None:
        self._database = Database(self._path, SCHEMA, VERSION)
        csms = Csms(
            {},
            open_to_all=True,
            clock=lambda: NOON_MS + self._line.now_ms,
            report=lambda _: None,
            store=SqlStore(MortalDatabase(self._database, self.fate)),
        )
        now_ms = self._line.now_ms
        self._line = Line(self._charge_point, self.fate)
        self._line.now_ms = now_ms
        self._serving = asyncio.get_running_loop().create_task(_told(csms.serve("/CP", self._line)))
        self._charge_point.on_open(now_ms)

    def _die(self) -> None:
        assert self._database is not None
        self._database.close()
        self._serving = None
        self._charge_point.on_closed(self._line.now_ms)


async def _told(serving: Any) -> None:
    """A loop ends with a BaseException of its tasks; here it is to be looked at."""
    try:
        await serving
    except Death as death:
        raise Dead from death


class Dead(Exception):
    """It has died."""


def _plugged(energy_mwh: int) -> Inputs:
    return Inputs(True, True, True, energy_mwh, 2_139_000, 71_950, 29_750, 30_000, 41_200, 551)


def _whole_life(path: Path, death: int | None) -> int:
    life = Life(path, death)
    records = asyncio.run(life.run())
    found = [(each.id_tag, each.energy_wh(), each.is_running) for each in records.values()]
    assert found == [("TAG-1", 600, False), ("TAG-2", 1400, False)], f"death at {death}"
    return life.fate.moments


@pytest.mark.parametrize("part", range(4))
def test_whenever_it_dies_each_transaction_ends_once(tmp_path: Path, part: int) -> None:
    moments = _whole_life(tmp_path / "whole", None)
    assert moments > 40
    for death in range(1 + part, moments + 1, 4):
        _whole_life(tmp_path / str(death), death)
