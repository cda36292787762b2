# SPDX-License-Identifier: GPL-3.0-or-later
"""The ledger when whoever writes it, or the server, ends at any moment: kill -9, power cuts."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from ledger_lives import provision
from ledger_rig import NEEDS_SERVER, PLACES, PostgresqlServer

from evtool.errors import DeviceError
from evtool.link.ledger_database import SqlLedger, open_ledger
from evtool.provision.ledger.unit_state import unit_states
from evtool.provision.ledger.verify import verify

LIVES = Path(__file__).resolve().parent.parent / "ledger_lives.py"


def acknowledged(output: bytes) -> dict[int, list[str]]:
    """What was acknowledged, by the unit's number."""
    found: dict[int, list[str]] = {}
    for line in output.splitlines():
        document = json.loads(line)
        found.setdefault(document["number"], []).append(document["event"])
    return found


def check(ledger: SqlLedger, events: dict[int, list[str]]) -> None:
    """Nothing that was acknowledged is lost, nothing is there twice, all is continued."""
    assert verify(ledger).breaks == ()
    states = {each.unit: each for each in unit_states(ledger)}
    assert set(states) == {f"CP-{number}" for number in events}
    serials: Counter[str] = Counter()
    for number in events:
        unit, mac = f"CP-{number}", f"m{number}"
        assert (states[unit].status, states[unit].mac) == ("proved", mac)
        recorded = Counter(each.event for each in ledger.history(unit=unit))
        assert recorded == {"serial_taken": 1, "claimed": 1, "written": 1, "proved": 1}
        claims = {each.kind: each.value for each in ledger.claims_of(unit)}
        assert claims.keys() == {"identity", "mac", "serial"}
        serials[claims["serial"]] += 1
        sealed = ledger.get_sealed(f"secret/{unit}/key/1")
        assert sealed is not None
        assert sealed.data == unit.encode()
    # Numbers follow one another without a gap: none was taken by a process that then died.
    assert serials == {f"S{number}": 1 for number in range(1, len(events) + 1)}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_killed_at_every_step_nothing_is_lost_or_doubled(ledger_place: str) -> None:
    open_ledger(ledger_place, "line-1").close()
    done = subprocess.run(
        [sys.executable, str(LIVES), ledger_place], stdout=subprocess.PIPE, check=True, timeout=500
    )
    events = acknowledged(done.stdout)
    assert len(events) > 40, "there were fewer steps than a unit has statements"
    assert [each[-1] for each in events.values()] == ["killed"] * (len(events) - 1) + ["lived"]
    with_acknowledgement = [each for each in events.values() if each[:1] == ["claimed"]]
    assert len(with_acknowledgement) > 20, "hardly any was killed after its claim"
    ledger = open_ledger(ledger_place, "line-2")
    check(ledger, events)
    ledger.close()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_opening_killed_at_every_step_leaves_a_ledger_or_none(
    place_maker: Callable[[], str],
) -> None:
    script = (
        "import sys, ledger_lives\n"
        "ledger_lives.listen()\n"
        "ledger_lives.STEPS.last = int(sys.argv[2])\n"
        "ledger_lives.open_ledger(sys.argv[1], 'line-1').close()\n"
    )
    killed = 0
    # Every fifth: a process takes a second to start, and there are some fifty steps.
    for step in range(1, 400, 5):
        place = place_maker()
        done = subprocess.run(
            [sys.executable, "-c", script, place, str(step)],
            env=os.environ | {"PYTHONPATH": str(LIVES.parent)}, check=False, timeout=100,
        )  # fmt: skip
        ledger = open_ledger(place, "line-1")
        with ledger.change() as change:
            assert change.append("written", unit="CP-1").seq == 1
        ledger.close()
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL
        killed += 1
    assert killed > 4


@pytest.fixture(params=PLACES)
def place_maker(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], str]:
    """Makes names of ledgers that are not there yet."""
    if request.param == "sqlite":
        numbers = iter(range(1000))
        return lambda: str(tmp_path / f"{next(numbers)}.db")
    server: PostgresqlServer = request.getfixturevalue("postgresql")
    return server.new_database


@pytest.fixture
def strace() -> str:
    """The program; skips where it is missing or may not trace."""
    found = shutil.which("strace")
    if found is None:
        pytest.skip("needs strace (Debian: apt-get install strace)")
    tried = subprocess.run(
        [found, "-o", "/dev/null", "-e", "inject=pwrite64:signal=SIGKILL:when=9", "true"],
        capture_output=True, check=False, timeout=60,
    )  # fmt: skip
    if tried.returncode:
        pytest.skip(f"strace cannot trace here: {tried.stderr.decode()}")
    return found


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_killed_at_writes_of_the_file_nothing_is_lost_or_doubled(
    tmp_path: Path, strace: str
) -> None:
    place = str(tmp_path / "ledger.db")
    events: dict[int, list[str]] = {}
    killed = 0
    for number, write in enumerate((1, 40, 90, 2, 4, 7, 11, 16, 22, 29, 37), 1):
        done = subprocess.run(
            [
                strace, "-f", "-o", "/dev/null",
                "-e", "trace=pwrite64", "-e", f"inject=pwrite64:signal=SIGKILL:when={write}",
                sys.executable, str(LIVES), place, str(number),
            ],
            stdout=subprocess.PIPE, check=False, timeout=100,
        )  # fmt: skip
        events |= acknowledged(done.stdout)
        events.setdefault(number, [])
        killed += done.returncode != 0
        ledger = open_ledger(place, "line-2")
        assert verify(ledger).breaks == ()
        recorded = [each.event for each in ledger.history(unit=f"CP-{number}")]
        assert set(events[number]) <= set(recorded)
        ledger.close()
    assert killed > 6
    ledger = open_ledger(place, "line-1")
    for number in events:
        provision(ledger, f"CP-{number}", f"m{number}", lambda _: None)
    check(ledger, events)
    ledger.close()


def test_what_is_acknowledged_is_on_the_disk(tmp_path: Path, strace: str) -> None:
    place, log = tmp_path / "new" / "ledger.db", tmp_path / "calls"
    subprocess.run(
        [
            strace, "-f", "-y", "-o", str(log), "-e", "trace=pwrite64,fdatasync,fsync,write",
            sys.executable, str(LIVES), str(place), "1",
        ],
        stdout=subprocess.PIPE, check=True, timeout=100,
    )  # fmt: skip
    unsynced: set[str] = set()
    acknowledgements = 0
    synced = set()
    for line in log.read_text().splitlines():
        path = line.partition("<")[2].partition(">")[0]
        if "pwrite64(" in line and "-shm" not in path:
            unsynced.add(path)
        elif "sync(" in line:
            unsynced.discard(path)
            synced.add(path)
        elif '{\\"number\\"' in line:
            acknowledgements += 1
            assert not unsynced, f"acknowledged before it was on the disk: {unsynced}"
    assert acknowledgements == 3
    # Nor can the file itself vanish: its folder's entry was written too.
    assert str(place.parent) in synced


@NEEDS_SERVER
@pytest.mark.slow
def test_a_server_that_crashes_keeps_what_it_acknowledged(postgresql: PostgresqlServer) -> None:
    ledger = open_ledger(postgresql.new_database(), "line-1")
    done = before_the_crash = 0

    def write() -> None:
        nonlocal done, before_the_crash
        while done < 500:
            with ledger.change() as change:
                change.claim(f"CP-{done}", [("identity", f"CP-{done}")])
            done += 1
            if done == 30:
                before_the_crash = checkpointer(ledger)
                with ledger._engine.connect() as connection:
                    process = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
                # It has all of its processes end, and reads its log again from the disk.
                os.kill(process, signal.SIGKILL)

    # Whoever was stopped meanwhile never hears of it.
    with contextlib.suppress(DeviceError):
        write()
    before = done
    assert before >= 30
    # The same process goes on: its connections are found dead, and made anew.
    while patient(lambda: checkpointer(ledger)) == before_the_crash:
        time.sleep(0.2)
    found = verify(ledger)
    assert found.breaks == ()
    recorded = found.heads["line-1"].seq
    # The last may have been kept without anybody hearing of it; running again says so.
    assert recorded in (before, before + 1)
    with ledger.change() as change:
        again = change.claim(f"CP-{before}", [("identity", f"CP-{before}")])
    assert (again is None) == (recorded == before + 1)
    ledger.close()


def checkpointer(ledger: SqlLedger) -> int:
    """The server's process that writes to the disk: another one after a crash."""
    query = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'"
    with ledger._engine.connect() as connection:
        return int(connection.exec_driver_sql(query).scalar_one())


def patient(attempt: Callable[[], int]) -> int:
    """What `attempt` returns once the server is there again."""
    deadline = time.monotonic() + 90
    while True:
        try:
            return attempt()
        except sa.exc.SQLAlchemyError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
