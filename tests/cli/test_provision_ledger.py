# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool provision ledger` as a user types it."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from ledger_rig import NEEDS_SERVER, PostgresqlServer

from evtool.link.ledger_database import ledger_version, open_ledger

BOARDS = {"line-1": "24:0a:c4:00:00:01", "line-2": "24:0a:c4:00:00:02"}


def ledger(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "evtool", "provision", "ledger", *arguments],
        cwd=cwd, capture_output=True, text=True, timeout=90, check=False,
        env=os.environ | {"EVTOOL_STATION": "office"} | environment,
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two stations' ledgers, line-1.db and line-2.db, that both gave CP-1 away."""
    for station, mac in BOARDS.items():
        with closing(open_ledger(tmp_path / f"{station}.db", station)) as opened:
            with opened.change() as change:
                change.claim(
                    "CP-1", [("identity", "CP-1"), ("mac", mac), ("serial", "S1")], mac=mac
                )
            with opened.change() as change:
                change.append(
                    "failed", unit="CP-1", mac=mac,
                    fields={"step": "boot", "reason": "it said\nnothing"},
                )  # fmt: skip
    return tmp_path


@pytest.mark.parametrize("name", ["CP-1", "S1", "24-0A-C4-00-00-01"])
def test_history_is_found_by_identity_serial_number_and_mac(folder: Path, name: str) -> None:
    done = ledger("history", name, "--ledger", "line-1.db", cwd=folder)
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert "claimed     CP-1 24:0a:c4:00:00:01  identity CP-1, mac 24:0a:c4:00:00:01" in first
    assert "reason=it said nothing  step=boot  (line-1)" in second
    assert "CP-1 has: identity CP-1, mac 24:0a:c4:00:00:01, serial S1" in done.stderr
    done = ledger("history", name, "--ledger", "line-1.db", "--json", cwd=folder)
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert records[1]["previous_hash"] == records[0]["hash"]


def test_what_a_user_gets_wrong_is_named_and_makes_nothing(folder: Path) -> None:
    before = set(folder.iterdir())
    cases: tuple[tuple[tuple[str, ...], int, str], ...] = (
        (("verify",), 2, "no such file: .evtool/ledger.db"),
        (("history", "CP-9", "--ledger", "line-1.db"), 1, "knows nothing of CP-9"),
        (("history", "CP-9", "--ledger", "gone.db"), 2, "no such file: gone.db"),
        (("merge", "gone.db", "--ledger", "line-1.db"), 2, "the other ledger: no such file"),
        (("merge", "line-1.db", "--ledger", "./line-1.db"), 2, "is this ledger itself"),
        (("verify", "--ledger", "mysql://h/x"), 2, "no ledger can be kept there"),
        (("verify", "--ledger", "postgresql://u:hunter2@h/x"), 2, "a password stands in its URL"),
        (("range", "a", "--ledger", "line-1.db"), 2, "a NAME, its FIRST and its LAST"),
        (("range", "a", "5", "4", "--ledger", "line-1.db"), 2, "5 to 4 is no range"),
        (
            ("release", "serial", "S2", "--unit", "CP-1", "--reason", "x", "--ledger", "line-1.db"),
            2, "CP-1 does not have the serial S2: nobody has it",
        ),
        (("verify", "--ledger", "line-1.db", "--heads", "line-2.db"), 2, "no heads of a ledger"),
    )  # fmt: skip
    for words, code, said in cases:
        done = ledger(*words, cwd=folder)
        assert (done.returncode, said in done.stderr) == (code, True), (words, done.stderr)
        assert "hunter2" not in done.stdout + done.stderr
    made = {path.name for path in set(folder.iterdir()) - before}
    assert made <= {".evtool", "line-1.db-shm", "line-1.db-wal"}


def test_a_merge_tells_both_sides_and_a_person_decides(folder: Path) -> None:
    words: tuple[str, ...] = ("merge", "line-2.db", "--ledger", "line-1.db")
    tried = ledger(*words, "--dry-run", cwd=folder)
    assert tried.returncode == 1
    assert ledger("verify", "--ledger", "line-1.db", cwd=folder).returncode == 0
    done = ledger(*words, cwd=folder)
    assert (done.returncode, done.stdout) == (1, tried.stdout)
    assert "TWICE identity CP-1: here CP-1 on board 24:0a:c4:00:00:01 (line-1 at" in done.stdout
    assert "there CP-1 on board 24:0a:c4:00:00:02 (line-2 at" in done.stdout
    # The second time nothing is new, and still two boards have one name.
    again = ledger(*words, "--json", cwd=folder)
    assert (again.returncode, json.loads(again.stdout)["taken"]) == (1, {})
    found = ledger("verify", "--ledger", "line-1.db", "--json", cwd=folder)
    assert found.returncode == 1
    assert len(json.loads(found.stdout)["contested"]) == 2

    told = ledger("verify", "--ledger", "line-1.db", cwd=folder).stdout
    commands = [line.strip() for line in told.splitlines() if line.startswith("  evtool")]
    assert len(commands) == 4
    board = "--mac 24:0a:c4:00:00:01"
    assert (
        f"evtool provision ledger release identity CP-1 --unit CP-1 {board} --reason TEXT"
        in commands
    )

    words = ("release", "identity", "CP-1", "--unit", "CP-1", "--reason", "scrapped")
    done = ledger(*words, "--ledger", "line-1.db", cwd=folder)
    assert done.returncode == 2
    assert "on several boards: 24:0a:c4:00:00:01, 24:0a:c4:00:00:02" in done.stderr
    for kind, value in (("identity", "CP-1"), ("serial", "S1")):
        words = ("release", kind, value, "--unit", "CP-1", "--mac", "24:0A:C4:00:00:01")
        done = ledger(*words, "--reason", "scrapped", "--ledger", "line-1.db", cwd=folder)
        assert f"{kind} {value} is CP-1's, on 24:0a:c4:00:00:02 now" in done.stdout
    assert ledger("verify", "--ledger", "line-1.db", cwd=folder).returncode == 0
    done = ledger("history", "CP-1", "--ledger", "line-1.db", cwd=folder)
    assert "reason=scrapped" in done.stdout


@pytest.mark.parametrize(
    ("tampering", "said"),
    [
        ("UPDATE ledger_records SET fields = '{}' WHERE seq = 2", "BROKEN line-1 2: its content"),
        ("UPDATE ledger_records SET fields = 'x' WHERE seq = 2", "BROKEN line-1 2: its content"),
        ("DELETE FROM ledger_records WHERE seq = 1", "BROKEN line-1 1: record 1 is missing"),
        ("DELETE FROM ledger_records WHERE seq = 2", "BROKEN line-1 2: the chain ends at 1"),
        ("DELETE FROM ledger_records", "BROKEN line-1 1: the chain ends at 0; it had 2"),
        ("DELETE FROM ledger_stations", "BROKEN line-1 1: it stands behind the head"),
        ("DELETE FROM ledger_claims WHERE kind = 'serial'", "claimed the serial S1 and never"),
        ("UPDATE ledger_claims SET unit = 'CP-2'", "CP-2 has the identity CP-1, which no record"),
        (
            "DELETE FROM ledger_records WHERE seq = 2; UPDATE ledger_stations SET seq = 1,"
            " hash = (SELECT hash FROM ledger_records WHERE seq = 1)",
            "BROKEN line-1 2: the chain ends at 1; it had 2",  # only the saved heads show it
        ),
    ],
)
def test_verify_names_what_was_tampered_with(folder: Path, tampering: str, said: str) -> None:
    words = ("verify", "--ledger", "line-1.db")
    done = ledger(*words, "--save-heads", "heads", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert stat.S_IMODE((folder / "heads").stat().st_mode) == 0o600
    with closing(sqlite3.connect(folder / "line-1.db")) as connection:
        for name in ("kept", "not_deleted"):
            connection.execute(f"DROP TRIGGER ledger_records_{name}")
        connection.executescript(tampering)
    done = ledger(*words, "--heads", "heads", cwd=folder)
    assert done.returncode == 1
    assert said in done.stdout
    # A broken chain is nothing that a station goes on with, whatever it is told.
    assert ledger(*words, "--heads", "heads", "--accept", cwd=folder).returncode == 1
    assert not (folder / ".evtool" / "ledger.heads").exists()


def test_a_station_does_not_go_on_with_an_older_state(folder: Path) -> None:
    words = ("range", "2030", "1", "9", "--ledger", "line-1.db")
    shutil.copy(folder / "line-1.db", folder / "backup.db")
    assert ledger(*words, cwd=folder).returncode == 0
    for path in folder.glob("line-1.db*"):
        path.unlink()
    shutil.copy(folder / "backup.db", folder / "line-1.db")
    done = ledger(*words, cwd=folder)
    assert done.returncode == 1
    assert "this station's records up to 1 were in it, and are not now" in done.stderr
    found = ledger("verify", "--ledger", "line-1.db", cwd=folder)
    assert (found.returncode, "LOST" in found.stdout) == (1, True)
    assert ledger("verify", "--accept", "--ledger", "line-1.db", cwd=folder).returncode == 0
    assert ledger(*words, cwd=folder).returncode == 0


def test_a_ledger_moves_and_comes_back(folder: Path) -> None:
    done = ledger("move", "new/l.db", "--ledger", "line-1.db", "--dry-run", cwd=folder)
    assert done.returncode == 0, done.stderr
    done = ledger("move", "new/l.db", "--ledger", "line-1.db", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert 'ledger = "new/l.db"' in done.stdout
    words = ("range", "2030", "1", "9", "--ledger")
    done = ledger(*words, "line-1.db", cwd=folder)
    assert done.returncode == 2
    assert "this ledger was moved to new/l.db" in done.stderr
    assert ledger(*words, "new/l.db", cwd=folder).returncode == 0
    # Stopped before the end, it is run again; and it may come back.
    assert ledger("move", "new/l.db", "--ledger", "line-1.db", cwd=folder).returncode == 0
    done = ledger("move", "line-1.db", "--ledger", "new/l.db", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert ledger(*words, "line-1.db", cwd=folder).returncode == 0
    assert ledger("verify", "--ledger", "line-1.db", cwd=folder).returncode == 0


def contents(folder: Path) -> dict[str, bytes]:
    """What a command can have changed, without what SQLite keeps while a file is open."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix not in (".db-wal", ".db-shm")
    }


def test_a_dry_run_makes_no_target(folder: Path) -> None:
    before = contents(folder)
    for words in (("move", "new/l.db", "--ledger", "line-1.db"), ("merge", "line-1.db")):
        done = ledger(*words, "--dry-run", cwd=folder)
        assert done.returncode == 0, done.stderr
        assert contents(folder) == before
    assert done.stdout == "line-1: 2 records are new\n"
    assert not (folder / ".evtool").exists()
    assert not (folder / "new").exists()
    # What it said is what comes of it.
    done = ledger("merge", "line-1.db", cwd=folder)
    assert done.stdout == "line-1: 2 records are new\n"
    before = contents(folder)
    done = ledger("merge", "line-2.db", "--dry-run", cwd=folder)
    assert (done.returncode, "TWICE identity CP-1" in done.stdout) == (1, True)
    assert contents(folder) == before


def test_a_dry_run_leaves_an_older_evtools_ledgers_alone(folder: Path) -> None:
    old = folder / ".evtool" / "ledger.jsonl"
    old.parent.mkdir()
    old.write_text(
        '{"time":"2029-01-01T00:00:00+00:00","event":"written","charge_point":"CP-1","mac":"m9"}\n'
    )
    before = contents(folder)
    done = ledger("merge", "line-1.db", "--dry-run", cwd=folder)
    assert "here CP-1 on board m9" in done.stdout
    assert "ledger.jsonl, of an older evtool, were read" in done.stderr
    assert contents(folder) == before
    older(folder / "line-1.db")
    with closing(sqlite3.connect(folder / "line-1.db")) as connection:
        for words in (
            ("merge", "line-1.db"),
            ("move", "line-1.db", "--ledger", "line-2.db"),
        ):
            done = ledger(*words, "--ledger", words[1], "--dry-run", cwd=folder)
            assert done.returncode == 2, done.stdout
            assert "line-1.db: its tables are of version 1" in done.stderr
            assert "fix: evtool provision ledger migrate --ledger line-1.db" in done.stderr
        [(version,)] = connection.execute("SELECT version FROM evtool_ledger")
    assert version == 1


def older(path: Path) -> None:
    """Make it a ledger of the evtool before this one."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DROP INDEX ledger_claims_any_case")
        connection.execute("UPDATE evtool_ledger SET version = 1")


def provision(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "evtool", "provision", *arguments],
        cwd=cwd, capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip


def test_a_look_writes_nothing_into_an_older_ledger_and_migrate_brings_it_up(folder: Path) -> None:
    older(folder / "line-1.db")
    before = contents(folder)
    place = ("--ledger", "line-1.db")
    for words, code in (
        (("ledger", "verify"), 0),
        (("ledger", "history", "CP-1"), 0),
        (("ledger", "range"), 0),
        (("fleet", "status"), 0),
        (("secrets", "status"), 0),
        (("fleet", "decommission", "CP-1", "--board-lost", "--reason", "x", "--dry-run"), 0),
    ):
        done = provision(*words, *place, cwd=folder)
        assert done.returncode == code, (words, done.stderr)
        assert contents(folder) == before, words
    assert ledger("merge", "line-1.db", "--ledger", "new.db", cwd=folder).returncode == 0
    assert ledger_version(folder / "line-1.db") == 1
    done = ledger("migrate", *place, cwd=folder)
    assert done.stdout == "line-1.db: its tables are brought from version 1 to 2\n"
    before = contents(folder)
    done = ledger("migrate", *place, "--json", cwd=folder)
    assert contents(folder) == before
    assert json.loads(done.stdout) == {
        "event": "migrated", "ledger": "line-1.db", "from": 2, "to": 2, "contested": [],
    }  # fmt: skip
    assert ledger("verify", *place, cwd=folder).returncode == 0
    done = ledger("migrate", "--ledger", "gone.db", cwd=folder)
    assert (done.returncode, (folder / "gone.db").exists()) == (2, False)


@NEEDS_SERVER
def test_a_look_makes_no_tables_on_a_server(folder: Path, postgresql: PostgresqlServer) -> None:
    url = postgresql.new_database()
    for words in (("ledger", "verify"), ("ledger", "history", "CP-1"), ("fleet", "status")):
        done = provision(*words, "--ledger", url, cwd=folder)
        assert done.returncode == 2, done.stdout
        assert "no ledger" in done.stderr
        assert ledger_version(url) == 0


@NEEDS_SERVER
def test_a_dry_run_makes_no_tables_on_a_server(folder: Path, postgresql: PostgresqlServer) -> None:
    url = postgresql.new_database()
    done = ledger("move", url, "--ledger", "line-1.db", "--dry-run", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert f"to {url}" in done.stdout.replace("%2F", "/")
    assert ledger_version(url) == 0


def test_a_look_takes_no_old_ledger_in(tmp_path: Path) -> None:
    old = tmp_path / ".evtool" / "ledger.jsonl"
    old.parent.mkdir()
    line = '{"time":"2029-01-01T00:00:00+00:00","event":"written","charge_point":"CP-%d"}\n'
    old.write_text(line % 1)

    def status() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "evtool", "provision", "fleet", "status"],
            cwd=tmp_path, capture_output=True, text=True, timeout=90, check=True,
        )  # fmt: skip

    for _ in range(2):
        done = status()
        assert "CP-1  written" in done.stdout
        assert "the next command that records something takes them in" in done.stderr
        assert ledger("range", cwd=tmp_path).returncode == 0
        assert [path.name for path in old.parent.iterdir()] == ["ledger.jsonl"]
    assert ledger("range", "2030", "1", "9", cwd=tmp_path).returncode == 0
    assert not old.exists()
    done = status()
    assert ("CP-1  written" in done.stdout, done.stderr) == (True, "")
    # An older evtool was used once more.
    old.write_text(line % 2)
    done = status()
    assert "CP-2" not in done.stdout
    assert "are not in the ledger yet" in done.stderr
    assert old.exists()


@NEEDS_SERVER
def test_a_ledger_moves_to_a_server(folder: Path, postgresql: PostgresqlServer) -> None:
    url = postgresql.new_database()
    done = ledger("move", url, "--ledger", "line-1.db", "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["taken"] == {"line-1": 2}
    for words in (
        ("verify",),
        ("history", "S1"),
        ("range", "2030", "1", "9"),
        ("merge", "line-2.db", "--dry-run"),
    ):
        done = ledger(*words, "--ledger", url, cwd=folder)
        assert done.returncode == (1 if words[0] == "merge" else 0), done.stderr


def test_an_old_file_goes_into_the_projects_ledger_only(tmp_path: Path) -> None:
    old = tmp_path / ".evtool" / "ledger.jsonl"
    old.parent.mkdir()
    old.write_text(
        '{"time":"2029-01-01T00:00:00+00:00","event":"written","charge_point":"CP-1","mac":"m1"}\n'
    )
    words = ("range", "2030", "1", "9")
    assert ledger(*words, "--ledger", "other.db", cwd=tmp_path).returncode == 0
    assert old.exists()
    done = ledger(*words, cwd=tmp_path, EVTOOL_STATION="a\tb")
    assert (done.returncode, "no name for a station" in done.stderr) == (2, True)
    assert ledger(*words, cwd=tmp_path).returncode == 0
    assert not old.exists()
    done = ledger("history", "CP-1", cwd=tmp_path)
    assert "2029-01-01T00:00:00.000Z  written     CP-1 m1" in done.stdout
