# SPDX-License-Identifier: GPL-3.0-or-later
"""Taking in a ledger, or an older evtool's file, and moving one, killed at any step."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from ledger_lives import provision

from evtool.cli.ledger_old import take_in_old_ledger
from evtool.link.ledger_database import open_ledger
from evtool.provision.ledger.merge import merge
from evtool.provision.ledger.verify import verify

TESTS = Path(__file__).resolve().parent.parent
UNITS = 3

_BEGIN = """
import sys
from pathlib import Path
import ledger_lives
from evtool.cli.ledger_old import take_in_old_ledger
from evtool.link.ledger_database import open_ledger
from evtool.provision.ledger.merge import merge
ours = open_ledger(sys.argv[1], "office")
ledger_lives.listen()
ledger_lives.STEPS.last = int(sys.argv[3])
"""
_MERGE = _BEGIN + "merge(ours, open_ledger(sys.argv[2], 'looking'))"
_OLD = _BEGIN + "take_in_old_ledger(ours, Path(sys.argv[2]))"


def ends(script: str, place: str, source: str, step: int) -> bool:
    """Run it to its end, or until it is killed at a step; whether it came to its end."""
    done = subprocess.run(
        [sys.executable, "-c", script, place, source, str(step)],
        env=os.environ | {"PYTHONPATH": str(TESTS)}, check=False, timeout=100,
    )  # fmt: skip
    assert done.returncode in (0, -signal.SIGKILL)
    return done.returncode == 0


def every_seventh(run: Callable[[int], bool]) -> int:
    """Kill at step 3, 10, 17 and so on until it ends by itself; how often it was killed."""
    for number, step in enumerate(range(3, 2000, 7)):
        if run(step):
            return number
    raise AssertionError("it never ends")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_merge_that_is_killed_took_all_or_nothing(ledger_place: str, tmp_path: Path) -> None:
    source = tmp_path / "theirs.db"
    with closing(open_ledger(source, "line-9")) as theirs:
        for number in range(UNITS):
            provision(theirs, f"CP-{number}", f"m{number}", lambda _: None)
        records = theirs.heads()["line-9"].seq
    with closing(open_ledger(ledger_place, "office")) as ours, ours.change() as change:
        change.append("label")

    def run(step: int) -> bool:
        done = ends(_MERGE, ledger_place, str(source), step)
        with closing(open_ledger(ledger_place, "office")) as ours:
            found = verify(ours)
            assert found.breaks == ()
            taken = found.heads.get("line-9")
            assert (0 if taken is None else taken.seq) == (records if done else 0)
            assert len(list(ours.claims())) == (3 * UNITS if done else 0)
            assert len(ours.sealed_names()) == (UNITS if done else 0)
        return done

    assert every_seventh(run) > 5
    with closing(open_ledger(ledger_place, "office")) as ours:
        with closing(open_ledger(source, "looking")) as theirs:
            assert merge(ours, theirs).taken == {}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_an_old_file_is_taken_in_once_whenever_it_is_killed(tmp_path: Path) -> None:
    old = tmp_path / ".evtool" / "ledger.jsonl"
    old.parent.mkdir()
    old.write_text(
        "".join(
            '{"time":"2029-01-01T00:00:00+00:00","event":"written",'
            f'"charge_point":"CP-{number}","mac":"m{number}"}}\n'
            for number in range(UNITS)
        )
    )
    place = str(tmp_path / "ledger.db")

    def run(step: int) -> bool:
        return ends(_OLD, place, str(tmp_path), step)

    assert every_seventh(run) > 5
    with closing(open_ledger(place, "office")) as ours:
        take_in_old_ledger(ours, tmp_path)
        assert verify(ours).breaks == ()
        for number in range(UNITS):
            events = [each.event for each in ours.history(unit=f"CP-{number}")]
            assert events == ["written", "claimed"]
    assert not old.exists()
