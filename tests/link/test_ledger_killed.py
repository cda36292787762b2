# SPDX-License-Identifier: GPL-3.0-or-later
"""The ledger when whoever writes it, or the server, ends at any moment: kill -9, power cuts."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

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
