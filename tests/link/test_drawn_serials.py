# SPDX-License-Identifier: GPL-3.0-or-later
"""Serial numbers drawn from a range when boards become units; several stations at once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from threading import Barrier

import pytest
import sqlalchemy as sa
from fleet_rig import EVCFG, FleetRig, MemoryBoard, make_rig, order_of

from evtool.link.ledger_database import SqlLedger, open_ledger
from evtool.protocol.ledger_record import ClaimTaken, RangeEnded
from evtool.protocol.nvs import parse_image
from evtool.provision.fleet.drawn_serial import DrawnSerial
from evtool.provision.fleet.order import UnitOrder
from evtool.provision.ledger.merge import merge
from evtool.provision.ledger.verify import verify
from evtool.provision.run.assignment import Assignment
from evtool.provision.run.verdict import UnitVerdict

OpenAt = Callable[..., SqlLedger]
DRAWS = DrawnSerial("2030", "EV{number:04}")
ROUNDS = 25


def drawing(rig: FleetRig, number: int) -> UnitOrder:
    order = order_of(rig.project, number)
    unit = replace(order.charge_point, serial_number="")
    return replace(order, charge_point=unit, draws=DRAWS)


def make(root: Path, ledger: SqlLedger, count: int, last: int = 99) -> FleetRig:
    with ledger.change() as change:
        change.add_range("2030", 7, last)
    rig = make_rig(root / "project", ledger, 0)
    rig.orders = [drawing(rig, number) for number in range(1, count + 1)]
    return rig


def serial_in(board: MemoryBoard) -> object:
    return parse_image(bytes(board.flash[EVCFG])).get("evcfg", "serial")


def serials_of(ledger: SqlLedger) -> dict[str, str]:
    return {each.unit: each.value for each in ledger.claims() if each.kind == "serial"}


def test_each_board_gets_the_next_number_and_keeps_it(open_at: OpenAt, tmp_path: Path) -> None:
    rig = make(tmp_path, open_at(), 3)
    boards = [MemoryBoard(1), MemoryBoard(2)]
    results = rig.run(*boards)
    assert [each.verdict for each in results] == [UnitVerdict.PROVISIONED] * 2
    assert [serial_in(board) for board in boards] == ["EV0007", "EV0008"]
    assert serials_of(rig.ledger) == {"CP-001": "EV0007", "CP-002": "EV0008"}
    [written] = [each for each in rig.ledger.history(unit="CP-001") if each.event == "written"]
    assert written.fields["serial_number"] == "EV0007"
    results = rig.run(*reversed(boards))
    assert [each.verdict for each in results] == [UnitVerdict.UNCHANGED] * 2
    assert rig.ledger.ranges()[0].next == 9
    # A unit that has a serial number keeps it, whatever the file says by now.
    rig.orders[0] = replace(rig.orders[0], draws=DrawnSerial("2030", "OTHER-{number}"))
    assert rig.run(boards[0])[0].verdict is UnitVerdict.UNCHANGED


def test_the_number_of_a_board_that_failed_is_its_units(open_at: OpenAt, tmp_path: Path) -> None:
    rig = make(tmp_path, open_at(), 1)
    worn, good = MemoryBoard(1), MemoryBoard(2)
    worn.dead = range(0x10000, 0x20000)
    failed, done = rig.run(worn, good)
    assert failed.verdict is UnitVerdict.FAILED
    assert (done.unit, serial_in(good)) == ("CP-001", "EV0007")
    assert rig.ledger.ranges()[0].next == 8


def test_what_a_failed_board_drew_stays_claimed_until_a_person_gives_it_away(
    open_at: OpenAt, tmp_path: Path
) -> None:
    rig = make(tmp_path, open_at(), 1)
    worn, good = MemoryBoard(1), MemoryBoard(2)
    worn.dead = range(0x10000, 0x20000)
    assert rig.run(worn)[0].verdict is UnitVerdict.FAILED
    with pytest.raises(ClaimTaken), rig.ledger.change() as change:
        change.claim("OTHER", [("serial", "ev0007")])
    with rig.ledger.change() as change:
        change.release("CP-001", [("serial", "EV0007")])
        change.claim("OTHER", [("serial", "EV0007")])
    assert rig.run(good)[0].verdict is UnitVerdict.PROVISIONED
    assert serial_in(good) == "EV0008"
    assert serials_of(rig.ledger) == {"OTHER": "EV0007", "CP-001": "EV0008"}
    assert verify(rig.ledger).breaks == ()


def test_a_template_with_another_format_gives_the_number_its_new_serial(
    open_at: OpenAt, tmp_path: Path
) -> None:
    rig = make(tmp_path, open_at(), 1)
    worn, good = MemoryBoard(1), MemoryBoard(2)
    worn.dead = range(0x10000, 0x20000)
    rig.run(worn)
    rig.orders[0] = replace(rig.orders[0], draws=DrawnSerial("2030", "NEW{number}"))
    rig.run(good)
    assert serials_of(rig.ledger) == {"CP-001": "NEW7"}
    assert rig.ledger.ranges()[0].next == 8


def test_a_merge_gives_out_no_number_that_was_drawn_elsewhere(tmp_path: Path) -> None:
    with ExitStack() as stack:
        ours, theirs = (
            stack.enter_context(closing(open_ledger(tmp_path / f"{name}.db", name)))
            for name in ("line-1", "line-2")
        )
        for ledger in (ours, theirs):
            with ledger.change() as change:
                change.add_range("2030", 7, 99)
                if ledger is theirs:
                    change.next_serial("2030", "CP-002")
                change.next_serial("2030", "CP-001")
        merge(ours, theirs)
        with ours.change() as change:
            assert change.next_serial("2030", "CP-003") == 9
        assert verify(ours).breaks == ()


def test_a_number_whose_serial_is_another_units_is_passed_over(
    open_at: OpenAt, tmp_path: Path
) -> None:
    rig = make(tmp_path, open_at(), 2, last=9)
    with rig.ledger.change() as change:
        for serial in ("ev0007", "EV0008"):
            change.claim(f"OLD-{serial}", [("serial", serial)])
    board = MemoryBoard(1)
    rig.run(board)
    assert serial_in(board) == "EV0009"
    [refused] = rig.run(MemoryBoard(2))
    assert refused.verdict is UnitVerdict.REFUSED
    assert isinstance(refused.error, RangeEnded)
    assert rig.ledger.claims_of("CP-002") == []


def test_no_row_draws_what_another_one_says(open_at: OpenAt, tmp_path: Path) -> None:
    rig = make(tmp_path, open_at(), 2)
    unit = replace(rig.orders[1].charge_point, serial_number="ev0007")
    rig.orders[1] = replace(rig.orders[1], charge_point=unit, draws=None)
    boards = [MemoryBoard(1), MemoryBoard(2)]
    results = rig.run(*boards)
    assert [each.verdict for each in results] == [UnitVerdict.PROVISIONED] * 2
    assert [serial_in(board) for board in boards] == ["EV0008", "ev0007"]


def test_a_draw_needs_one_connection_however_many_boards_wait(
    open_at: OpenAt, tmp_path: Path
) -> None:
    """All others may be held by boards that wait for this very transaction to end."""
    rig = make(tmp_path, open_at(), 1)
    with rig.ledger.change() as change:
        change.claim("OLD", [("serial", "EV0007")])
    pool, most = rig.ledger._engine.pool, 0

    def count(*_: object) -> None:
        nonlocal most
        assert isinstance(pool, sa.QueuePool)
        most = max(most, pool.checkedout())

    sa.event.listen(rig.ledger._engine, "before_cursor_execute", count)
    assigned = Assignment(rig.orders, rig.ledger).take("24:0a:c4:00:00:01")
    assert assigned.order.charge_point.serial_number == "EV0008"
    assert most == 1


def test_two_stations_that_draw_at_once_get_each_a_number_of_its_own(
    open_at: OpenAt, tmp_path: Path
) -> None:
    rig = make(tmp_path, open_at(), 2 * ROUNDS)
    start = Barrier(2)

    def station(index: int) -> list[str]:
        # Both have the same file, and boards of their own.
        assignment = Assignment(rig.orders, open_at(f"line-{index}"))
        found = []
        for number in range(ROUNDS):
            start.wait(60)
            mac = f"24:0a:c4:00:{index:02x}:{number:02x}"
            found.append(assignment.take(mac).order.charge_point.serial_number)
        return found

    with ThreadPoolExecutor(2) as pool:
        drawn = [serial for found in pool.map(station, (1, 2)) for serial in found]
    assert sorted(drawn) == [f"EV{number:04}" for number in range(7, 7 + 2 * ROUNDS)]
    assert sorted(serials_of(rig.ledger).values()) == sorted(drawn)
    assert verify(rig.ledger).breaks == ()
