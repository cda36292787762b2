# SPDX-License-Identifier: GPL-3.0-or-later
"""New secrets for units, back to what they held, and out of the fleet."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from fleet_rig import EVCFG, FleetRig, MemoryBoard, mac_of, make_rig, order_of

from evtool.cli.fleet_worker import mask_of, parts_work
from evtool.cli.ledger_entry import LedgerEntry
from evtool.cli.output import Output
from evtool.cli.provision_secrets_export import exported_keys
from evtool.errors import ConfigError, EvtoolError, Stopped
from evtool.link.ledger_database import open_ledger
from evtool.protocol.ledger_record import ClaimTaken
from evtool.protocol.nvs import parse_image
from evtool.provision.ledger.unit_state import UnitState, state
from evtool.provision.run.decommission import (
    Leaving,
    erase,
    record_leaving,
    unit_to_leave,
    was_erased,
)
from evtool.provision.run.rollback import RollbackTargets, chosen
from evtool.provision.run.rotation import Rotation
from evtool.provision.run.task import UnitTask
from evtool.provision.run.verdict import UnitRefused, UnitResult, UnitVerdict

KEY = "authorization_key"


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[FleetRig]:
    ledger = open_ledger(tmp_path / "ledger.db", "line-1")
    yield make_rig(tmp_path / "project", ledger, 2)
    ledger.close()


def rotate(rig: FleetRig, board: MemoryBoard, campaign: str = "") -> UnitResult:
    (result,) = rig.run(board, task=rotation_task(rig, campaign))
    return result


def rotation_task(rig: FleetRig, campaign: str = "") -> UnitTask:
    rotation = Rotation(rig.ledger, rig.sealed, rig.secrets, (KEY,), campaign)
    return rig.task(
        only_known=True,
        before=rotation.before,
        newest=rotation.newest,
        event="rotated",
        verdict=UnitVerdict.ROTATED,
    )


def roll_back(rig: FleetRig, board: MemoryBoard, unit: str = "CP-001", to: str = "") -> UnitResult:
    record = chosen(rig.ledger.history(unit=unit), unit, to)
    images = rig.images()
    targets = RollbackTargets(unit, record, rig.ledger, rig.sealed, images.encryption, mask_of)
    task = replace(
        rig.task(), targets=targets, event="rolled_back", verdict=UnitVerdict.ROLLED_BACK
    )
    (result,) = rig.run(board, task=task)
    return result


def key_in(board: MemoryBoard) -> object:
    return parse_image(bytes(board.flash[EVCFG])).get("evcfg", "auth_key")


def known(rig: FleetRig, unit: str = "CP-001") -> UnitState:
    found = state(rig.ledger, unit)
    assert found is not None
    return found


def test_a_new_key_is_sealed_written_proved_and_recorded(rig: FleetRig) -> None:
    board = MemoryBoard(1)
    rig.run(board)
    first = key_in(board)
    result = rotate(rig, board)
    assert result.verdict is UnitVerdict.ROTATED
    assert key_in(board) != first
    assert rig.events("CP-001")[-4:] == ["planned", "rotated", "read_back", "proved"]
    written = known(rig).written
    assert written is not None
    assert written.fields["generations"] == {KEY: 2}
    assert written.fields["rotated"] == [KEY]
    sealed = rig.secrets.generation("CP-001", KEY, 2)
    assert sealed is not None
    assert key_in(board) == sealed.reveal().encode().hex()
    assert rig.run(board)[0].verdict is UnitVerdict.UNCHANGED  # a plain run keeps the new one


def test_a_campaign_rotates_each_unit_once(rig: FleetRig) -> None:
    boards = [MemoryBoard(1), MemoryBoard(2)]
    rig.run(*boards)
    assert rotate(rig, boards[0], "spring").verdict is UnitVerdict.ROTATED
    task = rotation_task(rig, "spring")
    assert [each.verdict for each in rig.run(*boards, task=task)] == [
        UnitVerdict.UNCHANGED,
        UnitVerdict.ROTATED,
    ]
    assert rotate(rig, boards[0], "autumn").verdict is UnitVerdict.ROTATED
    assert rig.secrets.generation("CP-001", KEY, 3) is not None
    assert rig.secrets.generation("CP-001", KEY, 4) is None


@pytest.mark.parametrize("call", ["holds", "write", "read", "console"])
def test_a_rotation_that_was_cut_short_is_finished_with_the_key_that_it_made(
    rig: FleetRig, call: str
) -> None:
    board = MemoryBoard(1)
    rig.run(board)
    board.faults = {call: [Stopped("stopped")]}
    assert rotate(rig, board).verdict is UnitVerdict.STOPPED
    result = rotate(rig, board)
    assert result.verdict is UnitVerdict.ROTATED
    assert rig.secrets.generation("CP-001", KEY, 2) is not None
    assert rig.secrets.generation("CP-001", KEY, 3) is None
    assert known(rig).status == "proved"


def test_a_rotation_without_a_proof_does_not_stand_in_the_way_of_the_next(rig: FleetRig) -> None:
    board = MemoryBoard(1)
    rig.run(board)
    rig.proof = None
    keys = [key_in(board)]
    for campaign in ("", "", "spring", "autumn"):
        assert rotate(rig, board, campaign).verdict is UnitVerdict.ROTATED
        keys.append(key_in(board))
    assert len(set(keys)) == 5
    assert rotate(rig, board, "autumn").verdict is UnitVerdict.UNCHANGED
    assert rotate(rig, board).verdict is UnitVerdict.ROTATED


def test_a_campaign_does_not_count_what_another_one_left_unproved(rig: FleetRig) -> None:
    board = MemoryBoard(1)
    rig.run(board)
    board.faults = {"console": [Stopped("stopped")]}
    assert rotate(rig, board, "spring").verdict is UnitVerdict.STOPPED
    left = key_in(board)
    assert rotate(rig, board, "autumn").verdict is UnitVerdict.ROTATED
    assert key_in(board) != left
    written = known(rig).written
    assert written is not None
    assert written.fields["campaign"] == "autumn"


def test_keys_may_be_made_before_the_boards_are_at_hand(rig: FleetRig) -> None:
    board = MemoryBoard(1)
    rig.run(board)
    rotation = Rotation(rig.ledger, rig.sealed, rig.secrets, (KEY,))
    assert rotation.prepare(rig.orders) == 1  # the other row has no board
    assert rotation.prepare(rig.orders) == 1
    assert rig.secrets.generation("CP-001", KEY, 3) is None
    assert rotate(rig, board).verdict is UnitVerdict.ROTATED
    assert rig.secrets.generation("CP-001", KEY, 3) is None


def test_a_plain_run_writes_no_key_that_was_only_prepared_and_undoes_no_rollback(
    rig: FleetRig,
) -> None:
    board = MemoryBoard(1)
    rig.run(board)
    first = key_in(board)
    Rotation(rig.ledger, rig.sealed, rig.secrets, (KEY,)).prepare(rig.orders)
    assert rig.run(board)[0].verdict is UnitVerdict.UNCHANGED
    assert key_in(board) == first
    rotate(rig, board)
    second = key_in(board)
    roll_back(rig, board)
    assert rig.run(board)[0].verdict is UnitVerdict.UNCHANGED
    assert key_in(board) == first
    # Forward again, and never with the key that was gone back from.
    rotate(rig, board)
    assert key_in(board) not in (first, second)
    written = known(rig).written
    assert written is not None
    assert written.fields["generations"] == {KEY: 3}
    third = key_in(board)
    roll_back(rig, board)
    assert key_in(board) == first
    rotate(rig, board)
    assert key_in(board) not in (first, second, third)


def test_a_rotation_that_was_cut_short_and_rolled_back_from_makes_another_key(
    rig: FleetRig,
) -> None:
    board = MemoryBoard(1)
    rig.run(board)
    board.faults = {"write": [Stopped("stopped")]}  # planned, and perhaps in the board
    assert rotate(rig, board).verdict is UnitVerdict.STOPPED
    board.flash[EVCFG] = b"\xff" * (EVCFG.stop - EVCFG.start)  # half written
    assert roll_back(rig, board).verdict is UnitVerdict.ROLLED_BACK
    assert rotate(rig, board).verdict is UnitVerdict.ROTATED
    written = known(rig).written
    assert written is not None
    assert written.fields["generations"] == {KEY: 3}


def test_a_key_that_is_prepared_outlives_a_rollback(rig: FleetRig) -> None:
    board = MemoryBoard(1)
    rig.run(board)
    rotate(rig, board)
    prepared = Rotation(rig.ledger, rig.sealed, rig.secrets, (KEY,))
    assert prepared.prepare(rig.orders) == 1
    roll_back(rig, board)
    assert prepared.prepare(rig.orders) == 1
    rotate(rig, board)
    written = known(rig).written
    assert written is not None
    assert written.fields["generations"] == {KEY: 3}  # in no board before, and known to the CSMS
    assert rig.secrets.generation("CP-001", KEY, 4) is None


def test_what_is_exported_after_a_rollback_is_the_key_that_the_unit_has(rig: FleetRig) -> None:
    boards = [MemoryBoard(1), MemoryBoard(2)]
    rig.run(*boards)
    units = ("CP-001", "CP-002")
    for board in boards:
        rotate(rig, board)
    roll_back(rig, boards[0])
    exported = exported_keys(rig.ledger, rig.secrets, units, units)
    assert {unit: key.reveal().encode().hex() for unit, key in exported.items()} == {
        unit: key_in(board) for unit, board in zip(units, boards, strict=True)
    }
    # One that is waiting to be written is what the CSMS must hear of.
    Rotation(rig.ledger, rig.sealed, rig.secrets, (KEY,)).prepare(rig.orders)
    exported = exported_keys(rig.ledger, rig.secrets, units, units)
    waiting = [rig.secrets.generation(unit, KEY, 3) for unit in units]
    assert list(exported.values()) == waiting


def test_a_campaign_rotates_a_unit_again_that_was_rolled_back(rig: FleetRig) -> None:
    board = MemoryBoard(1)
    rig.run(board)
    assert rotate(rig, board, "spring").verdict is UnitVerdict.ROTATED
    rolled = key_in(board)
    roll_back(rig, board)
    assert rotate(rig, board, "spring").verdict is UnitVerdict.ROTATED
    assert key_in(board) != rolled
    assert rotate(rig, board, "spring").verdict is UnitVerdict.UNCHANGED


def test_a_campaign_that_is_done_writes_no_key_that_another_one_prepares(rig: FleetRig) -> None:
    board = MemoryBoard(1)
    rig.run(board)
    rotate(rig, board, "spring")
    held = key_in(board)
    Rotation(rig.ledger, rig.sealed, rig.secrets, (KEY,), "autumn").prepare(rig.orders)
    assert rotate(rig, board, "spring").verdict is UnitVerdict.UNCHANGED
    assert key_in(board) == held
    assert rotate(rig, board, "autumn").verdict is UnitVerdict.ROTATED


def test_a_board_that_the_ledger_does_not_know_is_not_rotated(rig: FleetRig) -> None:
    board = MemoryBoard(1)
    result = rotate(rig, board)
    assert result.verdict is UnitVerdict.REFUSED
    assert board.written == 0


def test_a_rollback_writes_what_was_held_before_and_the_next_one_goes_further(
    rig: FleetRig,
) -> None:
    board = MemoryBoard(1)
    held = []
    rig.run(board)
    held.append(bytes(board.flash[EVCFG]))
    for ssid in ("second", "third"):
        rig.orders[0] = order_of(rig.project, 1, wifi_ssid=ssid)
        rig.run(board)
        held.append(bytes(board.flash[EVCFG]))
    for image in (held[1], held[0]):
        result = roll_back(rig, board)
        assert result.verdict is UnitVerdict.ROLLED_BACK
        assert bytes(board.flash[EVCFG]) == image
    assert rig.events("CP-001")[-4:] == ["planned", "rolled_back", "read_back", "proved"]
    with pytest.raises(ConfigError, match="nothing that CP-001 held before"):
        roll_back(rig, board)
    written = known(rig).written
    assert written is not None
    assert len(str(written.fields["rolled_back_from"])) == 64


def test_a_rollback_to_a_named_image(rig: FleetRig) -> None:
    board = MemoryBoard(1)
    rig.run(board)
    first = str(known(rig).written.fields["image_sha256"])  # type: ignore[union-attr]  # it was written
    for ssid in ("second", "third"):
        rig.orders[0] = order_of(rig.project, 1, wifi_ssid=ssid)
        rig.run(board)
    for wrong in (first[:7], "ffffffff", "zzzzzzzz"):
        with pytest.raises(ConfigError, match="names none of the images"):
            roll_back(rig, board, to=wrong)
    assert roll_back(rig, board, to=first[:8]).verdict is UnitVerdict.ROLLED_BACK
    assert known(rig).written.fields["image_sha256"] == first  # type: ignore[union-attr]  # as above


def test_a_rollback_from_a_write_that_failed_mends_the_board(rig: FleetRig) -> None:
    board = MemoryBoard(1)
    rig.run(board)
    before = bytes(board.flash[EVCFG])
    rig.orders[0] = order_of(rig.project, 1, wifi_ssid="second")
    board.faults = {"write": [Stopped("stopped")]}
    rig.run(board)
    assert known(rig).status == "planned"
    board.flash[EVCFG] = bytes(EVCFG.stop - EVCFG.start)
    assert roll_back(rig, board).verdict is UnitVerdict.ROLLED_BACK
    assert bytes(board.flash[EVCFG]) == before


def test_a_rollback_is_for_the_units_own_board(rig: FleetRig) -> None:
    first, second = MemoryBoard(1), MemoryBoard(2)
    rig.run(first, second)
    rig.orders[0] = order_of(rig.project, 1, wifi_ssid="second")
    rig.run(first)
    before = bytes(second.flash)
    result = roll_back(rig, second)
    assert result.verdict is UnitVerdict.REFUSED
    assert "CP-002's" in str(result.error)
    assert bytes(second.flash) == before


def test_a_rollback_brings_back_no_unit_that_has_left(rig: FleetRig) -> None:
    board = MemoryBoard(1)
    rig.run(board)
    rotate(rig, board)
    record_leaving(rig.ledger, known(rig), Leaving(is_lost=True), erased=False)
    before = bytes(board.flash)
    result = roll_back(rig, board)
    assert result.verdict is UnitVerdict.REFUSED
    assert "was decommissioned" in str(result.error)
    assert bytes(board.flash) == before
    assert known(rig).status != "proved"


def test_a_rollback_takes_no_identity_from_the_board_that_has_it_now(rig: FleetRig) -> None:
    board = MemoryBoard(1)
    rig.run(board)
    rotate(rig, board)
    with rig.ledger.change() as change:
        change.release("CP-001", [("identity", "CP-001"), ("serial", "SN-001")])
        change.claim("CP-001", [("identity", "CP-001")], mac=mac_of(9))
    before = bytes(board.flash)
    result = roll_back(rig, board)
    assert result.verdict is UnitVerdict.REFUSED
    assert isinstance(result.error, ClaimTaken)
    assert bytes(board.flash) == before


def decommission(rig: FleetRig, board: MemoryBoard, leaving: Leaving) -> tuple[str, ...]:
    found = unit_to_leave(rig.ledger, "CP-001", leaving)
    board.connect(115_200)
    erase(board, board.facts, found, parts_work, lambda _name, _fields: None)
    return record_leaving(rig.ledger, found, leaving, erased=True)


def test_a_decommissioned_identity_is_erased_and_never_used_again(rig: FleetRig) -> None:
    board = MemoryBoard(1)
    rig.run(board)
    assert decommission(rig, board, Leaving(reason="scrapped")) == ("mac",)
    assert set(board.flash[EVCFG]) == {0xFF}
    assert known(rig).status == "decommissioned"
    assert was_erased(rig.ledger, "CP-001")
    (result,) = rig.run(board)
    assert (result.unit, result.verdict) == ("CP-002", UnitVerdict.PROVISIONED)
    rig.orders = rig.orders[:1]
    (left,) = rig.run(MemoryBoard(3))
    assert left.verdict is UnitVerdict.REFUSED
    assert "CP-001 is decommissioned and not used again" in str(left.error)
    rig.orders[0] = order_of(rig.project, 1, mac=mac_of(3))
    (left,) = rig.run(MemoryBoard(3))
    assert "an identity is not used again" in str(left.error)


def test_an_identity_that_is_released_may_be_used_again(rig: FleetRig) -> None:
    board = MemoryBoard(1)
    rig.run(board)
    released = decommission(rig, board, Leaving(release=True))
    assert set(released) == {"identity", "mac", "serial", "key"}
    (result,) = rig.run(MemoryBoard(5))
    assert (result.unit, result.verdict) == ("CP-001", UnitVerdict.PROVISIONED)


def test_a_lost_board_keeps_its_identity_and_is_refused_when_it_turns_up(rig: FleetRig) -> None:
    board = MemoryBoard(1)
    rig.run(board)
    with pytest.raises(ConfigError, match="cannot be released"):
        unit_to_leave(rig.ledger, "CP-001", Leaving(is_lost=True, release=True))
    leaving = Leaving(is_lost=True)
    found = unit_to_leave(rig.ledger, "CP-001", leaving)
    assert record_leaving(rig.ledger, found, leaving, erased=False) == ()
    (result,) = rig.run(board)
    assert result.verdict is UnitVerdict.REFUSED
    again = unit_to_leave(rig.ledger, "CP-001", leaving)
    count = len(rig.ledger.history(unit="CP-001"))
    assert record_leaving(rig.ledger, again, leaving, erased=False) == ()
    assert len(rig.ledger.history(unit="CP-001")) == count


@pytest.mark.parametrize(
    "spoil",
    [
        lambda board: board.faults.update({"write": [Stopped("stopped")]}),
        lambda board: setattr(board, "dead", range(0x390000, 0x396000)),
        lambda board: setattr(board, "facts", MemoryBoard(9).facts),
    ],
)
def test_a_unit_whose_board_is_not_erased_does_not_leave(
    rig: FleetRig, spoil: Callable[[MemoryBoard], None]
) -> None:
    board = MemoryBoard(1)
    rig.run(board)
    spoil(board)
    with pytest.raises(EvtoolError) as caught:
        decommission(rig, board, Leaving())
    assert isinstance(caught.value, UnitRefused) == (board.mac != mac_of(1))
    assert board.calls[-1] == "restart"
    assert known(rig).status == "proved"


def test_a_unit_that_was_about_to_be_written_is_not_released_unseen(rig: FleetRig) -> None:
    board = MemoryBoard(1)
    with rig.ledger.change() as change:
        change.claim("CP-001", [("identity", "CP-001"), ("mac", board.mac)], mac=board.mac)
        change.append("planned", unit="CP-001", mac=board.mac)
    # The next run was killed as well, after it had claimed the row's new serial number.
    with rig.ledger.change() as change:
        change.claim("CP-001", [("serial", "SN-9")], mac=board.mac)
    assert known(rig).status == "claimed"
    leaving = Leaving(is_lost=True, release=True)
    with pytest.raises(ConfigError, match="may be in the board"):
        unit_to_leave(rig.ledger, "CP-001", leaving)
    assert record_leaving(rig.ledger, known(rig), Leaving(release=True), erased=False) == ()


def test_a_single_board_is_not_given_an_identity_that_has_left(rig: FleetRig) -> None:
    unit, mac = rig.project.charge_point.identity, mac_of(1)
    LedgerEntry(Output(False), rig.project, rig.ledger, ()).claim(mac)
    record_leaving(rig.ledger, known(rig, unit), Leaving(), erased=True)
    with pytest.raises(ConfigError, match="was decommissioned"):
        LedgerEntry(Output(False), rig.project, rig.ledger, ()).claim(mac)
    assert rig.ledger.claim_holder("mac", mac) is None
    LedgerEntry(Output(False), rig.project, rig.ledger, (), reassign=True).claim(mac)
    assert rig.ledger.claim_holder("mac", mac) is not None


def test_a_unit_that_nobody_knows_cannot_leave(rig: FleetRig) -> None:
    with pytest.raises(ConfigError, match="knows no unit 'CP-001'"):
        unit_to_leave(rig.ledger, "CP-001", Leaving())
