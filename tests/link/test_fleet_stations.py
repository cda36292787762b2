# SPDX-License-Identifier: GPL-3.0-or-later
"""Several stations with one ledger and one file: no row has two boards, no board two rows."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from fleet_rig import MemoryBoard, make_rig

from evtool.link.ledger_database import SqlLedger
from evtool.provision.ledger.unit_state import state
from evtool.provision.run.verdict import UnitResult, UnitVerdict

STATIONS, BOARDS = 3, 4


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_stations_with_one_file_share_its_rows(
    tmp_path: Path, open_at: Callable[..., SqlLedger]
) -> None:
    rigs = [
        make_rig(tmp_path / "project", open_at(f"line-{number}"), STATIONS * BOARDS - 1)
        for number in range(STATIONS)
    ]
    boards = [[MemoryBoard(n, serial=line) for n in range(BOARDS)] for line in range(STATIONS)]

    def work(line: int) -> list[UnitResult]:
        task = rigs[line].task()
        with ThreadPoolExecutor(2) as ports:
            return list(ports.map(lambda board: rigs[line].run_one(board, task), boards[line]))

    with ThreadPoolExecutor(STATIONS) as lines:
        results = [each for some in lines.map(work, range(STATIONS)) for each in some]
    done = {each.unit: each.mac for each in results if each.verdict is UnitVerdict.PROVISIONED}
    assert done.keys() == {order.identity for order in rigs[0].orders}
    (left,) = [each for each in results if each.verdict is not UnitVerdict.PROVISIONED]
    assert left.verdict is UnitVerdict.REFUSED  # there was one row less than boards
    assert "no row is left" in str(left.error)
    held = {board.mac: board.identity for some in boards for board in some if board.identity}
    assert {mac: unit for unit, mac in done.items()} == held
    for unit, mac in done.items():
        found = state(rigs[0].ledger, unit)
        assert found is not None
        assert (found.status, found.mac) == ("proved", mac)
